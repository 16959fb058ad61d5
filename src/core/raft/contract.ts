/** What goes into a Raft replica and what comes out of it; see raft.ts for the order in which effects are carried out. */
import type { Proposal } from '../log/proposal-queue.ts';
import type { ProposalFate } from '../model/leadership.ts';
import type { Membership, Replica, ReplicaId } from './membership.ts';
import type { RaftEntry, RaftMessage, SnapshotHead } from './messages.ts';

/** What must not be forgotten: durable before a message that depends on it. */
export interface Ballot {
  readonly term: number;
  readonly votedFor: ReplicaId | null;
}

export interface HardState extends Ballot {
  /**
   * What was known to be committed when it was written; more may be. Not what safety needs, and no write of its own: with
   * it a replica that starts without a quorum knows all but the last of what it knew, and not its last snapshot alone.
   */
  readonly commit: number;
}

/** What a storage gave back at the start. `entries` follow the snapshot without gaps. */
export interface RestoredReplica {
  readonly hard: HardState;
  readonly snapshot: SnapshotHead | null;
  readonly entries: readonly RaftEntry[];
}

export type MembershipChange =
  | { readonly do: 'add'; readonly replica: Replica }
  | { readonly do: 'setRole'; readonly id: ReplicaId; readonly role: Replica['role'] }
  | { readonly do: 'setUrl'; readonly id: ReplicaId; readonly url: string }
  | { readonly do: 'remove'; readonly id: ReplicaId };

export type RaftInput =
  | {
      readonly type: 'messageReceived';
      readonly from: ReplicaId;
      readonly message: RaftMessage;
      /** With a voteRequest, on demand: what to send along with a vote. */
      readonly attachment?: Uint8Array | null;
    }
  | { readonly type: 'proposed'; readonly proposals: readonly Proposal[] }
  | { readonly type: 'membershipProposed'; readonly proposal: number; readonly change: MembershipChange }
  /** `read` is like no other of any life of this replica: an answer that was on its way when it ended may still come. */
  | { readonly type: 'readRequested'; readonly read: number }
  | { readonly type: 'transferRequested'; readonly to: ReplicaId }
  /** On demand: there is something to decide here. */
  | { readonly type: 'leadershipWanted' }
  /** All up to this `persist` is durable. */
  | { readonly type: 'persisted'; readonly write: number }
  /** The state machine's snapshot up to `head.index` is durable; what it replaces may go. */
  | { readonly type: 'snapshotTaken'; readonly head: SnapshotHead }
  /** A connection to this replica began or ended: what was on the way is lost. */
  | { readonly type: 'peerConnected'; readonly peer: ReplicaId }
  | { readonly type: 'peerDisconnected'; readonly peer: ReplicaId }
  | { readonly type: 'timePassed' };

export type RaftEffect =
  /**
   * Make durable, in this order and as one: the hard state, then the entries, which replace everything from the first
   * one's index on. Writes are numbered 1, 2, 3 ... and carried out one after the other.
   */
  | {
      readonly type: 'persist';
      readonly write: number;
      readonly hard: HardState;
      readonly entries: readonly RaftEntry[];
    }
  /** Hand to the link at once (`after` 0), or when the write with that number is durable. */
  | { readonly type: 'send'; readonly to: ReplicaId; readonly message: RaftMessage; readonly after: number }
  /** Read a piece of the own snapshot and send it, as `snapshotPiece` of this term. */
  | {
      readonly type: 'sendPiece';
      readonly to: ReplicaId;
      readonly term: number;
      readonly head: SnapshotHead;
      readonly piece: number;
    }
  /** Keep a piece of a snapshot that comes in; a number of its own write. The first one replaces pieces of any unfinished one. */
  | {
      readonly type: 'keepPiece';
      readonly write: number;
      readonly head: SnapshotHead;
      readonly piece: number;
      readonly data: Uint8Array;
    }
  /** All pieces are there: make it the current snapshot and drop the whole log before and in it; the state machine is restored from it. */
  | { readonly type: 'adoptSnapshot'; readonly write: number; readonly head: SnapshotHead }
  /** Durable here and committed: in order, without gaps, `data` entries and the others alike. */
  | { readonly type: 'committed'; readonly entries: readonly CommittedEntry[] }
  | { readonly type: 'dropped'; readonly proposal: number; readonly reason: string; readonly fate: ProposalFate }
  /** The state machine is at least where it has to be for this read; null: no leader confirmed it, ask again. */
  | { readonly type: 'readReady'; readonly read: number; readonly index: number | null }
  | {
      readonly type: 'leadershipChanged';
      readonly term: number;
      readonly leader: ReplicaId | null;
      readonly votes: readonly GrantedVote[];
    }
  /** On demand: a vote that came after the election was won; what it tells counts all the same. */
  | { readonly type: 'lateVote'; readonly vote: GrantedVote }
  | { readonly type: 'membershipChanged'; readonly membership: Membership }
  /** Whom to be connected with, or its version (RaftStatus) has changed. */
  | { readonly type: 'peersChanged' };

export interface CommittedEntry extends RaftEntry {
  readonly proposal?: number;
}

/** A vote that made the leader, with what came along. */
export interface GrantedVote {
  readonly voter: ReplicaId;
  readonly attachment: Uint8Array | null;
}

export interface RaftInit {
  readonly id: ReplicaId;
  /** Membership of a log that has no snapshot and no entries yet: this replica alone, or none for one that joins. */
  readonly membership: Membership;
  readonly leadership: 'standing' | 'on-demand';
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
  /** On demand: with nothing proposed for this long, the group pauses. */
  readonly quietMs: number;
}
