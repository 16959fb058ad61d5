/**
 * On demand: what replicas tell each other of their children (ADR 0013). With its vote each tells all it sees; whoever
 * could not vote tells the new leader, and so does who has seen something since it voted. A replica that was elected takes
 * it in when it leads: what is spoken of may be in entries that it has not been delivered yet.
 */
import type { GrantedVote } from '../core/raft/contract.ts';
import type { ReplicaId } from '../core/raft/membership.ts';
import type { PeerMessage } from '../core/raft/messages.ts';
import type { ReplicaLeadership } from './replica-leadership.ts';

export interface PeerTellingComponents {
  readonly leadership: ReplicaLeadership;
  readonly send: (to: ReplicaId, message: PeerMessage) => void;
  /** null: there is nothing to tell, ever. */
  readonly attachment: () => Uint8Array | null;
  readonly told: (replica: string, attachment: Uint8Array) => void;
  /** null: it is no member. */
  readonly nameOf: (id: ReplicaId) => string | null;
}

export class PeerTelling {
  readonly #components: PeerTellingComponents;
  /** Heard since this replica was elected. */
  #untold: GrantedVote[] = [];
  /** Something has changed here since this replica voted, and nobody was there to be told. */
  #hasNews = false;

  constructor(components: PeerTellingComponents) {
    this.#components = components;
  }

  /** Asks everyone who is there what they see of their children. */
  ask(connected: Iterable<ReplicaId>): void {
    const { leadership, send } = this.#components;
    for (const peer of connected) send(peer, { type: 'ask', term: leadership.term });
  }

  /** Tells whoever leads, or in a pause that is told of, has led last, what has changed here. */
  tell({ whilePaused }: { readonly whilePaused: boolean }): void {
    const { otherLeader, otherPausedUnder } = this.#components.leadership;
    const to = otherLeader ?? (whilePaused ? otherPausedUnder : null);
    this.#hasNews = to === null;
    if (to !== null) this.tellTo(to);
  }

  tellTo(peer: ReplicaId): void {
    const { leadership, send, attachment: seen } = this.#components;
    const attachment = seen();
    if (attachment !== null) send(peer, { type: 'tell', term: leadership.term, attachment });
  }

  /** The vote that goes out has all there is to tell. */
  voted(): void {
    this.#hasNews = false;
  }

  /** `votedFor`: by this replica, in this term. */
  leadershipChanged(leader: ReplicaId | null, votedFor: ReplicaId | null, votes: readonly GrantedVote[]): void {
    this.#untold = [...votes];
    if (leader !== null && (votedFor !== leader || this.#hasNews)) this.tell({ whilePaused: false });
  }

  heard(vote: GrantedVote): void {
    if (this.#components.leadership.isElected) this.#untold.push(vote);
    else this.#takeIn(vote);
  }

  /** This replica leads. */
  led(): void {
    for (const vote of this.#untold.splice(0)) this.#takeIn(vote);
  }

  #takeIn({ voter, attachment }: GrantedVote): void {
    const name = this.#components.nameOf(voter);
    if (attachment !== null && name !== null) this.#components.told(name, attachment);
  }
}
