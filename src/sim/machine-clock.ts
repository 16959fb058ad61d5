/**
 * Time as one machine tells it: its clock is off by `skewMs`, runs fast or slow, and may be set anew. Timers
 * count what passes, as the operating system's do, so setting the clock moves none of them. A process has its
 * own view of it, which ends with the process.
 */
import type { Clock } from '../ports/clock.ts';

/** One life of a process: nothing of it happens after its end. */
export interface Life {
  alive: boolean;
}

export class MachineClock {
  readonly #world: Clock;
  readonly #driftPpm: number;
  readonly #startMs: number;
  skewMs: number;
  #sleptMs = 0;

  constructor(world: Clock, skewMs: number, driftPpm: number) {
    this.#world = world;
    this.skewMs = skewMs;
    this.#driftPpm = driftPpm;
    this.#startMs = Math.floor(world.nowMs());
  }

  nowMs(): number {
    return this.#startMs + this.elapsedMs() + this.skewMs;
  }

  elapsedMs(): number {
    return Math.round((this.#world.nowMs() - this.#startMs - this.#sleptMs) * (1 + this.#driftPpm / 1e6));
  }

  /** The machine has slept, and its clocks with it. */
  slept(ms: number): void {
    this.#sleptMs += ms;
  }

  of(life: Life): Clock {
    return {
      nowMs: () => this.nowMs(),
      elapsedMs: () => this.elapsedMs(),
      startTimer: (delayMs, callback) =>
        this.#world.startTimer(Math.max(0, Math.ceil(delayMs / (1 + this.#driftPpm / 1e6))), () => {
          if (life.alive) callback();
        }),
    };
  }
}
