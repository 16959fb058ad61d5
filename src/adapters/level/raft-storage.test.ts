/** What only the real disk can get wrong. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { expect, it } from 'vitest';
import { LevelRaftStorage } from './raft-storage.ts';
import { HARD_KEY } from './records.ts';

it('does not start with entries but without the term in which it may have voted', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-raft-'));
  try {
    const storage = new LevelRaftStorage(join(directory, 'log'), []);
    await storage.load();
    await storage.persist({ term: 3, votedFor: 'a' }, [{ index: 1, term: 3, kind: 'blank', data: new Uint8Array(0) }]);
    await storage.close();
    const database = new ClassicLevel<Buffer, Buffer>(join(directory, 'log'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    await database.del(HARD_KEY);
    await database.close();
    const again = new LevelRaftStorage(join(directory, 'log'), []);
    await expect(again.load()).rejects.toMatchObject({ code: 'data_dir_corrupt', message: expect.stringContaining('term') });
  } finally {
    await rm(directory, { recursive: true });
  }
});
