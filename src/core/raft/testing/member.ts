/** A simulated replica: a disk and a clock that outlive its processes, and what the checks have to know of it. */
import { assert } from '../../base/assert.ts';
import type { RaftEffect } from '../contract.ts';
import type { ReplicaId } from '../membership.ts';
import type { RaftEntry } from '../messages.ts';
import type { Raft, RaftStatus } from '../raft.ts';
import { Disk } from './disk.ts';

type Send = Extract<RaftEffect, { type: 'send' }>;

/** A clock that runs a little fast or slow, began at some moment of its own, and stands while the machine sleeps. */
export class MemberClock {
  readonly #rate: number;
  readonly #startMs: number;
  #sleptMs = 0;

  constructor(rate: number, startMs: number) {
    this.#rate = rate;
    this.#startMs = startMs;
  }

  /** What it shows at a moment of the run. */
  at(worldMs: number): number {
    return this.#startMs + (worldMs - this.#sleptMs) * this.#rate;
  }

  /** How much of the run's time passes until it shows `localMs`. */
  until(localMs: number, worldMs: number): number {
    return Math.max(0, (localMs - this.at(worldMs)) / this.#rate);
  }

  sleep(ms: number): void {
    this.#sleptMs += ms;
  }
}

/** The log as its replica holds it in memory, followed from its effects. */
export class Mirror {
  #baseIndex = 0;
  #baseTerm = 0;
  #entries: RaftEntry[] = [];

  get baseIndex(): number {
    return this.#baseIndex;
  }

  get lastIndex(): number {
    return this.#baseIndex + this.#entries.length;
  }

  at(index: number): RaftEntry | undefined {
    return this.#entries[index - this.#baseIndex - 1];
  }

  termAt(index: number): number | null {
    if (index === this.#baseIndex) return this.#baseTerm;
    return this.at(index)?.term ?? null;
  }

  reset(index: number, term: number, entries: readonly RaftEntry[] = []): void {
    this.#baseIndex = index;
    this.#baseTerm = term;
    this.#entries = [...entries];
  }

  replace(entries: readonly RaftEntry[]): void {
    const [first] = entries;
    if (!first) return;
    assert(first.index > this.#baseIndex && first.index <= this.lastIndex + 1, `entry ${first.index} has no gap before`);
    this.#entries.length = first.index - this.#baseIndex - 1;
    this.#entries.push(...entries);
  }
}

export class Member {
  readonly id: ReplicaId;
  readonly number: number;
  readonly disk = new Disk();
  readonly clock: MemberClock;
  readonly log = new Mirror();
  raft: Raft | null = null;
  status: RaftStatus | null = null;
  /** Counts its processes: what belongs to an earlier one never happens. */
  life = 0;
  /** The last write that is durable, and messages that wait for a later one. */
  durable = 0;
  held: Send[] = [];
  diskBusyUntilMs = 0;
  slowDiskUntilMs = 0;
  /** What each of its syncs takes; null: as the cluster's knobs say. */
  syncMs: number | null = null;
  /** Stopped, with what happens to it meanwhile. */
  isStopped = false;
  isAsleep = false;
  waiting: (() => void)[] = [];
  wakeAtMs = Number.POSITIVE_INFINITY;
  /** What its state machine has applied, by index from 1 on. */
  applied: string[] = [];
  snapshotIndex = 0;
  /** Its disk is damaged: it never comes back. */
  isLost = false;
  /** Asked in this life and not yet answered. */
  readonly proposals = new Map<number, string>();
  readonly reads = new Map<number, number>();

  constructor(id: ReplicaId, number: number, clock: MemberClock) {
    this.id = id;
    this.number = number;
    this.clock = clock;
  }

  get appliedIndex(): number {
    return this.applied.length;
  }
}
