/**
 * Whom a replica is connected with: those whom its own log names, and those for whom one of them has vouched. A replica
 * that was away knows nobody who is new since, maybe not even the leader; a member that it knows does. Only such a
 * member's word counts: whoever was removed could name anybody.
 */
import type { Membership, ReplicaId } from '../core/raft/membership.ts';

/** As the own log has it. */
interface Known {
  readonly peers: Membership;
  /** Grows with the memberships that are committed. */
  readonly peersVersion: number;
}

export class Vouching {
  #version = 0;
  #members: Membership = [];

  peers({ peers, peersVersion }: Known): Membership {
    // The own log says more by now.
    if (this.#version <= peersVersion) this.#members = [];
    return [...peers, ...this.#members.filter(({ id }) => !peers.some((peer) => peer.id === id))];
  }

  /** What `from` says of who belongs. Whether it is news, and to be believed. */
  heard(from: ReplicaId, said: { readonly version: number; readonly members: Membership }, known: Known): boolean {
    const isNews = said.version > Math.max(known.peersVersion, this.#version);
    if (!isNews || !known.peers.some(({ id }) => id === from)) return false;
    this.#version = said.version;
    this.#members = said.members;
    return true;
  }
}
