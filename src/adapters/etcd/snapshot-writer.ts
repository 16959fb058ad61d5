/**
 * Puts a snapshot in place of entries: first its pieces, then one transaction that makes it the snapshot, and deletes
 * the one before, what is left of unfinished ones, and the records that nobody needs any more.
 */
import { crc32 } from 'node:zlib';
import { limits } from '../../core/base/limits.ts';
import type { Clock } from '../../ports/clock.ts';
import { isExpected, isRefusal } from './etcd-error.ts';
import type { Condition, Operation, Outcome } from './map.ts';
import { pause, retryPauseMs } from './pause.ts';
import type { Reign } from './reign.ts';
import { type Head, pieceCount, readHead, type StoredHead, type StoredLog } from './stored-log.ts';

export interface SnapshotTask {
  readonly content: Uint8Array;
  readonly index: number;
  readonly nextRecord: number;
  readonly oldestRecord: number;
  /** The one in whose place it comes. */
  readonly before: StoredHead | null;
}

/** The new head; null when this replica no longer leads. Throws `EtcdError` or `CodedError` when etcd refuses it. */
export async function writeSnapshot(
  components: { readonly clock: Clock; readonly stored: StoredLog; readonly reign: Reign; readonly closing: AbortSignal },
  { content, before, ...task }: SnapshotTask,
): Promise<StoredHead | null> {
  const { keys } = components.stored;
  const whileLeading = { key: keys.leader, revision: components.reign.term };
  for (let piece = 0; piece < pieceCount(content.length); piece += 1) {
    const start = piece * limits.snapshotPieceBytes;
    const value = content.subarray(start, start + limits.snapshotPieceBytes);
    const put = { type: 'put', key: keys.piece(task.index, piece), value } as const;
    const outcome = await persistently(components, [whileLeading], [put]);
    if (!outcome?.succeeded) return null;
  }
  const head: Head = { ...task, bytes: content.length, checksum: crc32(content) };
  // A request that comes late must not bring back an older head, whose pieces are gone.
  const whileBefore = { key: keys.head, revision: before?.revision ?? 0 };
  const { key, end } = keys.recordsBefore(head.oldestRecord);
  const outcome = await persistently(
    components,
    [whileLeading, whileBefore],
    [
      { type: 'put', key: keys.head, value: Buffer.from(JSON.stringify(head)) },
      ...keys.otherPieces(head.index).map((range) => ({ type: 'delete', ...range }) as const),
      { type: 'delete', key, end },
    ],
  );
  if (outcome === null) return null;
  if (outcome.succeeded) return { ...head, revision: outcome.revision };
  const there = readHead(outcome.found[0]?.items[0]);
  return there?.index === head.index ? there : null;
}

/** Every one of these may be carried out twice. null: it was given up. */
async function persistently(
  { clock, stored, reign, closing }: { clock: Clock; stored: StoredLog; reign: Reign; closing: AbortSignal },
  conditions: readonly Condition[],
  operations: readonly Operation[],
): Promise<Outcome | null> {
  const otherwise = [{ type: 'get', key: stored.keys.head } as const];
  const either = AbortSignal.any([reign.over, closing]);
  for (let failures = 0; !either.aborted; failures += 1) {
    try {
      return await stored.map.transact(conditions, operations, otherwise, reign.expired);
    } catch (error) {
      if (!isExpected(error) || isRefusal(error)) throw error;
    }
    await pause(clock, retryPauseMs(failures), either);
  }
  return null;
}
