/**
 * Who leads, in the words of a log's listener. A replica that is elected leads once it knows all that earlier leaders
 * committed: when an entry of its own term is (Raft, section 8), or at once if everything that its log held when it was
 * elected has been delivered, since a leader's log lacks nothing that is committed (5.4). On demand it also waits for the
 * loads of all who are there, which come with their votes, until that entry is committed at the latest.
 */
import type { Leadership } from '../core/model/leadership.ts';
import type { RaftInit } from '../core/raft/contract.ts';
import { type ReplicaId, votersOf } from '../core/raft/membership.ts';
import type { RaftStatus } from '../core/raft/raft.ts';

export class ReplicaLeadership {
  readonly #self: ReplicaId;
  readonly #isOnDemand: boolean;
  #term = 0;
  #leader: ReplicaId | null = null;
  #leads = false;
  #pausedUnder: ReplicaId | null = null;
  /** Those whose votes have been heard of the election that this replica won. */
  #voters = new Set<ReplicaId>();

  constructor({ id, leadership }: RaftInit) {
    this.#self = id;
    this.#isOnDemand = leadership === 'on-demand';
  }

  /** null: it is this replica itself, or the group has not paused. */
  get otherPausedUnder(): ReplicaId | null {
    return this.#pausedUnder === this.#self ? null : this.#pausedUnder;
  }

  get term(): number {
    return this.#term;
  }

  /** null: nobody, or this replica itself. */
  get otherLeader(): ReplicaId | null {
    return this.#leader === this.#self ? null : this.#leader;
  }

  /** Elected, and it does not lead yet. */
  get isElected(): boolean {
    return this.#leader === this.#self && !this.#leads;
  }

  restored(term: number): void {
    this.#term = term;
  }

  /** Whether it is news. */
  changed(term: number, leader: ReplicaId | null, pausedUnder: ReplicaId | null, voters: readonly ReplicaId[]): boolean {
    const isNews = term !== this.#term || leader !== this.#leader || pausedUnder !== this.#pausedUnder;
    this.#pausedUnder = pausedUnder;
    this.#term = term;
    this.#leader = leader;
    this.#voters = new Set(voters);
    if (isNews) this.#leads = false;
    return isNews;
  }

  voteHeard(voter: ReplicaId): void {
    this.#voters.add(voter);
  }

  /** Entries up to one of this term are delivered. Whether this replica leads from here on. */
  delivered(term: number): boolean {
    return this.#begin(term === this.#term);
  }

  /** Whether this replica leads from here on, although no entry of its own is committed. `index`: the last one delivered. */
  knowsAll(index: number, { ownTermIndex, membership }: RaftStatus, connected: ReadonlySet<ReplicaId>): boolean {
    const voters = votersOf(membership);
    const isComplete = index >= ownTermIndex - 1 && voters.length > 1;
    const untold = voters.filter((voter) => connected.has(voter) && !this.#voters.has(voter));
    return this.#begin(isComplete && !(this.#isOnDemand && untold.length > 0));
  }

  view(nameOf: (id: ReplicaId | null) => string | null): Leadership {
    const [leads, term] = [this.#leads, this.#term];
    // One that is elected and does not lead yet is of no use to anybody: then nobody leads.
    const leader = nameOf(leads ? this.#self : this.otherLeader);
    const votes = [...this.#voters].flatMap((voter) => nameOf(voter) ?? []);
    if (!this.#isOnDemand) return { leads, term, leader };
    return { leads, term, leader, pausedUnder: nameOf(this.#pausedUnder), ...(leads ? { votes } : {}) };
  }

  #begin(isReady: boolean): boolean {
    if (!isReady || this.#leads || this.#leader !== this.#self) return false;
    this.#leads = true;
    return true;
  }
}
