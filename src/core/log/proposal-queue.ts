/**
 * Proposals that wait for the disk. All that arrive while a sync is under way share the next one (group
 * commit: DeWitt et al., "Implementation techniques for main memory database systems", 1984, section 5.2),
 * which is what lets a log commit far more often than a disk can sync. Bounded: overload is refused here,
 * before it costs memory.
 */
import { limits } from '../base/limits.ts';

export interface Proposal {
  /** The number under which this process proposed it. */
  readonly proposal: number;
  readonly data: Uint8Array;
}

export class ProposalQueue {
  #waiting: Proposal[] = [];
  #bytes = 0;

  get size(): number {
    return this.#waiting.length;
  }

  /** Takes it, or says for a person to read why not. */
  offer(proposal: Proposal): string | null {
    const { length } = proposal.data;
    if (length > limits.logEntryBytes) return `an entry of ${length} bytes is over the limit of ${limits.logEntryBytes}`;
    if (this.#waiting.length >= limits.logQueueEntries) return `${limits.logQueueEntries} proposals already wait for the disk`;
    if (this.#bytes + length > limits.logQueueBytes) return `${this.#bytes} bytes of proposals already wait for the disk`;
    this.#waiting.push(proposal);
    this.#bytes += length;
    return null;
  }

  /** The oldest ones, as many as one sync shall carry; at least one unless the queue is empty. */
  takeBatch(): readonly Proposal[] {
    let count = 0;
    let bytes = 0;
    for (const { data } of this.#waiting) {
      if (count === limits.logBatchEntries || (count > 0 && bytes + data.length > limits.logBatchBytes)) break;
      count += 1;
      bytes += data.length;
    }
    this.#bytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  takeAll(): readonly Proposal[] {
    const all = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    return all;
  }
}
