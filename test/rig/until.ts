/** Waits for something to become true: asks again and again, up to a bound, and then says what was missing. */
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 25;
/** A machine that stood still for longer between two looks has given nobody the time to do anything. */
const LOOK_MS_MAX = 5_000;

/**
 * What `ask` gives once it is neither false, null nor undefined. An error counts as "not yet" (an orchestrator that
 * restarts refuses connections); the last one is shown when the bound is reached.
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  boundMs: number,
  explain: () => string = () => '',
): Promise<NonNullable<Exclude<T, false>>> {
  let waitedMs = 0;
  let lookedMs = Date.now();
  let last: unknown;
  for (;;) {
    try {
      last = await ask();
      if (last !== false && last !== null && last !== undefined) return last as NonNullable<Exclude<T, false>>;
    } catch (error) {
      last = error;
    }
    waitedMs += Math.min(LOOK_MS_MAX, Date.now() - lookedMs);
    lookedMs = Date.now();
    if (waitedMs > boundMs)
      throw new Error(`not within ${boundMs} ms: ${what} (last: ${String(last)})\n${explain()}`, { cause: last });
    await delay(POLL_MS);
  }
}

/** Asks for as long as this takes and fails when `ask` ever is not true: for what must not happen. */
export async function throughout(what: string, ask: () => boolean | Promise<boolean>, durationMs: number): Promise<void> {
  const endMs = Date.now() + durationMs;
  do {
    if (!(await ask())) throw new Error(`it did not last: ${what}`);
    await delay(POLL_MS);
  } while (Date.now() < endMs);
}
