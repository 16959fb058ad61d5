/** Randomness for jitter in a real process. */
import type { Random } from '../core/base/prng.ts';

export const systemRandom: Random = { next: () => Math.random() };
