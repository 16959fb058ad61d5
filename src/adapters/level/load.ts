/** Reads a log back, and finds what is damaged before any of it is applied. */
import type { ClassicLevel } from 'classic-level';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { RaftSnapshotRecord } from './raft-records.ts';
import { FORMAT_KEY, FORMAT_VERSION, PIECE_RANGE, pieceKey, unseal } from './records.ts';

export type LogDatabase = ClassicLevel<Buffer, Buffer>;

export function corrupt(what: string): CodedError {
  return new CodedError('data_dir_corrupt', `the log: ${what}`);
}

/** Whether nothing is there yet. Throws when what is there has another format than this version's. */
export async function isNew(database: LogDatabase): Promise<boolean> {
  const value = await database.get(FORMAT_KEY);
  if (value === undefined) {
    const [anything] = await database.keys({ limit: 1 }).all();
    if (anything === undefined) return true;
    throw corrupt('it has content but no format');
  }
  const text = unseal(FORMAT_KEY, value)?.toString();
  if (text === undefined || !/^\d{1,9}$/.test(text)) throw corrupt('its format cannot be read');
  if (Number(text) > FORMAT_VERSION)
    throw new CodedError('data_dir_newer', `the log has format ${text}, this version reads ${FORMAT_VERSION}`);
  if (Number(text) < FORMAT_VERSION)
    throw new CodedError('data_dir_foreign', `the log has format ${text}, which no released version wrote`);
  return false;
}

export function pieceCount(bytes: number): number {
  return Math.ceil(bytes / limits.snapshotPieceBytes);
}

export async function readContent(database: LogDatabase, { index, bytes, slot }: RaftSnapshotRecord): Promise<Uint8Array> {
  const snapshot = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  for (let piece = 0; piece < pieceCount(bytes); piece += 1) {
    const key = pieceKey(slot, piece);
    const value = await database.get(key, { fillCache: false });
    const content = value && unseal(key, value);
    if (!content || filled + content.length > bytes) throw damagedPiece(index, piece);
    filled += content.copy(snapshot, filled);
  }
  if (filled !== bytes) throw corrupt(`its snapshot up to entry ${index} has ${filled} bytes instead of ${bytes}`);
  return snapshot;
}

export function damagedPiece(index: number, piece: number): CodedError {
  return corrupt(`piece ${piece} of its snapshot up to entry ${index} is damaged`);
}

/** Pieces that a crash left of a snapshot that was never finished. */
export async function orphanedPieces(database: LogDatabase, current: RaftSnapshotRecord | null): Promise<readonly Buffer[]> {
  const isCurrent = (key: Buffer): boolean =>
    current !== null && key.subarray(0, -4).equals(pieceKey(current.slot, 0).subarray(0, -4));
  const keys = await database.keys(PIECE_RANGE).all();
  return keys.filter((key) => !isCurrent(key));
}
