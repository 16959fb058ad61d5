import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileStore } from '../../src/adapters/file-store/store.ts';
import { MemoryDisk } from '../../src/adapters/memory/disk.ts';
import { MemoryStore } from '../../src/adapters/memory/store.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { Prng } from '../../src/core/base/prng.ts';
import { buildProgram, runProgram } from '../rig/child-program.ts';
import { describeStore, type StorePlace } from './store.ts';
import { runStoreVictim } from './store-victim.ts';

async function memoryPlace(): Promise<StorePlace> {
  const disk = new MemoryDisk(systemClock);
  return {
    store: () => new MemoryStore(disk),
    killVictim: ({ seed }, lines) =>
      new Promise((resolve) => {
        const reports: string[] = [];
        void runStoreVictim(new MemoryStore(disk), seed, (line) => {
          if (reports.length < lines) reports.push(line);
          if (reports.length < lines) return;
          // Once the next version is on its way.
          queueMicrotask(() => {
            disk.crash(new Prng(seed));
            resolve(reports);
          });
        });
      }),
    remove: async () => {},
  };
}

let victim: Promise<string> | null = null;

async function filePlace(): Promise<StorePlace> {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-store-'));
  return {
    store: () => new FileStore(join(directory, 'store')),
    async killVictim({ seed }, lines) {
      victim ??= buildProgram(join(import.meta.dirname, 'file-store-victim.ts'));
      const run = runProgram(
        [process.execPath, await victim, join(directory, 'store'), String(seed)],
        (_, { process, lines: reports }) => {
          if (reports.length === lines) process.kill('SIGKILL');
        },
      );
      await run.ended;
      return run.lines;
    },
    remove: () => rm(directory, { recursive: true }),
  };
}

describeStore('memory', memoryPlace);
describeStore('files', filePlace);
