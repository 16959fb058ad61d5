/**
 * The disk of a simulated replica: a journal of writes that become durable one after the other, each whole or not at
 * all, as a storage with checksums makes of a real one (src/ports/raft-storage.ts, T1 and T2).
 *
 * A crash loses what was not synced: of the writes under way the first few may have come through, and the one after
 * them may be torn, with some of its bytes wrong. A torn write is found by its checksum when the disk is read, and
 * nothing of it is given out. A record that was durable and has rotted is found too, and such a disk gives out nothing.
 */
import { assert } from '../../base/assert.ts';
import { chance, flipped, integerBetween, type Random } from '../../base/prng.ts';
import type { HardState, RestoredReplica } from '../contract.ts';
import type { RaftEntry, SnapshotHead } from '../messages.ts';
import { piecesOf } from '../raft.ts';

export interface StoredSnapshot {
  readonly head: SnapshotHead;
  readonly content: Uint8Array;
}

/** What one write changes. */
export interface Change {
  readonly hard?: HardState | null;
  readonly entries?: readonly RaftEntry[];
  readonly piece?: { readonly number: number; readonly data: Uint8Array };
  /** The pieces become the snapshot. */
  readonly adopt?: SnapshotHead;
  readonly snapshot?: StoredSnapshot & { readonly keepFromIndex: number };
}

interface Sealed<T> {
  readonly value: T;
  readonly checksum: number;
}

/** A record that was durable does not match its checksum: this disk is not to be started from. */
export class DamagedDisk extends Error {
  override readonly name = 'DamagedDisk';
}

export class Disk {
  hard: HardState = { term: 0, votedFor: null, commit: 0 };
  snapshot: StoredSnapshot | null = null;
  #firstIndex = 1;
  #entries: Sealed<RaftEntry>[] = [];
  #pieces: Uint8Array[] = [];
  #pending: Change[] = [];
  /** The last write of a life that ended while it was on its way to the disk. */
  #torn: Sealed<Change> | null = null;
  writes = 0;

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }

  /** null: not on this disk, or behind its snapshot. */
  termAt(index: number): number | null {
    return this.#entries[index - this.#firstIndex]?.value.term ?? null;
  }

  /** Of the entry before, which may stand in the snapshot. */
  termBefore(index: number): number {
    return this.termAt(index - 1) ?? (this.snapshot?.head.index === index - 1 ? this.snapshot.head.term : 0);
  }

  begin(change: Change): void {
    this.#pending.push(change);
  }

  /** The oldest write under way is durable. */
  end(): void {
    const change = this.#pending.shift();
    assert(change, 'a write is under way');
    this.#apply(change);
    this.writes += 1;
  }

  /** True when a write was torn. */
  crash(random: Random, tearRate: number): boolean {
    const survivors = integerBetween(random, 0, this.#pending.length);
    const lost = this.#pending.splice(0);
    for (const change of lost.splice(0, survivors)) this.#apply(change);
    const [next] = lost;
    const torn = next !== undefined && chance(random, tearRate) ? damaged(next, random) : null;
    this.#torn = next && torn ? { value: torn, checksum: sumOfChange(next) } : null;
    return torn !== null;
  }

  /** Some byte of some entry is another one from now on; false when there is none. */
  rot(random: Random): boolean {
    if (this.#entries.length === 0) return false;
    const at = integerBetween(random, 0, this.#entries.length - 1);
    const { value, checksum } = this.#entries[at] as Sealed<RaftEntry>;
    this.#entries[at] = { value: { ...value, data: flipped(value.data, random) }, checksum };
    return true;
  }

  /** What a process finds that starts. */
  load(): RestoredReplica {
    const torn = this.#torn;
    this.#torn = null;
    this.#pieces = [];
    if (torn && sumOfChange(torn.value) === torn.checksum) this.#apply(torn.value);
    for (const { value, checksum } of this.#entries)
      if (sumOf(value) !== checksum) throw new DamagedDisk(`entry ${value.index} does not match its checksum`);
    const base = this.snapshot?.head.index ?? 0;
    const entries = this.#entries.map(({ value }) => value).filter(({ index }) => index > base);
    return { hard: this.hard, snapshot: this.snapshot?.head ?? null, entries };
  }

  #apply({ hard, entries, piece, adopt, snapshot }: Change): void {
    if (hard) this.hard = hard;
    const [first] = entries ?? [];
    if (entries && first) {
      this.#entries.length = Math.min(this.#entries.length, first.index - this.#firstIndex);
      for (const value of entries) this.#entries.push({ value, checksum: sumOf(value) });
    }
    if (piece) {
      if (piece.number === 0) this.#pieces = [];
      this.#pieces[piece.number] = piece.data;
    }
    if (adopt) this.#adopt(adopt);
    if (snapshot && snapshot.head.index > (this.snapshot?.head.index ?? 0)) {
      this.snapshot = snapshot;
      const keepFromIndex = Math.min(snapshot.keepFromIndex, snapshot.head.index + 1);
      if (keepFromIndex > this.#firstIndex) this.#keepFrom(keepFromIndex);
    }
  }

  #keepFrom(index: number): void {
    this.#entries = this.#entries.slice(index - this.#firstIndex);
    this.#firstIndex = index;
  }

  #adopt(head: SnapshotHead): void {
    const bytes = this.#pieces.reduce((sum, { length }) => sum + length, 0);
    assert(this.#pieces.length === piecesOf(head) && bytes === head.bytes, 'a snapshot is adopted when all its pieces are there');
    const content = new Uint8Array(bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      content.set(piece, at);
      at += piece.length;
    }
    this.snapshot = { head, content };
    this.#pieces = [];
    this.#entries = [];
    this.#firstIndex = head.index + 1;
  }
}

/** FNV-1a: it need only tell a record from one with another byte. */
function sumOf({ index, term, kind, data }: RaftEntry): number {
  let sum = 0x811c9dc5;
  for (const byte of data) sum = Math.imul(sum ^ byte, 0x01000193);
  for (const number of [index, term, kind.length]) sum = Math.imul(sum ^ number, 0x01000193);
  return sum;
}

function sumOfChange({ hard, entries, piece, adopt, snapshot }: Change): number {
  let sum = 0x811c9dc5;
  const mix = (number: number): void => {
    sum = Math.imul(sum ^ number, 0x01000193);
  };
  if (hard) for (const character of `${hard.term} ${hard.votedFor} ${hard.commit}`) mix(character.charCodeAt(0));
  for (const entry of entries ?? []) mix(sumOf(entry));
  for (const byte of piece?.data ?? []) mix(byte);
  mix(adopt?.index ?? 0);
  for (const byte of snapshot?.content ?? []) mix(byte);
  return sum;
}

/** As it may lie there after a power cut; null for what is too small to tear. */
function damaged(change: Change, random: Random): Change | null {
  const { hard, entries, piece, snapshot } = change;
  const last = entries?.at(-1);
  if (entries && last) return { ...change, entries: [...entries.slice(0, -1), { ...last, data: flipped(last.data, random) }] };
  if (piece) return { ...change, piece: { ...piece, data: flipped(piece.data, random) } };
  if (snapshot) return { ...change, snapshot: { ...snapshot, content: flipped(snapshot.content, random) } };
  return hard ? { ...change, hard: { ...hard, votedFor: `${hard.votedFor}?` } } : null;
}
