import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelRaftStorage } from '../../src/adapters/level/raft-storage.ts';
import { MemoryDisk } from '../../src/adapters/memory/disk.ts';
import { MemoryRaftStorage } from '../../src/adapters/memory/raft-storage.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { describeRaftStorage } from './raft-storage.ts';

describeRaftStorage('memory', async () => {
  const disk = new MemoryDisk(systemClock);
  return { storage: () => new MemoryRaftStorage(disk), remove: async () => {} };
});

describeRaftStorage('level', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-raft-'));
  return {
    storage: () => new LevelRaftStorage(join(directory, 'log')),
    remove: () => rm(directory, { recursive: true }),
  };
});
