/** This replica's own proposals and where each stands in the log, until it is known what became of it. */
import { limits } from '../base/limits.ts';

interface Proposal {
  /** Of the entry that it became. */
  readonly term: number;
  /** What its proposer calls it. */
  readonly number: number;
  readonly bytes: number;
}

export class Proposals {
  readonly #byIndex = new Map<number, Proposal>();
  #bytes = 0;

  /** Why no more are taken; null: one of so many bytes is. */
  refusal(bytes: number): string | null {
    if (bytes > limits.logEntryBytes) return `an entry of ${bytes} bytes is over the limit of ${limits.logEntryBytes}`;
    if (this.#byIndex.size >= limits.logQueueEntries) return `${limits.logQueueEntries} proposals already wait for a quorum`;
    if (this.#bytes + bytes > limits.logQueueBytes) return `${this.#bytes} bytes of proposals already wait for a quorum`;
    return null;
  }

  /** Returns the one that stood there before. */
  add(index: number, proposal: Proposal): Proposal | undefined {
    const earlier = this.take(index);
    this.#byIndex.set(index, proposal);
    this.#bytes += proposal.bytes;
    return earlier;
  }

  /** Forgets the one at `index`. */
  take(index: number): Proposal | undefined {
    const proposal = this.#byIndex.get(index);
    if (!proposal) return undefined;
    this.#byIndex.delete(index);
    this.#bytes -= proposal.bytes;
    return proposal;
  }

  /** Forgets those of earlier terms, in order. */
  takeOlderThan(term: number): readonly Proposal[] {
    return this.#takeWhere((_, proposal) => proposal.term < term);
  }

  /** Forgets those in this part of the log, its ends included, in order. */
  takeWithin(first: number, last: number): readonly Proposal[] {
    return this.#takeWhere((index) => index >= first && index <= last);
  }

  #takeWhere(isMeant: (index: number, proposal: Proposal) => boolean): readonly Proposal[] {
    const taken: Proposal[] = [];
    for (const [index, proposal] of this.#byIndex) {
      if (!isMeant(index, proposal)) continue;
      this.take(index);
      taken.push(proposal);
    }
    return taken;
  }
}
