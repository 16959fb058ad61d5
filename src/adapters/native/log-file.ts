/**
 * The output of one instance: `output.log`, which the instance itself appends to, and `output.log.1`, what was
 * there before. Nothing of it passes through this program, so it goes on while this program is down.
 *
 * Rotation copies and truncates: the instance keeps its file open, and as it appends (O_APPEND), it goes on at
 * the new end. What it writes between the last read and the truncation is lost: microseconds, once in
 * limits.instanceLogBytes, unless it writes faster than a file can be copied. The file may pass its limit between two checks, or while this program is down; the
 * next check cuts it to the newest.
 *
 * Readers count in positions that never fall back: bytes since this object began, the older file's included.
 * The older file holds [#olderStart, #start), the current one [#start, ...). So a follower walks through any
 * number of rotations without loss or repetition, unless it is slower than the log for two whole files.
 */
import {
  closeSync,
  type FSWatcher,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  watch,
  writeSync,
} from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogQuery } from '../../ports/runtime.ts';

const CHUNK_BYTES = 64 * 1024;
/** Chunks copied at most while nothing else of this program runs. */
const LAST_ROUNDS = 8;
const NEWLINE = 0x0a;

export class LogFile {
  readonly #current: string;
  readonly #older: string;
  readonly #maxBytes: number;
  #olderStart = 0;
  #start: number;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;
  readonly #wakeUps = new Set<() => void>();

  /** `maxBytes` is for each of both files. */
  constructor(directory: string, maxBytes: number) {
    this.#current = join(directory, 'output.log');
    this.#older = join(directory, 'output.log.1');
    this.#maxBytes = maxBytes;
    this.#start = sizeOf(this.#older);
  }

