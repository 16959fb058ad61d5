/**
 * What lies between simulated replicas: datagrams that are delayed, lost, repeated and overtake each other, on ways that
 * may be cut in one direction. A connection as TCP gives one is the tame case of it: in order, and late instead of lost.
 */
import { chance, type Random } from '../../base/prng.ts';
import type { ReplicaId } from '../membership.ts';
import type { RaftMessage } from '../messages.ts';

export interface NetworkKnobs {
  /** One way, at least ... */
  readonly latencyMs: number;
  /** ... and up to this much longer. */
  readonly jitterMs: number;
  readonly lossRate: number;
  readonly repeatRate: number;
  /** Some take many times as long, so that others overtake them. */
  readonly strayRate: number;
  /** In order, and what is lost is sent again after this: TCP's retransmission timeout, doubled each time. */
  readonly retransmitMs: number | null;
}

/** Tame, and quick. */
export const CALM_NETWORK: NetworkKnobs = {
  latencyMs: 0.2,
  jitterMs: 2,
  lossRate: 0,
  repeatRate: 0,
  strayRate: 0,
  retransmitMs: null,
};

export interface NetworkComponents {
  readonly random: Random;
  readonly now: () => number;
  readonly after: (delayMs: number, run: () => void) => void;
  readonly deliver: (from: ReplicaId, to: ReplicaId, message: RaftMessage) => void;
  readonly fired: (what: string) => void;
}

/** How much longer a stray takes. */
const STRAY_TIMES = 20;
const STRAY_MAX_MS = 3_000;
/** A packet that is sent again and again is given up with its connection; some seconds are as long as anyone waits. */
const RETRANSMISSIONS_MAX = 6;

export class Network {
  knobs: NetworkKnobs;
  messages = 0;
  readonly #components: NetworkComponents;
  readonly #cut = new Set<string>();
  readonly #left = new Map<ReplicaId, number>();
  readonly #extraMs = new Map<string, number>();
  readonly #lastArrivalMs = new Map<string, number>();

  constructor(components: NetworkComponents, knobs: NetworkKnobs) {
    this.#components = components;
    this.knobs = knobs;
  }

  /** Nothing passes this way any more, whatever is on it included. */
  cut(from: ReplicaId, to: ReplicaId): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** So many more of its messages pass, and then none. */
  cutAfter(from: ReplicaId, messages: number): void {
    this.#left.set(from, messages);
  }

  slow(from: ReplicaId, to: ReplicaId, extraMs: number): void {
    this.#extraMs.set(`${from}>${to}`, extraMs);
  }

  heal(): void {
    this.#cut.clear();
    this.#left.clear();
    this.#extraMs.clear();
  }

  isCut(from: ReplicaId, to: ReplicaId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  send(from: ReplicaId, to: ReplicaId, message: RaftMessage): void {
    const { random, fired } = this.#components;
    const { lossRate, repeatRate, retransmitMs } = this.knobs;
    this.messages += 1;
    if (this.isCut(from, to) || this.#isSpent(from)) return;
    if (retransmitMs !== null) {
      this.#sendInOrder(from, to, message, retransmitMs);
      return;
    }
    if (chance(random, lossRate)) {
      fired('loss');
      return;
    }
    this.#carry(from, to, message, this.#delayMs(from, to));
    if (!chance(random, repeatRate)) return;
    fired('repeat');
    this.#carry(from, to, message, Math.min(5 * this.#delayMs(from, to), STRAY_MAX_MS));
  }

  #isSpent(from: ReplicaId): boolean {
    const left = this.#left.get(from);
    if (left === undefined) return false;
    if (left > 0) this.#left.set(from, left - 1);
    return left === 0;
  }

  #sendInOrder(from: ReplicaId, to: ReplicaId, message: RaftMessage, retransmitMs: number): void {
    const { random, now, fired } = this.#components;
    const way = `${from}>${to}`;
    let delayMs = this.#delayMs(from, to);
    for (let tries = 0; tries < RETRANSMISSIONS_MAX && chance(random, this.knobs.lossRate); tries += 1) {
      fired('loss');
      delayMs += retransmitMs * 2 ** tries;
    }
    const arrivalMs = Math.max(now() + delayMs, this.#lastArrivalMs.get(way) ?? 0);
    this.#lastArrivalMs.set(way, arrivalMs);
    this.#carry(from, to, message, arrivalMs - now());
  }

  #carry(from: ReplicaId, to: ReplicaId, message: RaftMessage, delayMs: number): void {
    this.#components.after(delayMs, () => {
      if (!this.isCut(from, to)) this.#components.deliver(from, to, message);
    });
  }

  #delayMs(from: ReplicaId, to: ReplicaId): number {
    const { random, fired } = this.#components;
    const { latencyMs, jitterMs, strayRate } = this.knobs;
    const delayMs = latencyMs + random.next() * jitterMs + (this.#extraMs.get(`${from}>${to}`) ?? 0);
    if (!chance(random, strayRate)) return delayMs;
    fired('overtaken');
    return Math.min(delayMs * STRAY_TIMES, STRAY_MAX_MS);
  }
}
