/**
 * The disk of a simulated machine: the memory log and store of one machine share it, and it survives what
 * they do not. A write becomes durable when its sync ends, `syncMs` later, one sync after the other; a crash
 * before that loses it, or, as with a real disk, may keep the first few of what was under way, or tear one.
 */
import { chance, integerBetween, type Random } from '../../core/base/prng.ts';
import type { CodedError } from '../../core/model/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import { damagedRecord, NO_RAFT, type RaftContent, tear } from './raft-content.ts';

export interface StoredSnapshot {
  readonly content: Uint8Array;
  readonly index: number;
}

/** What is durable. The log's entries follow its snapshot without gaps. */
export interface DiskContent {
  snapshot: StoredSnapshot | null;
  entries: Uint8Array[];
  readonly raft: RaftContent;
  readonly documents: Map<string, Uint8Array>;
}

interface PendingWrite {
  readonly apply: (content: DiskContent) => void;
}

export class MemoryDisk {
  readonly content: DiskContent = {
    snapshot: null,
    entries: [],
    raft: { ...NO_RAFT },
    documents: new Map(),
  };
  /** How long one sync takes. */
  syncMs = 0;
  /** While set, every write fails with it and changes nothing. */
  failure: CodedError | null = null;
  /** Writes that became durable: an idle machine adds none. */
  syncs = 0;
  /** Writes that were torn, and found to be. */
  tornWrites = 0;
  /** The log that has it open, so that a second one is refused. */
  logOwner: object | null = null;

  readonly #clock: Clock;
  #pending: PendingWrite[] = [];
  #busyUntilMs = 0;
  #life = 0;
  /** What was there before a write that was torn. */
  #beforeTear: RaftContent | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What a process has of the disk, until the next crash. */
  attach(): DiskAttachment {
    return new DiskAttachment(this, this.#life);
  }

  /**
   * Kills the machine's processes: none of their callbacks comes any more. Of the writes under way a random
   * first part survives when `random` is given, else none; with `tearRate` the next one may be torn.
   */
  crash(random?: Random, tearRate = 0): void {
    const survivors = random ? integerBetween(random, 0, this.#pending.length) : 0;
    for (const write of this.#pending.slice(0, survivors)) write.apply(this.content);
    const next = this.#pending[survivors];
    if (random && next && chance(random, tearRate)) this.#tear(next, random);
    this.#pending = [];
    this.#busyUntilMs = 0;
    this.#life += 1;
    this.logOwner = null;
  }

  #tear({ apply }: PendingWrite, random: Random): void {
    const before = { ...this.content.raft };
    apply(this.content);
    if (tear(this.content.raft, before, random)) this.#beforeTear = before;
  }

  /** At the start: a torn write is found by its checksum, and the disk is as it was before it. What it says is damaged otherwise; null: nothing. */
  recover(): string | null {
    const { raft } = this.content;
    const damage = damagedRecord(raft);
    if (damage === null || this.#beforeTear === null) return damage;
    Object.assign(raft, this.#beforeTear);
    this.#beforeTear = null;
    this.tornWrites += 1;
    return damagedRecord(raft);
  }

  isCurrent(life: number): boolean {
    return life === this.#life;
  }

  defer(life: number, callback: () => void): void {
    this.#clock.startTimer(0, () => {
      if (this.isCurrent(life)) callback();
    });
  }

  write(life: number, apply: (content: DiskContent) => void, done: (failure: CodedError | null) => void): void {
    if (!this.isCurrent(life)) return;
    const write = { apply };
    this.#pending.push(write);
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#clock.nowMs()) + this.syncMs;
    this.#clock.startTimer(this.#busyUntilMs - this.#clock.nowMs(), () => {
      if (!this.isCurrent(life)) return;
      this.#pending.splice(this.#pending.indexOf(write), 1);
      const { failure } = this;
      if (!failure) {
        apply(this.content);
        this.syncs += 1;
      }
      done(failure);
    });
  }
}

export class DiskAttachment {
  readonly disk: MemoryDisk;
  readonly #life: number;

  constructor(disk: MemoryDisk, life: number) {
    this.disk = disk;
    this.#life = life;
  }

  /** Calls back later, unless the machine crashes first. */
  defer(callback: () => void): void {
    this.disk.defer(this.#life, callback);
  }

  /** `apply` and then `done` happen together, when the sync ends; after a crash neither does. */
  write(apply: (content: DiskContent) => void, done: (failure: CodedError | null) => void): void {
    this.disk.write(this.#life, apply, done);
  }
}
