/** An orchestrator grows to five replicas and shrinks to one while clients write and instances run; real processes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Group, startGroup } from '../rig/group.ts';

const LAST = 'n2';
let group: Group;
beforeAll(async () => {
  group = await startGroup();
});
afterAll(() => group?.close());

const tendril = async (...words: string[]) => {
  const { exitCode, stderr } = await group.site.cli('--context', await group.leader(), ...words);
  if (exitCode !== 0) throw new Error(stderr);
};

test('1 -> 2 -> 3 -> 5 -> 3 -> 1 under load: nothing acknowledged is lost or applied twice, no instance notices', async () => {
  const { site } = group;
  const writers = group.writers(4);
  const early = await group.run('early');
  await writers.progress('alone');

  await group.join(LAST, 'voter');
  const lasting = await group.run('lasting', { placement: { node: LAST } });
  const processes = site.instanceProcesses();
  await writers.progress('two voters');
  await group.join('n3', 'voter');
  await writers.progress('three voters');
  await Promise.all([group.join('n4', 'learner'), group.join('n5', 'voter')]);
  await writers.progress('four voters and a learner');
  await tendril('node', 'promote', 'n4');
  await group.settled();
  await writers.progress('five voters');
  expect(await site.running('n4', 'early', 1)).toEqual([early]);
  expect(site.instanceProcesses()).toEqual(processes);

  // The first one goes; what it runs moves before.
  await tendril('node', 'drain', 'root');
  await site.until('early runs elsewhere', async () => (await site.running('n4', 'early', 1))[0]?.node !== 'root', 10_000);
  await group.remove('root');
  await writers.progress('without the first');
  // Then whoever leads; the last one hands over if it is that.
  if ((await group.leader()) === LAST) {
    await group.setRole(LAST, 'learner');
    await group.setRole(LAST, 'voter');
  }
  const leader = await group.leader();
  expect(leader).not.toBe(LAST);
  await group.remove(leader);
  await writers.progress('without the second leader');
  for (const name of group.names) if (name !== LAST) await group.remove(name);
  await writers.progress('alone again', 10);

  expect(await group.faults(writers)).toEqual([]);
  expect(await site.running(LAST, 'lasting', 1)).toEqual([lasting]);
  const ofLasting = processes.filter(({ instance }) => instance === lasting.id);
  expect(site.instanceProcesses()).toEqual(expect.arrayContaining(ofLasting));
});
