/**
 * Keeps one certificate fresh: a child's, by asking its parent; an orchestrator's own, by signing anew.
 * `renew` does it and answers with the validity of what it got; a failure is told and tried again.
 */
import type { Random } from '../core/base/prng.ts';
import { renewAtMs, renewRetryDelayMs, type Validity } from '../core/model/renewal.ts';
import type { Clock } from '../ports/clock.ts';

/** Timers hold at most 24.8 days, and a clock that was set meanwhile is noticed within this. */
const LOOK_EVERY_MS = 6 * 3_600_000;

/** A certificate cut short by the end of its authority is due at once, again and again: not in a tight loop. */
const PAUSE_MS = 10_000;

export interface RenewalComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly renew: () => Promise<Validity>;
  readonly failed: (error: unknown) => void;
}

export class Renewal {
  readonly #components: RenewalComponents;
  readonly #jitter: number;
  #validity: Validity;
  #cancelTimer: () => void = () => undefined;
  #stopped = false;

  constructor(components: RenewalComponents, validity: Validity) {
    this.#components = components;
    this.#jitter = components.random.next();
    this.#validity = validity;
  }

  start(): void {
    this.#lookAfter(this.#leftMs());
  }

  /** A renewal that is under way still ends; nothing follows it. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  #leftMs(): number {
    return renewAtMs(this.#validity, this.#jitter) - this.#components.clock.nowMs();
  }

  #lookAfter(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancelTimer = this.#components.clock.startTimer(Math.max(0, Math.min(delayMs, LOOK_EVERY_MS)), () => this.#look());
  }

  #look(): void {
    const leftMs = this.#leftMs();
    if (leftMs > 0) this.#lookAfter(leftMs);
    else void this.#renewNow();
  }

  async #renewNow(): Promise<void> {
    const { clock, random, renew, failed } = this.#components;
    try {
      this.#validity = await renew();
      this.#lookAfter(Math.max(PAUSE_MS, this.#leftMs()));
    } catch (error) {
      failed(error);
      this.#lookAfter(renewRetryDelayMs(this.#validity, clock.nowMs(), random.next()));
    }
  }
}
