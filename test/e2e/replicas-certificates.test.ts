/** Certificates with the life of a mayfly, renewed while the leader is dead: by any voter; real processes. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Group, startGroup } from '../rig/group.ts';

const LIFETIME_S = 12;
let group: Group;
beforeAll(async () => {
  group = await startGroup({
    voters: 3,
    learners: 1,
    nodes: 1,
    flags: (name) => (name === 'root-1' ? [] : ['--certificate-lifetime', `${LIFETIME_S}s`]),
  });
});
afterAll(() => group?.close());

async function certificate(name: string): Promise<X509Certificate> {
  const file = name === 'root-1' ? 'member.pem' : 'replica.pem';
  return new X509Certificate(await readFile(join(group.site.directory, name, 'documents', file)));
}

test('voters, a learner and a worker renew theirs while the leader is dead, and it its own when it comes back', async () => {
  const { site } = group;
  const steady = await group.run('steady', { placement: { node: 'root-1' } });
  const processes = site.instanceProcesses();
  const dead = await group.leader();
  await site.node(dead).kill();
  const leader = await group.leader(dead);
  const alive = [...group.names, 'root-1'].filter((name) => name !== dead);
  const first = await Promise.all(alive.map(certificate));
  const lastMs = Math.max(...[...first, await certificate(dead)].map(({ validTo }) => Date.parse(validTo)));
  await site.until('all of them have expired', () => Date.now() > lastMs + 1_000, 3 * LIFETIME_S * 1_000);

  const now = await Promise.all(alive.map(certificate));
  for (const [index, { validTo }] of now.entries())
    expect([alive[index], Date.parse(validTo) > Date.now()]).toEqual([alive[index], true]);
  const api = site.api(leader);
  for (const name of alive) expect((await api.child('node', name)).state).toBe('ready');
  const writers = group.writers(2);
  await writers.progress('with new certificates');

  await site.node(dead).start();
  await group.settled();
  await site.until('its node is back', async () => (await api.child('node', dead)).state === 'ready', 15_000);
  expect(Date.parse((await certificate(dead)).validTo)).toBeGreaterThan(Date.now());
  await writers.progress('all are there');
  expect(await group.faults(writers)).toEqual([]);
  expect(await site.running(leader, 'steady', 1)).toMatchObject([{ id: steady.id, restarts: 0 }]);
  expect(site.instanceProcesses()).toEqual(processes);
});
