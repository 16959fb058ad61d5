/**
 * Links between the replicas of one orchestrator. WebSockets on the one TLS port and the simulated network stand
 * behind it, and one conformance suite (test/conformance/peer-link.ts).
 *
 * Promises every adapter keeps:
 *  N1. While a connection lasts frames arrive in order, unaltered, at most once; what was on the way when it ended is
 *      lost, and both sides are told of the end.
 *  N2. Only a replica of the membership is connected, under the id that its certificate stands for.
 *  N3. What waits for a slow peer is bounded (limits.peerOutgoingBytes); beyond it frames are dropped, never memory spent.
 *  N4. The listener is never called inside a call, and never after `close`.
 */
import type { Membership, ReplicaId } from '../core/raft/membership.ts';

export interface PeerListener {
  connected(peer: ReplicaId): void;
  /** The frame is the listener's to read, not to keep. */
  received(peer: ReplicaId, frame: Uint8Array): void;
  disconnected(peer: ReplicaId): void;
}

export interface PeerLink {
  open(listener: PeerListener): void;
  /**
   * Whom to be connected with; connections to others end. An empty one changes nothing: a replica that joins has a log
   * that names nobody yet, and knows only whom it was told of.
   */
  setPeers(membership: Membership): void;
  /** Up to limits.peerFrameBytes. Dropped when there is no connection. */
  send(peer: ReplicaId, frame: Uint8Array): void;
  /** What it sent is nothing that a replica sends: the connection ends with `invalid_request`, and is tried again after a pause. */
  refuse(peer: ReplicaId): void;
  close(): Promise<void>;
}
