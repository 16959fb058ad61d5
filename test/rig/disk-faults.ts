/**
 * What the real adapters do on a disk that is full or read-only: `<case> <directory>`, where the directory is
 * a small file system of its own that this process may remount. Prints what happened, as JSON.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDataDirectory } from '../../src/adapters/file-store/data-directory.ts';
import { FileStore } from '../../src/adapters/file-store/store.ts';
import { LevelRaftStorage } from '../../src/adapters/level/raft-storage.ts';
import { CodedError } from '../../src/core/model/errors.ts';
import type { Log, LogListener } from '../../src/ports/log.ts';
import { aloneOn } from './lone-replica.ts';

const ENTRY_BYTES = 50_000;

function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : String(error);
}

/** The code that it rejects with; `done` when it does not. */
async function outcome(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
    return 'done';
  } catch (error) {
    return codeOf(error);
  }
}

function fill(path: string): void {
  try {
    for (let part = 0; part < 10_000; part += 1) writeFileSync(path, Buffer.alloc(4096), { flag: 'a' });
  } catch {
    return;
  }
  throw new Error('the file system is not small');
}

function entry(number: number): Buffer {
  return Buffer.alloc(ENTRY_BYTES, `entry ${number} `);
}

/** Proposes one entry after the other until the log fails or has `count`. */
async function append(
  directory: string,
  count: number,
): Promise<{ log: Log; texts: string[]; failure: string | null; dropped: string[] }> {
  const log = aloneOn(new LevelRaftStorage(directory));
  const texts: string[] = [];
  const dropped: string[] = [];
  let failure: string | null = null;
  await new Promise<void>((resolve, reject) => {
    const proposeNext = (): void => {
      if (texts.length >= count) resolve();
      else log.propose(texts.length, entry(texts.length));
    };
    let isReady = false;
    const listener: LogListener = {
      restored: () => reject(new Error('there is no snapshot')),
      committed(entries) {
        texts.push(...entries.map(({ data }) => Buffer.from(data).toString()));
        if (isReady) proposeNext();
      },
      ready({ leads }) {
        if (!leads) return;
        isReady = true;
        proposeNext();
      },
      dropped: (_, reason, fate) => dropped.push(`${fate}: ${reason}`),
      failed(error) {
        failure = codeOf(error);
        log.propose(1_000_000, entry(0));
        // After `dropped` has been told.
        setImmediate(resolve);
      },
    };
    log.open(listener).catch(reject);
  });
  return { log, texts, failure, dropped };
}

const cases: Record<string, (root: string) => Promise<unknown>> = {
  async 'log-full'(root) {
    writeFileSync(join(root, 'ballast'), Buffer.alloc(4 * 1024 * 1024));
    const full = await append(join(root, 'log'), 10_000);
    const compaction = await outcome(() => full.log.compact(Buffer.alloc(10), full.texts.length));
    await full.log.close();
    fill(join(root, 'filler'));
    const whileFull = await outcome(async () => (await append(join(root, 'log'), 0)).log.close());
    rmSync(join(root, 'filler'));
    rmSync(join(root, 'ballast'));
    const again = await append(join(root, 'log'), full.texts.length + 3);
    await again.log.close();
    return {
      acknowledged: full.texts.length,
      failure: full.failure,
      dropped: full.dropped,
      compaction,
      whileFull,
      undamaged: again.texts.every((text, number) => text === entry(number).toString()),
      afterwards: again.texts.length - full.texts.length,
      failureAfterwards: again.failure,
    };
  },

  async 'store-full'(root) {
    const store = new FileStore(join(root, 'store'));
    await store.write('a', Buffer.from('old'));
    fill(join(root, 'filler'));
    const write = await outcome(() => store.write('a', Buffer.alloc(1_000_000)));
    const kept = Buffer.from((await store.read('a')) ?? []).toString();
    const files = readdirSync(join(root, 'store'));
    mkdirSync(join(root, 'new'), { recursive: true });
    const start = await outcome(() => openDataDirectory(join(root, 'new')));
    rmSync(join(root, 'filler'));
    const afterwards = await outcome(() => store.write('a', Buffer.from('new')));
    return { write, kept, files, start, afterwards };
  },

  async 'read-only'(root) {
    const data = await openDataDirectory(join(root, 'data'));
    const store = new FileStore(join(data.path, 'store'));
    await store.write('a', Buffer.from('old'));
    await (await append(join(data.path, 'log'), 3)).log.close();
    await data.release();
    execFileSync('mount', ['-o', 'remount,ro', root]);
    return {
      directory: await outcome(() => openDataDirectory(data.path)),
      fresh: await outcome(() => openDataDirectory(join(root, 'other'))),
      log: await outcome(() => append(join(data.path, 'log'), 0)),
      freshLog: await outcome(() => append(join(data.path, 'other'), 0)),
      write: await outcome(() => store.write('a', Buffer.from('new'))),
      remove: await outcome(() => store.remove('a')),
      kept: Buffer.from((await store.read('a')) ?? []).toString(),
    };
  },
};

const [name = '', root = ''] = process.argv.slice(2);
console.log(JSON.stringify(await cases[name]?.(root)));
