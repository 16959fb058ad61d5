/**
 * Which events a watch has shown, to tell them from news when another replica goes on with it. Each replica numbers
 * events by itself and notes its own time, so an event is known again by its words and, about, by its time.
 */
import { limits } from '../../core/base/limits.ts';
import type { EventView } from '../../core/model/views.ts';

/** Replicas apply an entry within moments of each other, and machines with NTP differ by less. */
const APART_MS = 2_000;

export class ShownEvents {
  /** Oldest first; as many as an orchestrator keeps. */
  readonly #shown: EventView[] = [];
  /** Times of those that have not been told again yet, by their words. */
  #untold = new Map<string, number[]>();

  /** From now on each of them is told once more. */
  beginAgain(): void {
    this.#untold = new Map();
    for (const event of this.#shown) {
      const times = this.#untold.get(wordsOf(event));
      if (times) times.push(event.atMs);
      else this.#untold.set(wordsOf(event), [event.atMs]);
    }
  }

  /** Whether the event is one of those. */
  isToldAgain(event: EventView): boolean {
    const times = this.#untold.get(wordsOf(event)) ?? [];
    const at = times.findIndex((timeMs) => Math.abs(timeMs - event.atMs) <= APART_MS);
    if (at < 0) return false;
    times.splice(at, 1);
    return true;
  }

  add(event: EventView): void {
    this.#shown.push(event);
    if (this.#shown.length > limits.events) this.#shown.shift();
  }
}

function wordsOf({ level, subject, message }: EventView): string {
  return `${level} ${subject} ${message}`;
}
