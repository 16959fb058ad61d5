/** Who may be a replica, and as what: learners and their secrets, tokens, names, disks; real processes. */
import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startDeployment } from '../rig/deployment.ts';
import { freePort } from '../rig/free-port.ts';
import { type Group, startGroup } from '../rig/group.ts';

let group: Group;
beforeAll(async () => {
  group = await startGroup({ voters: 2, learners: 1 });
});
afterAll(() => group?.close());

const holdsAuthority = (name: string) =>
  access(join(group.site.directory, name, 'documents', 'authority.sealed')).then(
    () => true,
    () => false,
  );
const names = async () => (await group.view(await group.leader())).replicas.map(({ name, role }) => `${name} ${role}`).sort();

test('a learner takes requests and does not count; it holds the authority as long as it is a voter, and no longer', async () => {
  const { site } = group;
  expect(await holdsAuthority('n3')).toBe(false);
  await site.apply('n3', 'asked-of-a-learner', { replicas: 0 });
  expect(await group.replica('n3').service('asked-of-a-learner')).toMatchObject({ generation: 1 });

  await site.node('n2').kill();
  await group.isAlone('root');
  const status = await site.cli('--context', 'root', 'status');
  expect(status.stdout).toContain('none: no quorum of the voters can be reached');
  await site.node('n2').start();
  await group.settled();

  await group.setRole('n3', 'voter');
  await site.until('the new voter holds the authority', () => holdsAuthority('n3'), 10_000);
  const leader = await group.leader();
  await site.node(leader).kill();
  await group.leader(leader);
  await site.node(leader).start();
  await group.settled();
  await group.setRole('n3', 'learner');
  await site.until('it has dropped the authority', async () => !(await holdsAuthority('n3')), 10_000);
  expect(await names()).toEqual(['n2 voter', 'n3 learner', 'root voter']);
});

test('who may not join is told why, leaves nothing behind, and can join from the same directory with the right token', async () => {
  const { site } = group;
  const port = await freePort();
  const url = `https://127.0.0.1:${site.node('root').port}`;
  /** As a voter, unless it says otherwise. */
  const up = async (token: string, ...words: string[]) => {
    const where = ['--data-dir', join(site.directory, 'n4'), '--listen', `127.0.0.1:${port}`, '--join', url];
    const { exitCode, stderr } = await site.cli('up', '--name', 'n4', '--role', 'voter', ...where, '--token', token, ...words);
    expect(exitCode).toBe(4);
    return stderr;
  };
  const api = site.api(await group.leader());
  const short = (await api.createToken({ role: 'voter', ttl: '1s' })).token;
  expect(await up(await site.token('root', 'worker'))).toContain('The token is for another role');
  expect(await up(await site.token('root', 'learner'))).toContain('The token is for another role');
  const other = await startDeployment();
  expect(await up(await other.token('root', 'voter'))).toContain('The orchestrator is not the one that made this token');
  await other.close();
  await site.until('the short-lived token is over', async () => (await up(short)).includes('The token has expired'), 10_000);
  expect(await names()).toEqual(['n2 voter', 'n3 learner', 'root voter']);

  const once = (await api.createToken({ role: 'learner', uses: 1 })).token;
  await group.join('n4', 'learner', ['--token', once]);
  expect(await up(once, '--name', 'n5', '--role', 'learner', '--data-dir', join(site.directory, 'n5'))).toContain(
    'The token has been used as often as it may be',
  );
  // A start script repeats its flags.
  await site.node('n4').stop();
  await site.node('n4').start(['--join', url, '--role', 'learner', '--token', once]);
  await group.settled();
  expect(await names()).toEqual(['n2 voter', 'n3 learner', 'n4 learner', 'root voter']);
  await group.remove('n4');
});

test('a machine that comes back with an empty disk is another replica: its name is free when the old one is removed', async () => {
  const { site } = group;
  await group.setRole('n3', 'voter');
  const { replicas } = await group.view('n3');
  const old = replicas.find(({ name }) => name === 'n2')?.id;
  await site.node('n2').kill();
  await rm(site.node('n2').directory, { recursive: true });
  await expect(site.addReplica('n2', 'n3', 'voter')).rejects.toThrow('The name is taken: n2');
  await group.remove('n2');
  await group.join('n2', 'voter');
  const now = (await group.view('n3')).replicas.find(({ name }) => name === 'n2')?.id;
  expect(now).not.toBe(old);
  expect(await names()).toEqual(['n2 voter', 'n3 voter', 'root voter']);
});
