/** A process on the log of a lone Raft replica, to be killed: `<directory> <round> <seed>`. */
import { writeSync } from 'node:fs';
import { LevelRaftStorage } from '../../src/adapters/level/raft-storage.ts';
import { aloneOn } from '../rig/lone-replica.ts';
import { runVictim } from './log-victim.ts';

const [directory = '', round, seed] = process.argv.slice(2);
const log = aloneOn(new LevelRaftStorage(directory));
await runVictim(log, { round: Number(round), seed: Number(seed) }, (line) => writeSync(1, `${line}\n`));
