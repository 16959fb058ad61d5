/**
 * The entries that a replica keeps in memory: those after its snapshot, and a tail before the snapshot's end, so that
 * a follower that is a little behind needs no snapshot. Indices start at 1; index 0 has term 0 and is the beginning.
 */
import { assert, must } from '../base/assert.ts';
import type { RaftEntry } from './messages.ts';

export class EntryLog {
  /** What comes right before the first entry. */
  #baseIndex: number;
  #baseTerm: number;
  #entries: RaftEntry[];
  #bytes: number;

  constructor(baseIndex: number, baseTerm: number, entries: readonly RaftEntry[]) {
    this.#baseIndex = baseIndex;
    this.#baseTerm = baseTerm;
    this.#entries = [...entries];
    this.#bytes = bytesOf(entries);
    for (const [at, { index }] of entries.entries())
      assert(index === baseIndex + 1 + at, `entry ${index} follows the one before`);
  }

  /** Entries from here on are there. */
  get firstIndex(): number {
    return this.#baseIndex + 1;
  }

  get lastIndex(): number {
    return this.#baseIndex + this.#entries.length;
  }

  /** Of the data of all that is kept. */
  get bytes(): number {
    return this.#bytes;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#baseTerm;
  }

  /** null where nothing is known: beyond the end, or before what is kept. */
  termAt(index: number): number | null {
    if (index === this.#baseIndex) return this.#baseTerm;
    return this.#entries[index - this.firstIndex]?.term ?? null;
  }

  at(index: number): RaftEntry {
    return must(this.#entries[index - this.firstIndex], `entry ${index}`);
  }

  append(entries: readonly RaftEntry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, `entry ${entry.index} follows ${this.lastIndex}`);
      this.#entries.push(entry);
      this.#bytes += entry.data.length;
    }
  }

  /** Removes the entry at `index` and all after it. */
  truncateFrom(index: number): void {
    assert(index >= this.firstIndex, `entry ${index} is kept`);
    this.#bytes -= bytesOf(this.#entries.slice(index - this.firstIndex));
    this.#entries.length = index - this.firstIndex;
  }

  /** From `from` on, up to `count` entries and `bytes` of data; one at least, if there is one. */
  slice(from: number, count: number, bytes: number): readonly RaftEntry[] {
    const first = from - this.firstIndex;
    let end = first;
    let total = 0;
    for (; end < this.#entries.length && end - first < count; end += 1) {
      total += must(this.#entries[end], 'an entry').data.length;
      if (total > bytes && end > first) break;
    }
    return this.#entries.slice(first, end);
  }

  /** Where the tail begins that is kept behind a snapshot up to `index`: so many entries and bytes before its end. */
  tailStart(index: number, count: number, bytes: number): number {
    let first = index + 1;
    for (let total = 0; first > this.firstIndex && index + 1 - first < count; first -= 1) {
      total += this.at(first - 1).data.length;
      if (total > bytes) break;
    }
    return first;
  }

  /** Lets go of everything up to `index`. */
  dropUpTo(index: number): void {
    if (index <= this.#baseIndex) return;
    const term = must(this.termAt(index), `term at ${index}`);
    this.#bytes -= bytesOf(this.#entries.slice(0, index - this.#baseIndex));
    this.#entries = this.#entries.slice(index - this.#baseIndex);
    this.#baseIndex = index;
    this.#baseTerm = term;
  }

  /** A snapshot takes the place of all. */
  reset(index: number, term: number): void {
    this.#baseIndex = index;
    this.#baseTerm = term;
    this.#entries = [];
    this.#bytes = 0;
  }

  /**
   * The greatest index up to `index` whose term is at most `term`: where two logs may still agree (section 5.3). Before all
   * that is kept when there is none: then only a snapshot helps.
   */
  lastWithin(index: number, term: number): number {
    let candidate = Math.min(index, this.lastIndex);
    for (; candidate >= this.#baseIndex; candidate -= 1) {
      const there = this.termAt(candidate);
      if (there !== null && there <= term) return candidate;
    }
    return Math.max(0, candidate);
  }
}

function bytesOf(entries: readonly RaftEntry[]): number {
  return entries.reduce((sum, { data }) => sum + data.length, 0);
}
