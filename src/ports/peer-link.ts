/**
 * Links between the replicas of one orchestrator. WebSockets on the one TLS port and the simulated network stand
 * behind it.
 *
 * Promises every adapter keeps:
 *  N1. While a connection lasts frames arrive in order, unaltered, at most once; what was on the way when it ended is
 *      lost, and both sides are told of the end.
 *  N2. Only a replica of the membership is connected, under the id that its certificate stands for.
 *  N3. What waits for a slow peer is bounded (limits.peerOutgoingBytes); beyond it frames are dropped, never memory spent.
 */
import type { Membership, ReplicaId } from '../core/raft/membership.ts';

export interface PeerListener {
  connected(peer: ReplicaId): void;
  received(peer: ReplicaId, frame: Uint8Array): void;
  disconnected(peer: ReplicaId): void;
}

export interface PeerLink {
  open(listener: PeerListener): void;
  /** Whom to be connected with; connections to others end. */
  setPeers(membership: Membership): void;
  /** Dropped when there is no connection. */
  send(peer: ReplicaId, frame: Uint8Array): void;
  close(): Promise<void>;
}
