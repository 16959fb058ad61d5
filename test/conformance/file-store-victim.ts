/** A process on a store of files, to be killed: `<directory> <seed>`. */
import { writeSync } from 'node:fs';
import { FileStore } from '../../src/adapters/file-store/store.ts';
import { runStoreVictim } from './store-victim.ts';

const [directory = '', seed] = process.argv.slice(2);
await runStoreVictim(new FileStore(directory), Number(seed), (line) => writeSync(1, `${line}\n`));
