/**
 * What replicas say to each other (Ongaro's dissertation, 2014: appendix A, sections 3.10, 4.2.1, 5.1, 6.4, 9.6). They are
 * plain values; the driver puts them into binary frames and checks them against limits as they come in.
 */
import type { Membership, ReplicaId } from './membership.ts';

/** One entry of the log. `membership` and `blank` entries are Raft's own; the state machine sees `data` only. */
export interface RaftEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: 'data' | 'membership' | 'blank';
  readonly data: Uint8Array;
}

/** What a snapshot stands for. */
export interface SnapshotHead {
  readonly index: number;
  readonly term: number;
  /** The membership as of `index`. */
  readonly membership: Membership;
  readonly bytes: number;
}

/**
 * What replicas say besides Raft. On demand, what each sees of its children: `ask` is answered with `tell`; whoever
 * follows a leader tells it of changes. Nothing of it is promised to be durable, or to arrive.
 */
export type GroupTalk =
  | { readonly type: 'ask'; readonly term: number }
  | { readonly type: 'tell'; readonly term: number; readonly attachment: Uint8Array }
  /**
   * Who belongs, as the sender's log has it, of which version (RaftStatus.peersVersion). A member that has been away may
   * know none of those who are new since, the leader among them: whom it knows, vouches for them.
   */
  | { readonly type: 'members'; readonly term: number; readonly version: number; readonly members: Membership };

/** All that travels between replicas. */
export type PeerMessage = RaftMessage | GroupTalk;

export type RaftMessage =
  | {
      readonly type: 'voteRequest';
      readonly term: number;
      /** Asks only whether it would be elected: changes nothing (9.6). */
      readonly pre: boolean;
      /** The leader asked for this election: voters do not hold their lease against it (3.10). */
      readonly transfer: boolean;
      readonly lastIndex: number;
      readonly lastTerm: number;
    }
  | {
      readonly type: 'vote';
      readonly term: number;
      readonly pre: boolean;
      readonly granted: boolean;
      /** A leader that the voter hears from, so that the candidate can turn to it. */
      readonly leader: ReplicaId | null;
      /** On demand: what the voter tells of its load; opaque here. */
      readonly attachment: Uint8Array | null;
    }
  | {
      /** Entries; without any, a heartbeat. */
      readonly type: 'append';
      readonly term: number;
      readonly previousIndex: number;
      readonly previousTerm: number;
      readonly entries: readonly RaftEntry[];
      readonly commit: number;
      /** Confirms the leadership for reads up to this number; echoed. */
      readonly round: number;
      /** The sender's clock, echoed: the round trip is measured without two clocks. */
      readonly sentAtMs: number;
      readonly electionTimeoutMs: number;
      /** On demand: nothing more will come; keep no timer. */
      readonly pause: boolean;
    }
  | {
      readonly type: 'appended';
      readonly term: number;
      readonly success: boolean;
      /** What it answers: `previousIndex` of the append. */
      readonly previousIndex: number;
      /** On success the last index known to match; else where the follower's log may agree (5.3: one hint a term). */
      readonly index: number;
      /** On refusal: the term at `index` in the follower's log. */
      readonly hintTerm: number;
      readonly round: number;
      readonly sentAtMs: number;
    }
  | {
      readonly type: 'snapshotPiece';
      readonly term: number;
      readonly head: SnapshotHead;
      readonly piece: number;
      readonly data: Uint8Array;
    }
  /** The next piece wanted; past the last one: all of it is durable. */
  | { readonly type: 'pieceTaken'; readonly term: number; readonly snapshotIndex: number; readonly piece: number }
  | { readonly type: 'timeoutNow'; readonly term: number }
  /** A follower asks for a read index; `read` is its own number. */
  | { readonly type: 'readRequest'; readonly term: number; readonly read: number }
  | { readonly type: 'readAnswer'; readonly term: number; readonly read: number; readonly index: number | null };
