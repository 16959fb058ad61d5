/** When a crashed instance starts again: at once, then after growing, jittered pauses. */
import type { Random } from '../base/prng.ts';

export interface RestartPolicy {
  readonly backoff: number;
  readonly maxBackoff: number;
}

/**
 * `failures` counts those in a row, this one included. The pause is backoff * 2^(failures - 2), at most
 * maxBackoff, of which a random quarter is taken off so that copies that fell together do not rise together.
 */
export function restartPauseMs(failures: number, policy: RestartPolicy, random: Random): number {
  if (failures <= 1) return 0;
  const fullMs = Math.min(policy.backoff * 2 ** Math.min(failures - 2, 30), policy.maxBackoff);
  return Math.round(fullMs * (1 - random.next() / 4));
}
