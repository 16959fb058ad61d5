/**
 * Brings the group of replicas to what is wanted, one step at a time, while this replica leads (core/raft/next-change.ts
 * says which step). What is not ready yet, such as a learner that is catching up, is looked at again after a pause; a
 * group that is as wanted costs nothing.
 */
import type { ReplicaRecord } from '../core/model/replicas.ts';
import { type Membership, type ReplicaId, votersOf } from '../core/raft/membership.ts';
import { type GroupNow, nextGroupStep } from '../core/raft/next-change.ts';
import type { Clock } from '../ports/clock.ts';
import type { RaftLog } from './raft-log.ts';

/** As long as a leader may wait for its successor: some elections. */
const HAND_OVER_MS = 1_000;
/** How long until a step that was not possible is tried again, doubled each time up to the longest. */
const PAUSE_MS = 100;
const PAUSE_MAX_MS = 10_000;

export interface ReplicaKeeperComponents {
  readonly clock: Clock;
  readonly log: Pick<RaftLog, 'status' | 'connected' | 'changeMembership' | 'transferTo' | 'wantLeadership'>;
  readonly wanted: () => Iterable<ReplicaRecord>;
  readonly told: (message: string, details: Readonly<Record<string, string>>) => void;
}

export class ReplicaKeeper {
  readonly #components: ReplicaKeeperComponents;
  readonly #self: ReplicaId;
  #isBusy = false;
  #isClosed = false;
  #pauseMs = PAUSE_MS;
  #cancelTimer: () => void = () => undefined;
  #whenFollowing: () => void = () => undefined;

  constructor(components: ReplicaKeeperComponents, self: ReplicaId) {
    this.#components = components;
    this.#self = self;
  }

  /** Something may have changed: what is wanted, the group, who leads. */
  changed(): void {
    const status = this.#components.log.status;
    if (status?.role !== 'leader' && (status?.leader ?? null) !== null) this.#whenFollowing();
    this.#pauseMs = PAUSE_MS;
    this.#look();
  }

  /** Before this replica goes: lets a voter lead that is there and has most. Resolves when another one leads, or nobody can. */
  async handOver(): Promise<void> {
    const now = this.#now();
    if (now === null) return;
    const { connected } = this.#components.log;
    const matchedBy = (id: ReplicaId) => now.matched.get(id) ?? 0;
    const heirs = votersOf(now.membership).filter((id) => connected.has(id));
    const [to] = heirs.sort((a, b) => matchedBy(b) - matchedBy(a));
    if (to !== undefined) await this.#handOverTo(to);
  }

  #look(): void {
    if (this.#isBusy || this.#isClosed) return;
    this.#cancelTimer();
    const now = this.#now();
    if (now === null) {
      this.#wakePaused();
      return;
    }
    const step = nextGroupStep(this.#components.wanted(), now);
    if (step !== null) void this.#take(step);
    else if (!this.#isAsWanted(now.membership)) this.#lookLater();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
  }

  async #take(step: NonNullable<ReturnType<typeof nextGroupStep>>): Promise<void> {
    const { log, told } = this.#components;
    this.#isBusy = true;
    if (step.type === 'transfer') await this.#handOverTo(step.to);
    else {
      const refusal = await log.changeMembership(step.change);
      if (refusal === null) told('the group of replicas has changed', { change: describe(step.change) });
    }
    this.#isBusy = false;
    this.#lookLater();
  }

  async #handOverTo(to: ReplicaId): Promise<void> {
    const { log, told, clock } = this.#components;
    told('handing the leadership over', { to });
    const done = new Promise<void>((resolve) => {
      const cancelTimer = clock.startTimer(HAND_OVER_MS, resolve);
      this.#whenFollowing = () => {
        cancelTimer();
        resolve();
      };
    });
    log.transferTo(to);
    await done;
  }

  #lookLater(): void {
    this.#cancelTimer();
    if (this.#isClosed) return;
    this.#cancelTimer = this.#components.clock.startTimer(this.#pauseMs, () => this.#look());
    this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MAX_MS);
  }

  /** On demand nobody leads who could take the next step: then whoever sees that it is missing does. */
  #wakePaused(): void {
    const { log } = this.#components;
    const status = log.status;
    if (!status?.isPaused || this.#isAsWanted(status.membership)) return;
    log.wantLeadership();
    this.#lookLater();
  }

  /** null: this replica does not lead. */
  #now(): GroupNow | null {
    const status = this.#components.log.status;
    if (status?.role !== 'leader') return null;
    const { membership, matched, commit } = status;
    return { self: this.#self, membership, matched, commit };
  }

  #isAsWanted(membership: Membership): boolean {
    const wanted = [...this.#components.wanted()];
    return (
      wanted.length === membership.length &&
      wanted.every(({ id, url, role }) => membership.some((one) => one.id === id && one.url === url && one.role === role))
    );
  }
}

function describe(change: Parameters<RaftLog['changeMembership']>[0]): string {
  if (change.do === 'add') return `${change.replica.name} added as a ${change.replica.role}`;
  if (change.do === 'setRole') return `${change.id} is a ${change.role}`;
  return change.do === 'remove' ? `${change.id} removed` : `${change.id} is at ${change.url}`;
}
