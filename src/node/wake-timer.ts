/** One timer for a core that names the time it wants to be woken: it is moved only when it would come too late, since most such times only grow. */
import type { Clock } from '../ports/clock.ts';

export class WakeTimer {
  readonly #clock: Clock;
  readonly #wake: () => void;
  readonly #dueMs: () => number | null;
  #cancel: () => void = () => undefined;
  #atMs = Number.POSITIVE_INFINITY;

  /** `dueMs`: when the core wants to be woken now; null: not at all. */
  constructor(clock: Clock, dueMs: () => number | null, wake: () => void) {
    this.#clock = clock;
    this.#dueMs = dueMs;
    this.#wake = wake;
  }

  set(): void {
    const dueMs = this.#dueMs();
    if (dueMs === null || dueMs >= this.#atMs) return;
    this.#cancel();
    this.#atMs = dueMs;
    this.#cancel = this.#clock.startTimer(Math.max(0, Math.ceil(dueMs - this.#clock.elapsedMs())), () => {
      this.#atMs = Number.POSITIVE_INFINITY;
      const nowDueMs = this.#dueMs();
      if (nowDueMs !== null && nowDueMs <= this.#clock.elapsedMs()) this.#wake();
      else this.set();
    });
  }

  cancel(): void {
    this.#cancel();
  }
}
