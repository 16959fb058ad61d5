/** How busy what a summary covers is, for ranking: 0 is idle and empty, 1 is full. */
import type { ResourceVector, Summary } from '../model/summary.ts';
import { subtract, ZERO } from './vectors.ts';

/** Of CPU and memory, the scarcer one: how much of it is free, 0 to 1, once `need` is reserved too. */
export function freeFraction(summary: Pick<Summary, 'total' | 'free'>, need: ResourceVector = ZERO): number {
  const left = subtract(summary.free, need);
  const { total } = summary;
  const cpu = total.cpuMilli > 0 ? left.cpuMilli / total.cpuMilli : 0;
  const memory = total.memoryBytes > 0 ? left.memoryBytes / total.memoryBytes : 0;
  return Math.min(1, cpu, memory);
}

/**
 * The mean of what is measured and what is reserved, once `need` is reserved too. Messina's system looks at
 * the measured load alone (section 4): it takes one request at a time and the load follows. Here many are
 * placed before the next measurement, and only reservations show them.
 */
export function busyFraction(summary: Pick<Summary, 'total' | 'free' | 'load'>, need: ResourceVector = ZERO): number {
  return (Math.min(1, summary.load) + 1 - freeFraction(summary, need)) / 2;
}
