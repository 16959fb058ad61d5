/**
 * Closes one after the other, each of them whatever became of those before: what cannot be written any more, on a disk
 * that is full, must not keep a port open and a process alive. Throws what went wrong first.
 */
export async function closeAll(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
