/** The log of one replica alone, on Raft: the same promises as any log (L1 to L5). */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelRaftStorage } from '../../src/adapters/level/raft-storage.ts';
import { MemoryDisk } from '../../src/adapters/memory/disk.ts';
import { MemoryRaftStorage } from '../../src/adapters/memory/raft-storage.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { Prng } from '../../src/core/base/prng.ts';
import { buildProgram, runProgram } from '../rig/child-program.ts';
import { aloneOn } from '../rig/lone-replica.ts';
import { describeLog, type LogPlace } from './log.ts';
import { runVictim } from './log-victim.ts';

async function memoryPlace(): Promise<LogPlace> {
  const disk = new MemoryDisk(systemClock);
  return {
    log: () => aloneOn(new MemoryRaftStorage(disk)),
    killVictim: (orders, lines) =>
      new Promise((resolve) => {
        const reports: string[] = [];
        const random = new Prng(orders.seed);
        void runVictim(aloneOn(new MemoryRaftStorage(disk)), orders, (line) => {
          if (reports.length === lines) return;
          reports.push(line);
          if (reports.length < lines) return;
          disk.crash(random);
          resolve(reports);
        });
      }),
    remove: async () => {},
  };
}

let victim: Promise<string> | null = null;

async function levelPlace(): Promise<LogPlace> {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-raft-log-'));
  return {
    log: () => aloneOn(new LevelRaftStorage(join(directory, 'log'))),
    async killVictim({ round, seed }, lines) {
      victim ??= buildProgram(join(import.meta.dirname, 'raft-log-victim.ts'));
      const command = [process.execPath, await victim, join(directory, 'log'), String(round), String(seed)] as const;
      const run = runProgram([...command], (_, { process, lines: reports }) => {
        if (reports.length === lines) process.kill('SIGKILL');
      });
      await run.ended;
      return run.lines;
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

describeLog('one Raft replica on the simulated disk', memoryPlace);
describeLog('one Raft replica on LevelDB', levelPlace);
