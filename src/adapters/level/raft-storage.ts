/**
 * What a replica of the log keeps, on LevelDB: T1 to T3 of src/ports/raft-storage.ts.
 *
 *  - Group commit: one batch with sync at a time; what is asked for meanwhile shares the next, in its order.
 *  - Never two writes at once, and none after one has failed: behind a record that tore, a later one could be
 *    acknowledged now and be dropped, with the torn one, at the next start.
 *  - Each snapshot's pieces have a number of their own, so that one that comes in lies beside the current one even
 *    if both reach as far; one batch switches over. An unfinished one is removed at the next start: its leader
 *    begins with the first piece then anyway.
 */
import { assert, must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { HardState, RestoredReplica } from '../../core/raft/contract.ts';
import type { RaftEntry, SnapshotHead } from '../../core/raft/messages.ts';
import type { RaftStorage } from '../../ports/raft-storage.ts';
import { codedLevelError, isLevelError } from './level-errors.ts';
import { corrupt, damagedPiece, isNew, type LogDatabase, orphanedPieces, pieceCount, readContent } from './load.ts';
import { openDatabase } from './open-database.ts';
import { decodeEntry, headOf, type RaftSnapshotRecord, readHard, readRaftSnapshot, sealEntry } from './raft-records.ts';
import { ENTRY_RANGE, entryKey, FORMAT_KEY, FORMAT_VERSION, HARD_KEY, pieceKey, SNAPSHOT_KEY, seal, unseal } from './records.ts';

type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer };

interface Waiting {
  readonly operations: readonly Operation[];
  readonly resolve: () => void;
  readonly reject: (failure: CodedError) => void;
}

export class LevelRaftStorage implements RaftStorage {
  readonly #directory: string;
  #database: LogDatabase | null = null;
  #ended: CodedError | null = null;
  #firstIndex = 1;
  #lastIndex = 0;
  #snapshot: RaftSnapshotRecord | null = null;
  #lastSlot = 0;
  #incoming: { readonly slot: number; readonly head: SnapshotHead; pieces: number } | null = null;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;

