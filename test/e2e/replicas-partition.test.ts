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
  console.log('gap', writers.longestGapMs, writers.acknowledged);
  expect(await group.faults(writers)).toEqual([]);
  for (const [name, { id }] of before) expect(await site.running(name, `on-${name}`, 1)).toMatchObject([{ id, restarts: 0 }]);
  expect(site.instanceProcesses()).toEqual(processes);
});

const stepsDown = (leader: string) =>
  group.site.until(`${leader} leads no more`, async () => (await group.view(leader)).leader !== leader, 5_000);

test('a leader that is cut off steps down, says so, and decides nothing', async () => {
  await writers.progress('at first');
  const leader = await group.leader();
  const spec = { runtime: 'process', command: ['sleep', '1'], replicas: 0 };
  const resource = serviceSchema.parse({
    apiVersion: 'tendril/v1',
    kind: 'Service',
    metadata: { name: 'asked-while-cut-off' },
    spec,
  });
  await network.cut([leader]);
  const t = performance.now();
  const pending = group
    .replica(leader)
    .apply(resource, 'pending', 30_000)
    .then(
      (e) => console.log('pending', e, performance.now() - t),
      (e) => console.log('pending', String(e), performance.now() - t),
    );
  await stepsDown(leader);
  console.log('stepped down', performance.now() - t);
  const next = await group.leader(leader);
  console.log('next', performance.now() - t);
  await writers.progress('the leader is cut off');
  const status = await group.site.cli('--context', leader, 'status');
  console.log(status);
  console.log(await group.site.cli('--context', leader, 'doctor'));
  console.log(await group.site.cli('--context', next, 'status'));
  console.log(
    await group
      .replica(leader)
      .apply(resource, 'k2')
      .catch((e) => String(e)),
  );
  await pending;
});
