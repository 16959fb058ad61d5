/** A process on a log in etcd, to be killed: `<port> <name> <round> <seed>`. */
import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { EtcdLog } from '../../src/adapters/etcd/log.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { runVictim } from './log-victim.ts';

const [port, name = '', round, seed] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);
const log = new EtcdLog(
  {
    clock: systemClock,
    newId: randomUUID,
    warn: () => undefined,
    memory: { read: async () => null, write: async () => undefined },
    mayLead: () => true,
  },
  {
    access: { endpoints: [{ host: '127.0.0.1', port: Number(port) }], tls: null, user: null },
    name,
    replica: { id: 'r1', name: 'node-r1' },
  },
);
await runVictim(log, { round: Number(round), seed: Number(seed) }, say);
