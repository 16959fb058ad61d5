/**
 * What a Raft replica keeps on a simulated disk (raft-storage.ts): every record sealed by a checksum, and what a disk
 * may do to one.
 */
import { crc32 } from 'node:zlib';
import { flipped, pick, type Random } from '../../core/base/prng.ts';
import type { HardState } from '../../core/raft/contract.ts';
import type { RaftEntry, SnapshotHead } from '../../core/raft/messages.ts';

export interface RaftContent {
  hard: Sealed<HardState>;
  snapshot: Sealed<StoredRaftSnapshot> | null;
  firstIndex: number;
  entries: readonly Sealed<RaftEntry>[];
}

export interface Sealed<T> {
  readonly value: T;
  readonly checksum: number;
}

interface StoredRaftSnapshot {
  readonly head: SnapshotHead;
  readonly content: Uint8Array;
}

export const NO_RAFT: RaftContent = {
  hard: sealHard({ term: 0, votedFor: null, commit: 0 }),
  snapshot: null,
  firstIndex: 1,
  entries: [],
};

export function sealHard(value: HardState): Sealed<HardState> {
  return { value, checksum: sumOfHard(value) };
}

export function sealEntry(entry: RaftEntry): Sealed<RaftEntry> {
  const value = { ...entry, data: new Uint8Array(entry.data) };
  return { value, checksum: sumOfEntry(value) };
}

export function sealSnapshot(value: StoredRaftSnapshot): Sealed<StoredRaftSnapshot> {
  return { value, checksum: sumOfSnapshot(value) };
}

/** The first record that does not match its checksum, in words; null when all do. */
export function damagedRecord({ hard, snapshot, firstIndex, entries }: RaftContent): string | null {
  if (hard.checksum !== sumOfHard(hard.value)) return 'the record of its term does not match its checksum';
  if (snapshot && snapshot.checksum !== sumOfSnapshot(snapshot.value)) return 'its snapshot does not match its checksum';
  for (const [at, { value, checksum }] of entries.entries()) {
    if (value.index !== firstIndex + at) return `entry ${firstIndex + at} is missing`;
    if (checksum !== sumOfEntry(value)) return `entry ${value.index} does not match its checksum`;
  }
  return null;
}

/** Damages what differs from `before`: it was on its way to the disk when the power went. False when that is nothing. */
export function tear(content: RaftContent, before: RaftContent, random: Random): boolean {
  const last = content.entries.at(-1);
  if (content.snapshot && content.snapshot !== before.snapshot) {
    const { value, checksum } = content.snapshot;
    content.snapshot = { value: { ...value, content: flipped(value.content, random) }, checksum };
  } else if (last && content.entries !== before.entries)
    content.entries = [...content.entries.slice(0, -1), damagedEntry(last, random)];
  else if (content.hard !== before.hard) {
    const { value, checksum } = content.hard;
    content.hard = { value: { ...value, votedFor: `${value.votedFor}?` }, checksum };
  } else return false;
  return true;
}

/** Damages a record that has long been durable; false when there is none. */
export function rot(content: RaftContent, random: Random): boolean {
  if (content.entries.length === 0) return false;
  const victim = pick(random, content.entries);
  content.entries = content.entries.map((stored) => (stored === victim ? damagedEntry(stored, random) : stored));
  return true;
}

function damagedEntry({ value, checksum }: Sealed<RaftEntry>, random: Random): Sealed<RaftEntry> {
  return { value: { ...value, data: flipped(value.data, random) }, checksum };
}

function sumOfEntry({ index, term, kind, data }: RaftEntry): number {
  return crc32(data, crc32(`${index} ${term} ${kind}`));
}

function sumOfHard({ term, votedFor, commit }: HardState): number {
  return crc32(`${term} ${votedFor} ${commit}`);
}

function sumOfSnapshot({ head, content }: StoredRaftSnapshot): number {
  return crc32(content, crc32(`${head.index} ${head.term} ${head.bytes} ${JSON.stringify(head.membership)}`));
}
