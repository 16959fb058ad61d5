/** Milliseconds of the machine's monotonic clock: the same in all processes and threads, so that they can be compared. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
