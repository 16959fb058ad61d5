/** So many at once, and one more each while: for what strangers may cause. */
export class Allowance {
  readonly #burst: number;
  readonly #oneEachMs: number;
  #left: number;
  #filledAtMs: number;

  constructor(init: { readonly burst: number; readonly oneEachMs: number; readonly nowMs: number }) {
    this.#burst = init.burst;
    this.#oneEachMs = init.oneEachMs;
    this.#left = init.burst;
    this.#filledAtMs = init.nowMs;
  }

  /** False: not now. A clock that is set back gives nothing, and takes nothing. */
  take(nowMs: number): boolean {
    const passedMs = Math.max(0, nowMs - this.#filledAtMs);
    this.#left = Math.min(this.#burst, this.#left + passedMs / this.#oneEachMs);
    this.#filledAtMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