  /** `directory` belongs to the log alone; it is made when it is missing, its parent is there. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async load(): Promise<RestoredReplica> {
    assert(this.#database === null, 'a storage is loaded once');
    try {
      this.#database = await openDatabase(this.#directory);
      return await this.#read(this.#database);
    } catch (error) {
      const database = this.#database;
      this.#database = null;
      await database?.close();
      throw coded(error);
    }
  }

  persist(hard: HardState, entries: readonly RaftEntry[]): Promise<void> {
    const value = seal(HARD_KEY, Buffer.from(JSON.stringify(hard)));
    const operations: Operation[] = [{ type: 'put', key: HARD_KEY, value }];
    const [first] = entries;
    if (first) {
      assert(first.index >= this.#firstIndex && first.index <= this.#lastIndex + 1, `entry ${first.index} has no gap before`);
      for (const [at, entry] of entries.entries()) {
        assert(entry.index === first.index + at, `entry ${entry.index} follows the one before`);
        const key = entryKey(entry.index);
        operations.push({ type: 'put', key, value: sealEntry(key, entry) });
      }
      const end = first.index + entries.length - 1;
      for (let index = end + 1; index <= this.#lastIndex; index += 1) operations.push({ type: 'del', key: entryKey(index) });
      this.#lastIndex = end;
    }
    return this.#write(operations);
  }

  async readEntries(fromIndex: number, toIndex: number, bytes: number): Promise<readonly RaftEntry[]> {
    const entries: RaftEntry[] = [];
    let total = 0;
    for (let index = fromIndex; index <= toIndex; index += 1) {
      const key = entryKey(index);
      const entry = decodeEntry(index, key, await this.#get(key));
      total += entry.data.length;
      if (entries.length > 0 && total > bytes) break;
      entries.push(entry);
    }
    return entries;
  }

  async takeSnapshot(head: SnapshotHead, content: Uint8Array, keepFromIndex: number): Promise<void> {
    assert(head.bytes === content.length, 'the head tells the size');
    assert(head.index <= this.#lastIndex, `a snapshot up to ${head.index} of a log that ends at ${this.#lastIndex}`);
    if (head.index <= (this.#snapshot?.index ?? 0)) return;
    const slot = ++this.#lastSlot;
    for (let piece = 0; piece < pieceCount(content.length); piece += 1) {
      const start = piece * limits.snapshotPieceBytes;
      await this.#writePiece(slot, piece, content.subarray(start, start + limits.snapshotPieceBytes));
    }
    // Another one may have come from the leader meanwhile.
    if (head.index <= (this.#snapshot?.index ?? 0)) return this.#write(deletePieces(slot, head.bytes));
    const firstIndex = Math.max(this.#firstIndex, Math.min(keepFromIndex, head.index + 1));
    return this.#switchOver({ ...head, slot, firstIndex });
  }

  async readPiece(index: number, piece: number): Promise<Uint8Array | null> {
    const current = this.#snapshot;
    if (current?.index !== index) return null;
    const key = pieceKey(current.slot, piece);
    const value = await this.#get(key);
    if (this.#snapshot !== current) return null;
    const content = value && unseal(key, value);
    if (!content) throw damagedPiece(index, piece);
    return content;
  }

  async readSnapshot(): Promise<Uint8Array | null> {
    const current = this.#snapshot;
    return current && this.#readContent(current);
  }

  keepPiece(head: SnapshotHead, piece: number, data: Uint8Array): Promise<void> {
    const before = this.#incoming;
    const orphans = piece === 0 && before ? deletePieces(before.slot, before.head.bytes) : [];
    if (piece === 0) this.#incoming = { slot: ++this.#lastSlot, head, pieces: 0 };
    const incoming = must(this.#incoming, 'a snapshot that comes in');
    assert(incoming.head.index === head.index && incoming.pieces === piece, `piece ${piece} follows the one before`);
    incoming.pieces += 1;
    return this.#writePiece(incoming.slot, piece, data, orphans);
  }

  async adoptSnapshot(head: SnapshotHead): Promise<Uint8Array> {
    const incoming = this.#incoming;
    this.#incoming = null;
    assert(incoming?.head.index === head.index && incoming.pieces >= pieceCount(head.bytes), 'all pieces are there');
    const record = { ...head, slot: incoming.slot, firstIndex: head.index + 1 };
    await this.#switchOver(record, true);
    return this.#readContent(record);
  }

  async close(): Promise<void> {
    this.#ended ??= new CodedError('unavailable', 'the log is closed');
    await this.#writing;
    const database = this.#database;
    this.#database = null;
    await database?.close();
  }

  async #read(database: LogDatabase): Promise<RestoredReplica> {
    if (await isNew(database))
      await database.put(FORMAT_KEY, seal(FORMAT_KEY, Buffer.from(String(FORMAT_VERSION))), { sync: true });
    const snapshot = await readRaftSnapshot(database);
    const orphans = await orphanedPieces(database, snapshot);
    if (orphans.length > 0)
      await database.batch(
        orphans.map((key) => ({ type: 'del', key })),
        { sync: true },
      );
    this.#snapshot = snapshot;
    this.#lastSlot = snapshot?.slot ?? 0;
    this.#firstIndex = snapshot?.firstIndex ?? 1;
    const entries: RaftEntry[] = [];
    for await (const [key, value] of database.iterator({ ...ENTRY_RANGE, fillCache: false }))
      entries.push(decodeEntry(this.#firstIndex + entries.length, key, value));
    this.#lastIndex = this.#firstIndex + entries.length - 1;
    if (snapshot && this.#lastIndex < snapshot.index) {
      if (entries.length > 0 || this.#firstIndex <= snapshot.index) throw corrupt(`entry ${this.#lastIndex + 1} is missing`);
    }
    const hard = await readHard(database);
    // Whoever forgot its term could vote twice in it.
    if (hard.term < Math.max(snapshot?.term ?? 0, entries.at(-1)?.term ?? 0))
      throw corrupt('the record of its term is missing or older than its entries');
    return { hard, snapshot: snapshot && headOf(snapshot), entries };
  }

  #writePiece(slot: number, piece: number, data: Uint8Array, orphans: readonly Operation[] = []): Promise<void> {
    const key = pieceKey(slot, piece);
    return this.#write([...orphans, { type: 'put', key, value: seal(key, data) }]);
  }

  #switchOver(next: RaftSnapshotRecord, dropAll = false): Promise<void> {
    const before = this.#snapshot;
    const operations: Operation[] = before ? deletePieces(before.slot, before.bytes) : [];
    operations.push({ type: 'put', key: SNAPSHOT_KEY, value: seal(SNAPSHOT_KEY, Buffer.from(JSON.stringify(next))) });
    const last = dropAll ? this.#lastIndex : next.firstIndex - 1;
    for (let index = this.#firstIndex; index <= last; index += 1) operations.push({ type: 'del', key: entryKey(index) });
    this.#firstIndex = next.firstIndex;
    if (dropAll) this.#lastIndex = next.index;
    this.#snapshot = next;
    return this.#write(operations);
  }

  #write(operations: readonly Operation[]): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    if (operations.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operations, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    // Later, so that all that is asked for in one go shares the sync.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      try {
        await this.#commit(group.flatMap(({ operations }) => operations));
      } catch (error) {
        const failure = codedLevelError(error);
        this.#ended = failure;
        for (const { reject } of [...group, ...this.#waiting.splice(0)]) reject(failure);
        break;
      }
      for (const { resolve } of group) resolve();
    }
    this.#writing = null;
  }

  /** One by one: a list of 4,096 operations holds the thread up for 50 ms, as many calls for 4 (classic-level 3). */
  async #commit(operations: readonly Operation[]): Promise<void> {
    const batch = this.#open().batch();
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value);
      else batch.del(operation.key);
    }
    await batch.write({ sync: true });
  }

  #get(key: Buffer): Promise<Buffer | undefined> {
    return this.#open()
      .get(key, { fillCache: false })
      .catch((error: unknown) => {
        throw coded(error);
      });
  }

  #readContent(record: RaftSnapshotRecord): Promise<Uint8Array> {
    return readContent(this.#open(), record).catch((error: unknown) => {
      throw coded(error);
    });
  }

  #open(): LogDatabase {
    if (!this.#database) throw this.#ended ?? new CodedError('unavailable', 'the log is closed');
    return this.#database;
  }
}

/** What LevelDB says, with a code; a broken invariant as it is. */
function coded(error: unknown): unknown {
  return isLevelError(error) ? codedLevelError(error) : error;
}

function deletePieces(slot: number, bytes: number): Operation[] {
  return Array.from({ length: pieceCount(bytes) }, (_, piece) => ({ type: 'del', key: pieceKey(slot, piece) }));
}