  /** A descriptor for the instance to write to; the caller closes it. */
  openForAppend(): number {
    return openSync(this.#current, 'a', 0o640);
  }

  /** Brings both files back under their limit, and lets followers look, for file systems that tell no changes. */
  async check(): Promise<void> {
    if (sizeOf(this.#current) > this.#maxBytes) await this.#exclusively(() => this.#rotate());
    this.#wake();
  }

  /** Kept output, oldest first; with `follow` until closed or aborted. */
  async *read(query: LogQuery): AsyncGenerator<Uint8Array> {
    if (query.signal.aborted) return;
    let dirty = true;
    let wakeUp = () => {};
    const changed = () => {
      dirty = true;
      wakeUp();
    };
    const watcher = query.follow ? this.#watch(changed) : null;
    query.signal.addEventListener('abort', changed);
    this.#wakeUps.add(changed);
    const over = () => query.signal.aborted || this.#closed;
    try {
      const snapshotEnd = this.#end();
      let position = await this.#positionOfTail(query.tailLines);
      for (;;) {
        dirty = false;
        const end = query.follow ? this.#end() : snapshotEnd;
        while (position < end && !over()) {
          const read = await this.#readAt(position, Math.min(CHUNK_BYTES, end - position));
          if (read.bytes.length === 0) break;
          position = read.position + read.bytes.length;
          yield read.bytes;
        }
        if (!query.follow || over()) return;
        if (!dirty)
          await new Promise<void>((resolve) => {
            wakeUp = resolve;
          });
        if (over()) return;
      }
    } finally {
      watcher?.close();
      query.signal.removeEventListener('abort', changed);
      this.#wakeUps.delete(changed);
    }
  }

  /** Ends all readers. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async #rotate(): Promise<void> {
    if (this.#closed) return;
    const source = await open(this.#current, 'r+');
    try {
      const from = Math.max(0, (await source.stat()).size - this.#maxBytes);
      const moved = await this.#moveToOlder(source, from);
      this.#olderStart = this.#start + (moved.kept ? from : moved.end);
      this.#start += moved.end;
    } finally {
      await source.close();
    }
  }

  /** null where the system has no watch left; then `check` alone wakes the reader. */
  #watch(changed: () => void): FSWatcher | null {
    closeSync(this.openForAppend());
    try {
      const watcher = watch(this.#current, { persistent: false }, changed);
      watcher.on('error', changed);
      return watcher;
    } catch {
      return null;
    }
  }

  #wake(): void {
    for (const wakeUp of this.#wakeUps) wakeUp();
  }

  #end(): number {
    return this.#start + sizeOf(this.#current);
  }

  /** Moves everything from `from` on to the older file and empties the current one; `end` is where it was cut. */
  async #moveToOlder(source: FileHandle, from: number): Promise<{ readonly end: number; readonly kept: boolean }> {
    const temporary = `${this.#older}.new`;
    try {
      const target = await open(temporary, 'w', 0o640);
      try {
        let end = from + (await copyRange(source, target, from));
        // The last of it synchronously, so that the instance has the least time to write what nobody reads; with an end,
        // as a flood may well be faster than this.
        const rest = Buffer.allocUnsafe(CHUNK_BYTES);
        for (let round = 0; round < LAST_ROUNDS; round += 1) {
          const count = readSync(source.fd, rest, 0, rest.length, end);
          if (count === 0) break;
          end += writeSync(target.fd, rest, 0, count);
        }
        renameSync(temporary, this.#older);
        ftruncateSync(source.fd, 0);
        return { end, kept: true };
      } finally {
        await target.close();
      }
    } catch {
      // Most likely the disk is full. Then room matters more than old output.
      const end = fstatSync(source.fd).size;
      ftruncateSync(source.fd, 0);
      await rm(temporary, { force: true });
      await rm(this.#older, { force: true });
      return { end, kept: false };
    }
  }

  async #positionOfTail(lines: number | undefined): Promise<number> {
    if (lines === undefined) return this.#olderStart;
    let position = this.#end();
    if (lines === 0) return position;
    // A newline at the very end closes the last line; it does not begin another.
    let wanted = lines + 1;
    let first = true;
    while (position > this.#olderStart) {
      const from = Math.max(this.#olderStart, position - CHUNK_BYTES);
      const { bytes } = await this.#readAt(from, position - from, true);
      if (first && bytes.at(-1) !== NEWLINE) wanted -= 1;
      first = false;
      for (let index = bytes.length - 1; index >= 0; index -= 1)
        if (bytes[index] === NEWLINE && --wanted === 0) return from + index + 1;
      position = from;
    }
    return this.#olderStart;
  }

  /** Bytes from `position` on, or from where what is kept begins by now. Fewer than `length` where one file ends, unless `whole`. */
  #readAt(position: number, length: number, whole = false): Promise<{ readonly position: number; readonly bytes: Uint8Array }> {
    return this.#exclusively(async () => {
      const from = Math.max(position, this.#olderStart);
      const inOlder = from < this.#start;
      const available = inOlder ? Math.min(length, this.#start - from) : length;
      const bytes = inOlder
        ? await readRange(this.#older, from - this.#olderStart, available)
        : await readRange(this.#current, from - this.#start, available);
      if (!whole || !inOlder || bytes.length === length) return { position: from, bytes };
      const rest = await readRange(this.#current, 0, length - bytes.length);
      return { position: from, bytes: Buffer.concat([bytes, rest]) };
    });
  }

  /** Rotation and reading take turns. */
  #exclusively<T>(action: () => Promise<T>): Promise<T> {
    const outcome = this.#turn.then(action);
    this.#turn = outcome.catch(() => {});
    return outcome;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

async function readRange(path: string, position: number, length: number): Promise<Uint8Array> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch {
    return new Uint8Array(0);
  }
  try {
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await file.read(buffer, 0, length, position);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function copyRange(source: FileHandle, target: FileHandle, from: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const size = (await source.stat()).size;
  let copied = 0;
  while (from + copied < size) {
    const { bytesRead } = await source.read(buffer, 0, buffer.length, from + copied);
    if (bytesRead === 0) break;
    await target.write(buffer, 0, bytesRead);
    copied += bytesRead;
  }
  return copied;
}
