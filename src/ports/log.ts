import type { Leadership, ProposalFate } from '../core/model/leadership.ts';

/**
 * The replicated log that feeds an orchestrator. Raft, etcd and a simulated disk stand behind this one seam and one
 * conformance suite (test/conformance/log.ts).
 *
 * Promises every adapter keeps:
 *  L1. An entry is delivered only when it is durable; every replica sees the same entries, under the same
 *      indices, in the same order, and misses none.
 *  L2. A proposal is delivered at most once. It is answered by its entry (`proposal` set, on the proposer) or by `dropped`;
 *      after a crash, and after a drop whose fate is unknown, it may have been delivered or not.
 *  L3. After `open`, `restored` comes first (if there is a snapshot), then the entries after it, then `ready`. Later a
 *      replica that has fallen behind what the others keep of their log is `restored` once more, to a higher index.
 *  L4. Callbacks never nest: a proposal made inside one is delivered later.
 *  L5. With nothing proposed nothing is written.
 */
export interface LogEntry {
  /** Grows from entry to entry; numbers between are entries of the log's own, which nobody else sees. */
  readonly index: number;
  readonly data: Uint8Array;
  /** The number under which this process proposed it, when it did. */
  readonly proposal?: number;
}

export interface LogListener {
  restored(snapshot: Uint8Array, index: number): void;
  committed(entries: readonly LogEntry[]): void;
  /** Everything known to be committed has been delivered. Called again whenever the leadership changes. */
  ready(leadership: Leadership): void;
  /** `never`: it will not be delivered anywhere. `unknown`: it may have been, or may yet be; this replica will not hear of it. */
  dropped(proposal: number, reason: string, fate: ProposalFate): void;
  /**
   * The log cannot go on (disk full, corrupt): a CodedError. The process should say so and stop; nothing acknowledged
   * is lost. Proposals under way stay without an answer: as after a crash, they may be there at the next `open`.
   */
  failed(error: Error): void;
}

export interface Log {
  /** Reads what is there and delivers it. Rejects with a CodedError: locked, newer format, corrupt, read-only. */
  open(listener: LogListener): Promise<void>;
  /**
   * `proposal` is unique within this process; `data`, up to limits.logEntryBytes, belongs to the log from here on.
   * Never throws; the outcome comes to the listener.
   */
  propose(proposal: number, data: Uint8Array): void;
  /** Replaces all entries up to and including `index`, which has been delivered, by `snapshot`. */
  compact(snapshot: Uint8Array, index: number): Promise<void>;
  /** Ends what is under way, drops what still waits, and resolves when all of it is answered. */
  close(): Promise<void>;
}
