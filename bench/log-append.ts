/**
 * How fast the log on disk commits: one proposal at a time, each waiting for the one before, and in groups.
 * Real syncs, so the disk of the machine decides; put the figures beside the same machine's others only.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LevelLog } from '../src/adapters/level/log.ts';
import type { Log, LogEntry } from '../src/ports/log.ts';

export interface LogAppendFigures {
  readonly commitsPerSecondBatch1: number;
  readonly entriesPerSecondBatch128: number;
}

/** `parent` is a directory on the disk that is to be measured. */
export async function measureLogAppend(parent: string, durationMs = 2_000, entryBytes = 200): Promise<LogAppendFigures> {
  const directory = await mkdtemp(join(parent, 'tendril-bench-'));
  try {
    return {
      commitsPerSecondBatch1: await entriesPerSecond(join(directory, 'one'), 1, durationMs, entryBytes),
      entriesPerSecondBatch128: await entriesPerSecond(join(directory, 'many'), 128, durationMs, entryBytes),
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Keeps `outstanding` proposals in the log's queue: as soon as all are delivered the next are made. */
async function entriesPerSecond(directory: string, outstanding: number, durationMs: number, entryBytes: number): Promise<number> {
  const log: Log = new LevelLog(directory);
  const data = Buffer.alloc(entryBytes, 'x');
  let committed = 0;
  let startMs = 0;
  let next = 0;
  const elapsedMs = await new Promise<number>((resolve, reject) => {
    const propose = (): void => {
      for (let count = 0; count < outstanding; count += 1) log.propose(next++, data);
    };
    log
      .open({
        restored: () => reject(new Error('the directory is not new')),
        ready() {
          startMs = performance.now();
          propose();
        },
        committed(entries: readonly LogEntry[]) {
          committed += entries.length;
          const ranMs = performance.now() - startMs;
          if (ranMs >= durationMs) resolve(ranMs);
          else if (committed === next) propose();
        },
        dropped: (_, reason) => reject(new Error(reason)),
        failed: reject,
      })
      .catch(reject);
  });
  await log.close();
  return Math.round((committed * 1_000) / elapsedMs);
}
