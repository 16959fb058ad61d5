/** Reads a log back, and finds what is damaged before any of it is applied. */
import type { ClassicLevel } from 'classic-level';
import * as z from 'zod/mini';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { LogEntry } from '../../ports/log.ts';
import { ENTRY_RANGE, entryKey, FORMAT_KEY, indexInEntryKey, PIECE_RANGE, pieceKey, SNAPSHOT_KEY, unseal } from './records.ts';

export type LogDatabase = ClassicLevel<Buffer, Buffer>;

const snapshotSchema = z.strictObject({ index: z.int().check(z.minimum(1)), bytes: z.int().check(z.minimum(0)) });
/** Names the snapshot whose pieces count. */
export type SnapshotRecord = z.output<typeof snapshotSchema>;

export function corrupt(what: string, cause?: unknown): CodedError {
  return new CodedError('data_dir_corrupt', `the log: ${what}`, [], cause);
}

/** The format of the log, `newest` at most; null for a new, empty database. */
export async function readFormat(database: LogDatabase, newest: number): Promise<number | null> {
  const value = await database.get(FORMAT_KEY);
  if (value === undefined) {
    const [anything] = await database.keys({ limit: 1 }).all();
    if (anything === undefined) return null;
    throw corrupt('it has content but no format');
  }
  const text = unseal(FORMAT_KEY, value)?.toString();
  if (text === undefined || !/^\d{1,9}$/.test(text)) throw corrupt('its format cannot be read');
  if (Number(text) > newest) throw new CodedError('data_dir_newer', `the log has format ${text}, this version reads ${newest}`);
  if (Number(text) < 1) throw corrupt(`there never was a format ${text}`);
  return Number(text);
}

export async function readSnapshotRecord(database: LogDatabase): Promise<SnapshotRecord | null> {
  const value = await database.get(SNAPSHOT_KEY);
  if (value === undefined) return null;
  const content = unseal(SNAPSHOT_KEY, value);
  if (!content) throw corrupt('the record of its snapshot does not match its checksum');
  const record = snapshotSchema.safeParse(JSON.parse(content.toString()));
  if (!record.success) throw corrupt('the record of its snapshot cannot be read');
  return record.data;
}

export function pieceCount(bytes: number): number {
  return Math.ceil(bytes / limits.snapshotPieceBytes);
}

export async function readSnapshot(database: LogDatabase, { index, bytes }: SnapshotRecord): Promise<Uint8Array> {
  const snapshot = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  for (let piece = 0; piece < pieceCount(bytes); piece += 1) {
    const key = pieceKey(index, piece);
    const value = await database.get(key, { fillCache: false });
    const content = value && unseal(key, value);
    if (!content || filled + content.length > bytes)
      throw corrupt(`piece ${piece} of its snapshot up to entry ${index} is damaged`);
    filled += content.copy(snapshot, filled);
  }
  if (filled !== bytes) throw corrupt(`its snapshot up to entry ${index} has ${filled} bytes instead of ${bytes}`);
  return snapshot;
}

/** Pieces that a crash left of a snapshot that was never finished. */
export async function orphanedPieces(database: LogDatabase, current: SnapshotRecord | null): Promise<readonly Buffer[]> {
  const isCurrent = (key: Buffer): boolean =>
    current !== null && key.subarray(0, -4).equals(pieceKey(current.index, 0).subarray(0, -4));
  const keys = await database.keys(PIECE_RANGE).all();
  return keys.filter((key) => !isCurrent(key));
}

/** The entries after `afterIndex`, in groups. Rejects, naming the index, at the first one that is missing or damaged. */
export async function* readEntries(database: LogDatabase, afterIndex: number): AsyncGenerator<readonly LogEntry[]> {
  const records = database.iterator({ ...ENTRY_RANGE, fillCache: false, highWaterMarkBytes: limits.logBatchBytes });
  let index = afterIndex;
  try {
    for (;;) {
      const group = await records.nextv(limits.logBatchEntries);
      if (group.length === 0) return;
      yield group.map(([key, value]) => {
        index += 1;
        if (!key.equals(entryKey(index)))
          throw corrupt(`entry ${index} is missing; the next one there is ${indexInEntryKey(key)}`);
        const data = unseal(key, value);
        if (!data) throw corrupt(`entry ${index} does not match its checksum`);
        return { index, data };
      });
    }
  } catch (error) {
    throw error instanceof CodedError ? error : corrupt(`entry ${index + 1} cannot be read`, error);
  } finally {
    await records.close();
  }
}
