/** The log in a real etcd: the same promises as any log (L1 to L5), by one replica alone. */
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { buildProgram, runProgram } from '../rig/child-program.ts';
import { EtcdSite } from '../rig/etcd-site.ts';
import { describeLog, type LogPlace } from './log.ts';

let site: EtcdSite;
let victim: string;

beforeAll(async () => {
  site = await EtcdSite.open();
  victim = await buildProgram(join(import.meta.dirname, 'etcd-log-victim.ts'));
});

afterAll(() => site.close());

async function etcdPlace(): Promise<LogPlace> {
  return {
    log: () => site.replica(),
    async killVictim({ round, seed }, lines) {
      const words = [String(site.etcd.members[0]?.port), site.name, String(round), String(seed)];
      const run = runProgram([process.execPath, victim, ...words], (_, { process, lines: reports }) => {
        if (reports.length === lines) process.kill('SIGKILL');
      });
      await run.ended;
      return run.lines;
    },
    remove: () => site.clear(),
  };
}

describeLog('etcd', etcdPlace);
