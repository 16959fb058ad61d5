/**
 * Linearizable reads by read index (Ongaro's dissertation, section 6.4): the leader notes its commit index, has a
 * quorum confirm that it still leads, and whoever asked waits until it has delivered that index. Reads that come while
 * a round is on its way share the next one.
 */
import { limits } from '../base/limits.ts';
import type { ReplicaId } from './membership.ts';

interface Asked {
  readonly read: number;
  /** The replica that asked; null: this one. */
  readonly to: ReplicaId | null;
}

export class Reads {
  /** Rounds are counted over all terms, so an answer to an old one confirms nothing new. */
  round = 0;
  #waiting: Asked[] = [];
  #inRound: Asked[] = [];
  #indexOfRound = 0;
  #reached = 0;
  #answers: { readonly to: ReplicaId; readonly read: number; readonly index: number }[] = [];
  /** Asked of the leader. */
  readonly #forwarded = new Map<number, number>();
  /** Confirmed: to be delivered up to the index first. */
  #confirmed: { readonly read: number; readonly index: number }[] = [];
  #refused: number[] = [];

  get isFull(): boolean {
    return this.#waiting.length + this.#inRound.length + this.#forwarded.size + this.#confirmed.length >= limits.raftReads;
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0 || this.#inRound.length > 0;
  }

  /** Whether reads wait and no round is on its way. */
  get wantsRound(): boolean {
    return this.#waiting.length > 0 && this.#inRound.length === 0;
  }

  asked(read: number, to: ReplicaId | null): void {
    this.#waiting.push({ read, to });
  }

  forwarded(read: number, deadlineMs: number): void {
    this.#forwarded.set(read, deadlineMs);
  }

  beginRound(commit: number): void {
    this.round += 1;
    this.#indexOfRound = commit;
    this.#inRound = this.#waiting;
    this.#waiting = [];
  }

  /** A quorum has confirmed this round. */
  roundReached(round: number): void {
    this.#reached = Math.max(this.#reached, round);
    if (this.#inRound.length > 0 && this.#reached >= this.round) {
      this.#confirm(this.#inRound, this.#indexOfRound);
      this.#inRound = [];
    }
  }

  /** The only voter needs nobody's word, also for a round that began when there were others. */
  confirmAll(commit: number | null): void {
    if (commit === null) return;
    this.#confirm(this.#inRound, this.#indexOfRound);
    this.#confirm(this.#waiting, commit);
    this.#inRound = [];
    this.#waiting = [];
  }

  #confirm(asked: readonly Asked[], index: number): void {
    for (const { to, read } of asked) {
      if (to === null) this.#confirmed.push({ read, index });
      else this.#answers.push({ to, read, index });
    }
  }

  takeAnswers(): readonly { readonly to: ReplicaId; readonly read: number; readonly index: number }[] {
    return this.#answers.splice(0);
  }

  /** The leader's answer to one that was forwarded. */
  answered(read: number, index: number | null): void {
    if (!this.#forwarded.delete(read)) return;
    if (index === null) this.#refused.push(read);
    else this.#confirmed.push({ read, index });
  }

  /** Reads that need wait no longer. */
  ready(delivered: number): readonly { readonly read: number; readonly index: number | null }[] {
    if (this.#confirmed.length === 0 && this.#refused.length === 0) return [];
    const refused = this.#refused.splice(0).map((read) => ({ read, index: null }));
    const ready = this.#confirmed.filter(({ index }) => index <= delivered);
    this.#confirmed = this.#confirmed.filter(({ index }) => index > delivered);
    return [...refused, ...ready];
  }

  /** When the first of those that were forwarded is given up. */
  get deadlineMs(): number {
    return Math.min(...this.#forwarded.values());
  }

  expired(nowMs: number): readonly number[] {
    const late = [...this.#forwarded].filter(([, deadlineMs]) => nowMs >= deadlineMs).map(([read]) => read);
    for (const read of late) this.#forwarded.delete(read);
    return late;
  }

  /** The leadership has changed: none of these is confirmed any more. What is confirmed stays so. */
  dropAll(): readonly Asked[] {
    const dropped: Asked[] = [
      ...this.#waiting,
      ...this.#inRound,
      ...[...this.#forwarded.keys()].map((read) => ({ read, to: null })),
    ];
    this.#waiting = [];
    this.#inRound = [];
    this.#forwarded.clear();
    return dropped;
  }
}
