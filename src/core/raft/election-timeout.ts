/**
 * How long a leader may be silent before another one is elected. It follows the round trip, as the leader measures it and
 * tells all with its heartbeats: on one site a lost leader is missed in a fraction of a second, and over a poor link a
 * lost packet is not taken for a death.
 */
import type { RaftInit } from './contract.ts';
import { remembered } from './round-trip.ts';

/** Shorter ones would take one lost packet for a death. */
const ROUND_TRIPS = 10;
const HEARTBEATS = 3;
/** Who campaigns asks once in up to two timeouts. */
const SILENT_TIMEOUTS = 3;

export class ElectionTimeout {
  readonly #leastMs: number;
  readonly #mostMs: number;
  #ms: number;
  #setAtMs = 0;

  constructor({ electionTimeoutMinMs, electionTimeoutMaxMs }: Pick<RaftInit, 'electionTimeoutMinMs' | 'electionTimeoutMaxMs'>) {
    this.#leastMs = this.#ms = electionTimeoutMinMs;
    this.#mostMs = electionTimeoutMaxMs;
  }

  get ms(): number {
    return this.#ms;
  }

  get heartbeatMs(): number {
    return this.#ms / HEARTBEATS;
  }

  /** Whoever says nothing for so long, though it is spoken to, is not there. */
  get silentMs(): number {
    return SILENT_TIMEOUTS * this.#ms;
  }

  /** Round trips beyond this make no difference. */
  get longestRoundTripMs(): number {
    return this.#mostMs / ROUND_TRIPS;
  }

  /** What one round trip was when the timeout was set, as far as that is still to be expected. */
  guessedRoundTripMs(nowMs: number): number {
    return remembered(this.#ms, nowMs - this.#setAtMs) / ROUND_TRIPS;
  }

  /** Who campaigns once more waits at random for up to this besides: twice as long each time. */
  spreadMs(failedCampaigns: number): number {
    return this.#within(this.#ms * 2 ** failedCampaigns);
  }

  /** For one who answers in this time. */
  patienceMs(roundTripMs: number): number {
    return Math.max(this.#ms, ROUND_TRIPS * roundTripMs);
  }

  /**
   * How long a leader that was elected within `tookMs` may say nothing yet: as long again as that. But those who voted for it
   * have waited since, and nobody has told them to wait for longer than the shortest timeout.
   */
  firstSilenceMs(tookMs: number): number {
    return Math.max(0, Math.min(tookMs, this.#leastMs / HEARTBEATS, this.#leastMs - 2 * tookMs));
  }

  /** By the leader's word. */
  set(ms: number, nowMs: number): void {
    this.#ms = Math.round(this.#within(ms));
    this.#setAtMs = nowMs;
  }

  /** By what a quorum takes to answer. */
  follow(roundTripMs: number, nowMs: number): void {
    this.set(ROUND_TRIPS * roundTripMs, nowMs);
  }

  /** Where an answer takes longer than the timeout, nobody would ever be elected, and no leader stay to measure it. */
  growFor(roundTripMs: number, nowMs: number): void {
    if (ROUND_TRIPS * roundTripMs > this.#ms) this.follow(roundTripMs, nowMs);
  }

  #within(ms: number): number {
    return Math.min(this.#mostMs, Math.max(this.#leastMs, ms));
  }
}
