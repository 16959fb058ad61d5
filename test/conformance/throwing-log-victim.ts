/** A process that breaks at the first entry of the log of a lone Raft replica: `<directory>`. */
import { LevelRaftStorage } from '../../src/adapters/level/raft-storage.ts';
import { aloneOn } from '../rig/lone-replica.ts';

const [directory = ''] = process.argv.slice(2);
await aloneOn(new LevelRaftStorage(directory)).open({
  restored: () => undefined,
  committed([entry]) {
    throw new RangeError(`cannot be applied: ${Buffer.from(entry?.data ?? '')}`);
  },
  ready: () => undefined,
  dropped: () => undefined,
  failed: () => undefined,
});
