/**
 * How fast the log on disk commits, with a single replica: one proposal at a time, each waiting for the one before, and in groups.
 * Real syncs, so the disk of the machine decides; put the figures beside the same machine's others only.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelRaftStorage } from '../src/adapters/level/raft-storage.ts';
import type { Log, LogEntry } from '../src/ports/log.ts';
import { aloneOn } from '../test/rig/lone-replica.ts';
import { type Bench, figure } from './bench.ts';

const RUNS = 5;
const RUN_MS = 1_000;
const ENTRY_BYTES = 200;

export const logAppend: Bench = {
  async run({ tell }) {
    const directory = await mkdtemp(join(tmpdir(), 'tendril-bench-'));
    const samples = { one: [] as number[], many: [] as number[], bound: [] as number[], ratio: [] as number[] };
    try {
      for (let run = 0; run < RUNS; run += 1) {
        tell(`log: run ${run + 1} of ${RUNS}`);
        const bound = syncsPerSecond(join(directory, `bound-${run}`));
        const one = await entriesPerSecond(join(directory, `one-${run}`), 1);
        samples.bound.push(bound);
        samples.one.push(one);
        samples.ratio.push(one / bound);
        samples.many.push(await entriesPerSecond(join(directory, `many-${run}`), 128));
      }
    } finally {
      await rm(directory, { recursive: true });
    }
    return [
      figure({ name: 'writes with a sync of their own, by the plain file system', unit: '1/s' }, samples.bound),
      figure({ name: 'commits, one after the other', unit: '1/s' }, samples.one),
      figure({ name: 'the same, as a share of the plain writes', unit: '×' }, samples.ratio),
      figure({ name: 'entries committed, 128 at a time', unit: '1/s' }, samples.many),
    ];
  },
};

/** The bound: an append of as many bytes and a sync, with nothing around it. */
function syncsPerSecond(path: string): number {
  const file = openSync(path, 'w');
  const data = Buffer.alloc(ENTRY_BYTES, 'x');
  const startMs = performance.now();
  let count = 0;
  while (performance.now() - startMs < RUN_MS) {
    writeSync(file, data);
    fdatasyncSync(file);
    count += 1;
  }
  closeSync(file);
  return (count * 1_000) / (performance.now() - startMs);
}

/** Keeps `outstanding` proposals in the log's queue: as soon as all are delivered the next are made. */
async function entriesPerSecond(directory: string, outstanding: number): Promise<number> {
  const log: Log = aloneOn(new LevelRaftStorage(directory));
  const data = Buffer.alloc(ENTRY_BYTES, 'x');
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
        ready({ leads }) {
          if (!leads) return;
          startMs = performance.now();
          propose();
        },
        committed(entries: readonly LogEntry[]) {
          committed += entries.length;
          const ranMs = performance.now() - startMs;
          if (ranMs >= RUN_MS) resolve(ranMs);
          else if (committed === next) propose();
        },
        dropped: (_, reason) => reject(new Error(reason)),
        failed: reject,
      })
      .catch(reject);
  });
  await log.close();
  return (committed * 1_000) / elapsedMs;
}
