/**
 * One replica's way through the log: catches up from a consistent cut, then follows a watch. What it has read it
 * delivers at once, in order; what etcd ought to have and does not is found here.
 */
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { LogEntry } from '../../ports/log.ts';
import { isTrouble } from './etcd-error.ts';
import type { Change, Page } from './map.ts';
import { pause } from './pause.ts';
import { type Append, RecordReader } from './records.ts';
import { type Cut, type Leader, readLeader, type StoredHead, type StoredLog } from './stored-log.ts';

/** How often a follower looks whether its watch still tells it everything: as often as a leader renews its lease. */
const CHECK_MS = (limits.etcdLeaseSeconds * 1_000) / 3;

export interface ReplicaListener {
  restored(content: Uint8Array, index: number): void;
  committed(entries: readonly LogEntry[]): void;
}

export class Replica {
  readonly #clock: Clock;
  readonly #stored: StoredLog;
  readonly logId: string;
  readonly #listener: ReplicaListener;
  readonly #reader = new RecordReader();
  /** Of the record before the next; null: there has never been one. It is never deleted, so it shows that etcd goes on. */
  #previousRevision: number | null = null;
  #isFresh = true;
  head: StoredHead | null = null;

  /** `logId` never changes. */
  constructor(clock: Clock, stored: StoredLog, logId: string, listener: ReplicaListener) {
    this.#clock = clock;
    this.#stored = stored;
    this.logId = logId;
    this.#listener = listener;
  }

  /** The last index delivered. */
  get index(): number {
    return this.#reader.index;
  }

  get nextRecord(): number {
    return this.#reader.nextRecord;
  }

  get previousRevision(): number | null {
    return this.#previousRevision;
  }

  /** Delivers everything up to a revision, and gives what was at that revision. */
  async catchUp(signal: AbortSignal): Promise<Cut> {
    for (;;) {
      const cut = await this.#stored.cut(this.nextRecord, signal);
      this.#mustGoOn(cut);
      this.head = cut.head;
      try {
        let page = (await this.#restore(cut, signal)) ? await this.#pageAt(cut, signal) : cut.records;
        this.#isFresh = false;
        for (; ; page = await this.#pageAt(cut, signal)) {
          this.#readPage(page);
          if (!page.hasMore) return cut;
        }
      } catch (error) {
        // The history was compacted while it was read: so there is a newer state to read.
        if (!isTrouble(error, 'compacted')) throw error;
      }
    }
  }

  /** Delivers what comes after `cut` until it is time to catch up again: nobody leads, or something was missed. */
  async follow(cut: Cut, signal: AbortSignal, leaderChanged: (leader: Leader) => void): Promise<void> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    let failure: unknown = null;
    const checking = this.#check(either)
      .catch((error: unknown) => {
        failure = error;
      })
      .finally(() => over.abort());
    try {
      await this.#stored.map.watch(this.#stored.keys.leaderAndRecords, cut.revision + 1, either, (changes) => {
        if (!this.#take(changes, leaderChanged)) over.abort();
      });
    } catch (error) {
      if (!isTrouble(error, 'compacted')) throw error;
    } finally {
      over.abort();
      await checking;
    }
    if (failure !== null && !signal.aborted) throw failure;
  }

  /** This replica has appended it, at that revision. */
  appended(append: Append, revision: number): void {
    this.#reader.appended(append);
    this.#previousRevision = revision;
  }

  /** For a snapshot up to `index`: where to read on behind it, and what to keep so that one who is late need not be restored. */
  recordsAround(index: number): { readonly nextRecord: number; readonly oldestRecord: number } {
    const nextRecord = this.#reader.recordAfter(index);
    const tail = this.#reader.cutTail(index, limits.logTailEntries, limits.etcdTailBytes);
    return { nextRecord, oldestRecord: Math.max(1, Math.min(tail, nextRecord - 1)) };
  }

  /** etcd may not have less than it has shown before: it would be another one, or one from a backup. */
  #mustGoOn({ id, head, previousRevision }: Cut): void {
    if (id !== this.logId) throw new CodedError('etcd_damaged', id === null ? 'the log is gone' : 'another log is in its place');
    if (this.#previousRevision === null || this.#previousRevision === previousRevision) return;
    const isDeleted = previousRevision === null && head !== null && head.oldestRecord >= this.nextRecord;
    if (!isDeleted) throw new CodedError('etcd_damaged', `record ${this.nextRecord - 1} is no longer what it was`);
  }

  /** Whether there was a snapshot to restore. */
  async #restore({ head, revision }: Cut, signal: AbortSignal): Promise<boolean> {
    if (head === null || !(this.#isFresh || head.oldestRecord > this.nextRecord)) return false;
    // What is gone may have been the beginning of an entry that was never finished, and nothing else.
    const isNews = this.#isFresh || head.index > this.index;
    const content = isNews ? await this.#stored.snapshotAt(head, revision, signal) : null;
    const previous = await this.#stored.revisionOf(head.nextRecord - 1, revision, signal);
    if (previous === null && head.nextRecord > 1)
      throw new CodedError('etcd_damaged', `record ${head.nextRecord - 1} is missing`);
    this.#reader.restore(head.index, head.nextRecord);
    this.#previousRevision = previous;
    if (content !== null) this.#listener.restored(content, head.index);
    return true;
  }

  #pageAt(cut: Cut, signal: AbortSignal): Promise<Page> {
    return this.#stored.recordsAt(this.nextRecord, cut.revision, signal);
  }

  #readPage({ items }: Page): void {
    const entries: LogEntry[] = [];
    for (const { key, value, revision } of items) {
      const number = this.#stored.keys.recordNumber(key);
      if (number !== this.nextRecord) throw new CodedError('etcd_damaged', `${key} is there, but not record ${this.nextRecord}`);
      entries.push(...this.#reader.read(value));
      this.#previousRevision = revision;
    }
    if (entries.length > 0) this.#listener.committed(entries);
  }

  /** Whether everything was understood and there is still a leader. */
  #take(changes: readonly Change[], leaderChanged: (leader: Leader) => void): boolean {
    const entries: LogEntry[] = [];
    let goesOn = true;
    for (const { key, item, revision } of changes) {
      if (key === this.#stored.keys.leader) {
        const leader = readLeader(item);
        goesOn = leader !== null;
        if (leader !== null) leaderChanged(leader);
        continue;
      }
      const number = this.#stored.keys.recordNumber(key);
      // Deleted behind a snapshot; or put there once more by a request that came late: no reader looks there.
      if (item === null || number === null || number < this.nextRecord) continue;
      if (number > this.nextRecord) {
        goesOn = false;
        break;
      }
      entries.push(...this.#reader.read(item.value));
      this.#previousRevision = revision;
    }
    if (entries.length > 0) this.#listener.committed(entries);
    return goesOn;
  }

  /** Ends when there is no leader, or when a record is there that the watch has kept back since the last look. */
  async #check(signal: AbortSignal): Promise<void> {
    const { map, keys } = this.#stored;
    let overdue: number | null = null;
    for (;;) {
      await pause(this.#clock, CHECK_MS, signal);
      if (signal.aborted) return;
      const { nextRecord } = this;
      const gets = [keys.leader, keys.record(nextRecord)].map((key) => ({ type: 'get', key, keysOnly: true }) as const);
      const { found } = await map.look(gets, signal);
      const [leader, record] = found;
      if (leader?.items.length === 0) return;
      if (record?.items.length === 0) overdue = null;
      else if (overdue === nextRecord && this.nextRecord === nextRecord) return;
      else overdue = nextRecord;
    }
  }
}
