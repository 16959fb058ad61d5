/**
 * What a replica of the log keeps in LevelDB. Every key is its kind and, so that LevelDB's order is the log's, numbers
 * of fixed width, most significant byte first:
 *
 *   f                      the format, as text
 *   h                      the hard state: term and vote
 *   s                      the snapshot: what it stands for, the slot of its pieces, the first entry that is kept
 *   p <slot> <piece>       the snapshot's content, in pieces of limits.snapshotPieceBytes
 *   e <index>              an entry
 *
 * Every value starts with a CRC-32 of key and content. LevelDB has checksums too, but does not verify them
 * when it reads tables (`verify_checksums` is off and not to be set), and by the key in it a record
 * that turns up in the wrong place is found as well.
 */
import { crc32 } from 'node:zlib';

/** 1 had no terms; nothing that was released wrote it. */
export const FORMAT_VERSION = 2;

const CHECKSUM_BYTES = 4;
/** 2^48 entries, or snapshots: more than any log will see, and exact in a number. */
const INDEX_BYTES = 6;
const PIECE_BYTES = 4;

const ENTRY = 'e'.charCodeAt(0);
const PIECE = 'p'.charCodeAt(0);

export const FORMAT_KEY = Buffer.from('f');
export const HARD_KEY = Buffer.from('h');
export const SNAPSHOT_KEY = Buffer.from('s');
/** Everything of a kind lies between these. */
export const ENTRY_RANGE = { gte: Buffer.of(ENTRY), lt: Buffer.of(ENTRY + 1) } as const;
export const PIECE_RANGE = { gte: Buffer.of(PIECE), lt: Buffer.of(PIECE + 1) } as const;

export function entryKey(index: number): Buffer {
  const key = Buffer.allocUnsafe(1 + INDEX_BYTES);
  key[0] = ENTRY;
  key.writeUIntBE(index, 1, INDEX_BYTES);
  return key;
}

export function pieceKey(slot: number, piece: number): Buffer {
  const key = Buffer.allocUnsafe(1 + INDEX_BYTES + PIECE_BYTES);
  key[0] = PIECE;
  key.writeUIntBE(slot, 1, INDEX_BYTES);
  key.writeUInt32BE(piece, 1 + INDEX_BYTES);
  return key;
}

/** The index in the key of an entry; null when the key is none. */
export function indexInEntryKey(key: Buffer): number | null {
  return key.length === 1 + INDEX_BYTES && key[0] === ENTRY ? key.readUIntBE(1, INDEX_BYTES) : null;
}

/** `parts` one after the other; copied once, here. */
export function seal(key: Buffer, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.allocUnsafe(parts.reduce((bytes, { length }) => bytes + length, CHECKSUM_BYTES));
  let checksum = crc32(key);
  let at = CHECKSUM_BYTES;
  for (const part of parts) {
    checksum = crc32(part, checksum);
    value.set(part, at);
    at += part.length;
  }
  value.writeUInt32BE(checksum);
  return value;
}

/** The content that was sealed under `key`; null when it is not what was. */
export function unseal(key: Buffer, value: Buffer): Buffer | null {
  if (value.length < CHECKSUM_BYTES) return null;
  const content = value.subarray(CHECKSUM_BYTES);
  return value.readUInt32BE() === crc32(content, crc32(key)) ? content : null;
}
