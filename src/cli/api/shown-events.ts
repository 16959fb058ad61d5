/**
 * Which events a watch has shown, to tell them from news when another replica goes on with it. Each replica numbers
 * events by itself and gives them its own time, one that was away a later one. So an event is known again by its words,
 * unless it is newer than all that was shown.
 */
import { Latest } from '../../core/base/latest.ts';
import { limits } from '../../core/base/limits.ts';
import type { EventView } from '../../core/model/views.ts';

/** By which the clocks of replicas may differ, and the moments at which they learn of a thing. */
const APART_MS = 2_000;

export class ShownEvents {
  /** As many as an orchestrator keeps. */
  readonly #shown = new Latest<EventView>(limits.events);
  #newestMs = 0;
  /** How many of those of these words have not been told again yet. */
  readonly #untold = new Map<string, number>();

  /** From now on each of them is told once more. */
  beginAgain(): void {
    this.#untold.clear();
    for (const event of this.#shown.all()) this.#untold.set(wordsOf(event), (this.#untold.get(wordsOf(event)) ?? 0) + 1);
  }

  /** Whether the event is one of those. */
  isToldAgain(event: EventView): boolean {
    const words = wordsOf(event);
    const left = this.#untold.get(words) ?? 0;
    if (left === 0 || event.atMs > this.#newestMs + APART_MS) return false;
    this.#untold.set(words, left - 1);
    return true;
  }

  add(event: EventView): void {
    this.#newestMs = Math.max(this.#newestMs, event.atMs);
    this.#shown.push(event);
  }
}

function wordsOf({ level, subject, message }: EventView): string {
  return `${level} ${subject} ${message}`;
}
