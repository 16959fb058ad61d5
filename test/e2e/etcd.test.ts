/** An orchestrator whose log is in a real etcd, with TLS and users: real processes are killed, and so is etcd. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { InstanceView } from '../../src/core/model/views.ts';
import { ETCD_PASSWORD, Etcd } from '../rig/etcd.ts';
import { type Group, startGroup } from '../rig/group.ts';
import type { InstanceProcess } from '../rig/tendril-process.ts';
import type { Writers } from '../rig/writers.ts';

let etcd: Etcd;
let group: Group;
let writers: Writers;
let instance: InstanceView;
let processes: readonly InstanceProcess[];

function logFlags(password = ETCD_PASSWORD): string[] {
  const { certificates } = etcd;
  if (certificates === null) throw new Error('an etcd with TLS has certificates');
  const { caFile, clientFile, clientKeyFile } = certificates;
  const passwordFile = join(etcd.newDirectory('tls'), `password-of-${password.length}`);
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  return [
    ...['--log', `etcds://${etcd.endpoints.join(',')}/root`, '--log-ca', caFile, '--log-cert', clientFile],
    ...['--log-key', clientKeyFile, '--log-user', 'tendril', '--log-password-file', passwordFile],
  ];
}

beforeAll(async () => {
  etcd = await Etcd.start({ tls: true, auth: true });
  group = await startGroup({ flags: (name) => (name === 'root' ? logFlags() : []) });
  instance = await group.run('lasting', { placement: { node: 'root' } });
  processes = group.site.instanceProcesses();
});
afterAll(async () => {
  await group?.close();
  await etcd?.stop();
});
afterEach(async () => {
  expect(await group.site.running('root', 'lasting', 1)).toMatchObject([{ id: instance.id, restarts: 0 }]);
  expect(group.site.instanceProcesses()).toEqual(processes);
});

test('kill -9 of the only orchestrator, and a start of it: nothing is lost, no instance notices', async () => {
  writers = group.writers(3);
  await writers.progress('at first');
  for (const round of [1, 2]) {
    await group.site.root.kill();
    await group.site.root.start();
    await writers.progress(`it was killed, ${round}`);
  }
  expect(await group.faults(writers)).toEqual([]);
});

test('etcd is killed and started again: it is a pause', async () => {
  const { pid } = group.site.root;
  writers = group.writers(3);
  await writers.progress('at first');
  await etcd.kill();
  await etcd.run();
  await writers.progress('etcd is back');
  expect(await group.faults(writers)).toEqual([]);
  expect(group.site.root.pid).toBe(pid);
});

test('etcd is away for long: nothing is decided, everything goes on running, and it comes back by itself', async () => {
  const { site } = group;
  const { pid } = site.root;
  await etcd.kill();
  await site.until('nobody leads', async () => (await group.view('root')).leader === null, 30_000);
  const refused = await site.cli('--context', 'root', 'scale', 'lasting', '2');
  expect(refused.exitCode).not.toBe(0);
  expect(refused.stderr).toContain('No quorum');
  expect(site.instanceProcesses()).toEqual(processes);
  await etcd.run();
  await group.leader();
  await site.apply('root', 'later', { disconnect: { lostAfter: '1h' } });
  await site.running('root', 'later', 1);
  await site.remove('root', 'later');
  expect(site.root.pid).toBe(pid);
});

test('a second orchestrator on the same etcd takes over when the first is killed, and neither loses anything', async () => {
  await group.join('n2', 'voter', logFlags());
  writers = group.writers(3);
  await writers.progress('there are two');
  await group.site.root.kill();
  expect(await group.leader('root')).toBe('n2');
  await writers.progress('the second one leads');
  await group.site.root.start();
  await group.settled();
  await writers.progress('the first one follows');
  await group.site.node('n2').stop();
  expect(await group.leader('n2')).toBe('root');
  await writers.progress('the first one leads again');
  await group.site.node('n2').start();
  await group.settled();
  await group.remove('n2');
  await writers.progress('alone again');
  expect(await group.faults(writers)).toEqual([]);
});

test('a wrong password is refused, and it says what to do', async () => {
  const { site } = group;
  const words = ['up', '--data-dir', join(site.directory, 'stranger'), '--listen', '127.0.0.1:0', '--no-save-context'];
  const { exitCode, stderr } = await site.cli(...words, ...logFlags('wrong'));
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain('etcd refuses this orchestrator');
  expect(stderr).toContain('--log-password-file');
});
