/**
 * What a replica of the log keeps on its disk. LevelDB and the simulated disk stand behind it, and one conformance
 * suite (test/conformance/raft-storage.ts).
 *
 * Promises every adapter keeps:
 *  T1. A write whose promise has resolved survives kill and power cut; writes become durable in the order in which
 *      they were asked for, each whole or not at all.
 *  T2. After `load`, entries have no gaps; the first follows the snapshot or lies before its end (a tail that `takeSnapshot`
 *      kept), and without a snapshot it is 1; a damaged record is found by its checksum and never
 *      given out: at the end of the log, where a crash tears, nothing that was acknowledged is missing.
 *  T3. With nothing asked for nothing is written.
 */
import type { HardState, RestoredReplica } from '../core/raft/contract.ts';
import type { RaftEntry, SnapshotHead } from '../core/raft/messages.ts';

export interface RaftStorage {
  /** Rejects with a CodedError: locked, newer format, corrupt, read-only. */
  load(): Promise<RestoredReplica>;
  /** The hard state, then entries in place of everything from the first one's index on. Rejects with a CodedError; nothing may follow then. */
  persist(hard: HardState, entries: readonly RaftEntry[]): Promise<void>;
  /** Entries for a follower that is behind, up to `bytes`, at least one. */
  readEntries(fromIndex: number, toIndex: number, bytes: number): Promise<readonly RaftEntry[]>;
  /** A snapshot of the own state machine becomes the current one; entries before `keepFromIndex`, at most `head.index + 1`, go. Nothing happens when the current one reaches as far. */
  takeSnapshot(head: SnapshotHead, content: Uint8Array, keepFromIndex: number): Promise<void>;
  /** One piece (limits.snapshotPieceBytes) of the current snapshot; null when that is no longer the one up to `index`. */
  readPiece(index: number, piece: number): Promise<Uint8Array | null>;
  readSnapshot(): Promise<Uint8Array | null>;
  /** A piece of a snapshot that comes from the leader; piece 0 replaces an unfinished one, which a restart forgets. */
  keepPiece(head: SnapshotHead, piece: number, data: Uint8Array): Promise<void>;
  /** All its pieces are there: it becomes the current one, and all entries go. Resolves with its content. */
  adoptSnapshot(head: SnapshotHead): Promise<Uint8Array>;
  close(): Promise<void>;
}
