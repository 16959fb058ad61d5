import { MemoryDisk } from '../../src/adapters/memory/disk.ts';
import { MemoryLog } from '../../src/adapters/memory/log.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { Prng } from '../../src/core/base/prng.ts';
import { describeLog, type LogPlace } from './log.ts';
import { runVictim } from './log-victim.ts';

async function memoryPlace(): Promise<LogPlace> {
  const disk = new MemoryDisk(systemClock);
  return {
    log: () => new MemoryLog(disk),
    killVictim: (orders, lines) =>
      new Promise((resolve) => {
        const reports: string[] = [];
        const random = new Prng(orders.seed);
        void runVictim(new MemoryLog(disk), orders, (line) => {
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

describeLog('memory', memoryPlace);
