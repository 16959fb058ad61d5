/** A process on a LevelDB log, to be killed: `<directory> <round> <seed>`. */
import { writeSync } from 'node:fs';
import { LevelLog } from '../../src/adapters/level/log.ts';
import { runVictim } from './log-victim.ts';

const [directory = '', round, seed] = process.argv.slice(2);
await runVictim(new LevelLog(directory), { round: Number(round), seed: Number(seed) }, (line) => writeSync(1, `${line}\n`));
