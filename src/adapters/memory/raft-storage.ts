/**
 * What a replica of the log keeps, on a simulated disk: T1 to T3 of src/ports/raft-storage.ts, in the way of the real
 * one (group commit, nothing after a failed write). It moves only with its disk's clock; on a crash it falls silent.
 */
import { assert, must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { HardState, RestoredReplica } from '../../core/raft/contract.ts';
import type { RaftEntry, SnapshotHead } from '../../core/raft/messages.ts';
import type { RaftStorage } from '../../ports/raft-storage.ts';
import type { DiskAttachment, MemoryDisk } from './disk.ts';
import { type RaftContent, sealEntry, sealHard, sealSnapshot } from './raft-content.ts';

interface Waiting {
  readonly apply: (content: RaftContent) => void;
  readonly resolve: () => void;
  readonly reject: (failure: CodedError) => void;
}

export class MemoryRaftStorage implements RaftStorage {
  readonly #disk: DiskAttachment;
  #ended: CodedError | null = null;
  #lastIndex = 0;
  #incoming: { readonly head: SnapshotHead; readonly pieces: Uint8Array[] } | null = null;
  #waiting: Waiting[] = [];
  #isWriting = false;
  readonly #whenIdle: (() => void)[] = [];

  constructor(disk: MemoryDisk) {
    this.#disk = disk.attach();
  }

  load(): Promise<RestoredReplica> {
    const { disk } = this.#disk;
    if (disk.logOwner !== null) return Promise.reject(new CodedError('data_dir_locked'));
    disk.logOwner = this;
    return new Promise((resolve, reject) => {
      this.#disk.defer(() => {
        const damage = disk.recover();
        if (damage !== null) {
          disk.logOwner = null;
          reject(new CodedError('data_dir_corrupt', `the log: ${damage}`));
          return;
        }
        const { hard, snapshot, firstIndex, entries } = this.#content;
        this.#lastIndex = firstIndex + entries.length - 1;
        resolve({
          hard: hard.value,
          snapshot: snapshot?.value.head ?? null,
          entries: entries.map((_, at) => this.#entry(firstIndex + at)),
        });
      });
    });
  }

  persist(hard: HardState, entries: readonly RaftEntry[]): Promise<void> {
    const stored = entries.map(sealEntry);
    const [first] = entries;
    if (first) {
      assert(first.index <= this.#lastIndex + 1, `entry ${first.index} has no gap before`);
      this.#lastIndex = first.index + entries.length - 1;
    }
    return this.#write((content) => {
      content.hard = sealHard(hard);
      if (first) content.entries = [...content.entries.slice(0, first.index - content.firstIndex), ...stored];
    });
  }

  async readEntries(fromIndex: number, toIndex: number, bytes: number): Promise<readonly RaftEntry[]> {
    const entries: RaftEntry[] = [];
    let total = 0;
    for (let index = fromIndex; index <= toIndex; index += 1) {
      const entry = this.#entry(index);
      total += entry.data.length;
      if (entries.length > 0 && total > bytes) break;
      entries.push(entry);
    }
    return entries;
  }

  takeSnapshot(head: SnapshotHead, content: Uint8Array, keepFromIndex: number): Promise<void> {
    assert(head.bytes === content.length, 'the head tells the size');
    const kept = new Uint8Array(content);
    return this.#write((disk) => {
      if (head.index <= (disk.snapshot?.value.head.index ?? 0)) return;
      const firstIndex = Math.max(disk.firstIndex, Math.min(keepFromIndex, head.index + 1));
      disk.entries = disk.entries.slice(firstIndex - disk.firstIndex);
      disk.firstIndex = firstIndex;
      disk.snapshot = sealSnapshot({ head, content: kept });
    });
  }

  async readPiece(index: number, piece: number): Promise<Uint8Array | null> {
    const { snapshot } = this.#content;
    if (snapshot?.value.head.index !== index) return null;
    const start = piece * limits.snapshotPieceBytes;
    return snapshot.value.content.slice(start, start + limits.snapshotPieceBytes);
  }

  async readSnapshot(): Promise<Uint8Array | null> {
    const { snapshot } = this.#content;
    return snapshot && new Uint8Array(snapshot.value.content);
  }

  keepPiece(head: SnapshotHead, piece: number, data: Uint8Array): Promise<void> {
    if (piece === 0) this.#incoming = { head, pieces: [] };
    const { pieces } = must(this.#incoming, 'a snapshot that comes in');
    assert(pieces.length === piece, `piece ${piece} follows the one before`);
    pieces.push(new Uint8Array(data));
    // Of an unfinished one nothing is found after a restart; only the time of the sync is to be told.
    return this.#write(() => {});
  }

  async adoptSnapshot(head: SnapshotHead): Promise<Uint8Array> {
    const content = Buffer.concat(this.#incoming?.pieces ?? []);
    assert(content.length === head.bytes, 'all pieces are there');
    this.#incoming = null;
    this.#lastIndex = head.index;
    await this.#write((disk) => {
      disk.snapshot = sealSnapshot({ head, content });
      disk.firstIndex = head.index + 1;
      disk.entries = [];
    });
    return new Uint8Array(content);
  }

  close(): Promise<void> {
    this.#ended ??= new CodedError('unavailable', 'the log is closed');
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
      this.#disk.defer(() => this.#settle());
    });
  }

  get #content(): RaftContent {
    return this.#disk.disk.content.raft;
  }

  #entry(index: number): RaftEntry {
    const { firstIndex, entries } = this.#content;
    const { value } = must(entries[index - firstIndex], `entry ${index}`);
    return { ...value, data: new Uint8Array(value.data) };
  }

  #write(apply: (content: RaftContent) => void): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ apply, resolve, reject });
      if (this.#isWriting) return;
      this.#isWriting = true;
      // Later, so that all that is asked for in one go shares the sync.
      this.#disk.defer(() => this.#writeNext());
    });
  }

  #writeNext(): void {
    const group = this.#waiting.splice(0);
    this.#disk.write(
      ({ raft }) => {
        for (const { apply } of group) apply(raft);
      },
      (failure) => {
        if (failure) this.#ended = failure;
        for (const { resolve, reject } of group) failure ? reject(failure) : resolve();
        if (failure) for (const { reject } of this.#waiting.splice(0)) reject(failure);
        if (this.#waiting.length > 0) this.#writeNext();
        else this.#isWriting = false;
        this.#settle();
      },
    );
  }

  #settle(): void {
    if (this.#isWriting || this.#whenIdle.length === 0) return;
    if (this.#disk.disk.logOwner === this) this.#disk.disk.logOwner = null;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
