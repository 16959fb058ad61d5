/**
 * Virtual time, event by event: after each, every promise that it settled is followed to its end before the next, so that
 * a run of the same seed is the same run.
 */
import { VirtualClock } from '../adapters/memory/clock.ts';
import { SimulationFailure } from './failure.ts';

/** More events than this without time passing: something spins. */
const EVENTS_AT_ONCE_MAX = 50_000;

export class EventLoop {
  readonly clock: VirtualClock;
  events = 0;
  #failure: unknown = null;
  #eventsAtOnce = 0;

  constructor(startMs?: number) {
    this.clock = new VirtualClock(startMs);
  }

  async run(ms: number): Promise<void> {
    const endMs = this.clock.nowMs() + ms;
    for (let atMs = this.clock.nextAtMs(); atMs !== null && atMs <= endMs; atMs = this.clock.nextAtMs()) await this.#fire();
    this.clock.advance(endMs - this.clock.nowMs());
  }

  /** Lets time pass until `holds`; fails with `what` when it does not within `limitMs`. */
  async until(holds: () => boolean, limitMs: number, what: string | (() => string)): Promise<void> {
    const endMs = this.clock.nowMs() + limitMs;
    while (!holds()) {
      const atMs = this.clock.nextAtMs();
      if (atMs === null || atMs > endMs)
        throw new SimulationFailure(`not within ${limitMs / 1000} s: ${typeof what === 'string' ? what : what()}`);
      await this.#fire();
    }
  }

  /** The run ends with it after the present event. */
  fail(error: unknown): void {
    this.#failure ??= error;
  }

  /** What has to hold after each event. */
  protected afterEvent(): void {}

  async #fire(): Promise<void> {
    const beforeMs = this.clock.nowMs();
    this.clock.runNext();
    this.events += 1;
    this.#eventsAtOnce = this.clock.nowMs() === beforeMs ? this.#eventsAtOnce + 1 : 0;
    // Microtasks run to their end before an immediate does: all that this event settled is settled then.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#eventsAtOnce > EVENTS_AT_ONCE_MAX) throw new SimulationFailure('something spins: time does not pass');
    this.afterEvent();
    if (this.#failure !== null) throw this.#failure;
  }
}
