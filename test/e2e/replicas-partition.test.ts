/** Three voters, each in a network of its own, and links that lose every packet without a word; real processes. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { serviceSchema } from '../../src/core/model/service.ts';
import type { InstanceView } from '../../src/core/model/views.ts';
import { type Group, startGroup } from '../rig/group.ts';
import { Network } from '../rig/network.ts';
import type { InstanceProcess } from '../rig/tendril-process.ts';
import type { Writers } from '../rig/writers.ts';

let network: Network;
let group: Group;
let writers: Writers;
const before = new Map<string, InstanceView>();
let processes: readonly InstanceProcess[];

beforeAll(async () => {
  network = await Network.open();
  group = await startGroup({ voters: 3, network });
  for (const name of group.names) before.set(name, await group.run(`on-${name}`, { placement: { node: name } }));
  processes = group.site.instanceProcesses();
});
afterAll(async () => {
  try {
    await group?.close();
  } finally {
    await network?.close();
  }
});

beforeEach(() => {
  writers = group.writers(3);
});
afterEach(async () => {
  const { site } = group;
  await network.heal();
  await group.settled();
  await writers.progress('all links are whole');
  expect(await group.faults(writers)).toEqual([]);
  for (const [name, { id }] of before) expect(await site.running(name, `on-${name}`, 1)).toMatchObject([{ id, restarts: 0 }]);
  expect(site.instanceProcesses()).toEqual(processes);
});

const others = (leader: string) => {
  const [one, two] = group.names.filter((name) => name !== leader);
  if (!one || !two) throw new Error('three replicas');
  return [one, two] as const;
};
const spec = { runtime: 'process', command: ['sleep', '1'], replicas: 0 } as const;
const service = (name: string) => serviceSchema.parse({ apiVersion: 'tendril/v1', kind: 'Service', metadata: { name }, spec });

test('a leader that is cut off steps down, decides nothing, shows nothing out of date, and says why', async () => {
  const { site } = group;
  const leader = await group.leader();
  await network.cut([leader]);
  // It cannot know what becomes of this one, and says so before anybody loses patience.
  const pending = group.replica(leader).apply(service('asked-in-the-dark'), undefined, 20_000);
  await group.leader(leader);
  await writers.progress('the leader is cut off');
  expect(await pending).toBe('unavailable');
  await group.isAlone(leader);
  await expect(group.replica(leader).apply(service('asked-alone'))).rejects.toMatchObject({ code: 'no_quorum' });
  await expect(group.replica(leader).service('on-root')).rejects.toMatchObject({ code: 'no_quorum' });

  const [status, doctor] = await Promise.all([site.cli('--context', leader, 'status'), site.cli('--context', leader, 'doctor')]);
  expect(status.exitCode).toBe(1);
  expect(status.stdout).toContain('none: no quorum of the voters can be reached');
  expect(doctor.exitCode).toBe(1);
  expect(doctor.stdout).toMatch(new RegExp(`fail  replicas +no quorum of the voters can be reached from ${leader}: it misses`));
  const [other] = others(leader);
  const whole = await site.cli('--context', other, 'doctor');
  expect(whole.stdout).toContain(`unreachable: ${leader} (voter)`);
  expect((await site.cli('--context', other, 'status')).stdout).toContain(`unreachable: ${leader}`);
});

test('a leader that is not heard any more, though it hears the others, is followed by one of them', async () => {
  const leader = await group.leader();
  for (const name of others(leader)) await network.cutOneWay(leader, name);
  await group.leader(leader);
  await writers.progress('it is not heard');
});

test('a leader that hears nobody, though all hear it, gives up its place', async () => {
  const leader = await group.leader();
  for (const name of others(leader)) await network.cutOneWay(name, leader);
  await group.leader(leader);
  await writers.progress('it hears nobody');
});

test('a voter that reaches nobody, or not the leader, keeps nobody from writing while it is away, nor when it returns', async () => {
  for (const how of ['reaches nobody', 'is not heard by the leader', 'does not hear the leader'] as const) {
    const leader = await group.leader();
    const [alone] = others(leader);
    if (how === 'reaches nobody') await network.cut([alone]);
    else if (how === 'is not heard by the leader') await network.cutOneWay(alone, leader);
    else await network.cutOneWay(leader, alone);
    await writers.progress(`${alone} ${how}`);
    if (how !== 'is not heard by the leader')
      await group.site.until('it looks for another leader', async () => (await group.view(alone)).leader !== leader, 10_000);
    await writers.progress(`${alone} ${how}, and knows it`);
    await network.heal();
    await group.settled();
  }
});

test('two voters that do not reach each other, but both the leader, miss nothing', async () => {
  const [one, two] = others(await group.leader());
  await network.cutOneWay(one, two);
  await network.cutOneWay(two, one);
  await writers.progress('without each other', 20);
});
