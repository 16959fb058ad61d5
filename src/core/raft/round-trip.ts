/**
 * How long one other voter takes to answer: the longest of what it took, half forgotten every half minute. What is lost
 * on the way comes later than everything else by some hundred milliseconds, now and then, and is to be expected again for
 * as long; so time counts, not answers, which come the faster the shorter the timeout is.
 */
const HALF_LIFE_MS = 30_000;

/** What is left after `ms` of something that was learned. */
export function remembered(value: number, ms: number): number {
  return value * 0.5 ** (Math.max(0, ms) / HALF_LIFE_MS);
}

export class RoundTrip {
  #ms: number;
  #lookedAtMs: number;
  /** Of what was answered since. */
  #longestMs = 0;

  /** `guessMs`: what is expected of one that has answered nothing. */
  constructor(guessMs: number, nowMs: number) {
    this.#ms = guessMs;
    this.#lookedAtMs = nowMs;
  }

  get ms(): number {
    return this.#ms;
  }

  answered(tookMs: number): void {
    this.#longestMs = Math.max(this.#longestMs, tookMs);
  }

  /** Up to `mostMs`: what one that did not run for a while answers late would be remembered for long otherwise. */
  look(nowMs: number, mostMs: number): void {
    this.#ms = Math.min(mostMs, Math.max(this.#longestMs, remembered(this.#ms, nowMs - this.#lookedAtMs)));
    this.#longestMs = 0;
    this.#lookedAtMs = nowMs;
  }
}
