/**
 * Virtual time for tests and simulation: it passes only when told to. Timers fire in the order of their
 * times, and in the order of their starting when those are equal, so that a run replays exactly.
 */
import { assert } from '../../core/base/assert.ts';
import type { Clock } from '../../ports/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

export class VirtualClock implements Clock {
  #nowMs: number;
  #started = 0;
  /** A binary heap: simulations keep tens of thousands of timers. */
  readonly #timers: Timer[] = [];

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  elapsedMs(): number {
    return this.#nowMs;
  }

  startTimer(delayMs: number, callback: () => void): () => void {
    this.#started += 1;
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), sequence: this.#started, callback, cancelled: false };
    this.#push(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** When the next timer fires; null when there is none. */
  nextAtMs(): number | null {
    this.#dropCancelled();
    return this.#timers[0]?.atMs ?? null;
  }

  /** Goes to the next timer and fires it; false when there is none. */
  runNext(): boolean {
    this.#dropCancelled();
    const timer = this.#pop();
    if (!timer) return false;
    this.#nowMs = timer.atMs;
    timer.callback();
    return true;
  }

  /** Lets `ms` pass and fires what falls due, including what is started on the way. */
  advance(ms: number): void {
    assert(ms >= 0, 'time does not run backwards');
    const endMs = this.#nowMs + ms;
    for (let atMs = this.nextAtMs(); atMs !== null && atMs <= endMs; atMs = this.nextAtMs()) this.runNext();
    this.#nowMs = endMs;
  }

  #dropCancelled(): void {
    while (this.#timers[0]?.cancelled) this.#pop();
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (!parent || !isBefore(timer, parent)) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = timer;
  }

  #pop(): Timer | undefined {
    const heap = this.#timers;
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const leftAt = 2 * at + 1;
      const left = heap[leftAt];
      if (!left) break;
      const right = heap[leftAt + 1];
      const rightFirst = right !== undefined && isBefore(right, left);
      const child = rightFirst ? right : left;
      if (isBefore(last, child)) break;
      heap[at] = child;
      at = rightFirst ? leftAt + 1 : leftAt;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
