/** A cluster of three replicas below a root of three: leaders die on both levels, and nothing that runs notices; real processes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startDeployment } from '../rig/deployment.ts';
import { Group } from '../rig/group.ts';

let root: Group;
let cluster: Group;
beforeAll(async () => {
  const site = await startDeployment({ clusters: { garching: 2 } });
  root = new Group(site);
  cluster = new Group(site, 'garching');
  for (const group of [root, cluster]) await group.open();
  for (const name of ['r2', 'r3']) await root.join(name, 'voter', ['--no-worker']);
  for (const name of ['g2', 'g3']) await cluster.join(name, 'voter', ['--no-worker']);
});
afterAll(() => root?.close());

test('the leader of the cluster dies, then that of the root, then both', async () => {
  const { site } = root;
  await site.apply(await root.leader(), 'steady', { replicas: 2 });
  const before = await site.running(await root.leader(), 'steady', 2);
  const processes = site.instanceProcesses();
  let services = 0;
  for (const dying of [[cluster], [root], [cluster, root]]) {
    const dead = await Promise.all(dying.map((group) => group.leader()));
    await Promise.all(dead.map((name) => site.node(name).kill()));
    const top = await root.leader(dead.find((name) => root.names.includes(name)));
    await cluster.leader(dead.find((name) => cluster.names.includes(name)));
    // A wish that goes all the way down shows that the levels have found each other again.
    const name = `wish-${++services}`;
    await site.until('a wish is taken', async () => site.apply(top, name, { replicas: 2 }).then(() => true), 15_000);
    await site.running(top, name, 2, 20_000);
    for (const one of dead) await site.node(one).start();
    await Promise.all([root.settled(), cluster.settled()]);
  }
  const after = await site.running(await root.leader(), 'steady', 2);
  expect(after.map(({ id, restarts, node }) => [id, restarts, node])).toEqual(before.map(({ id, node }) => [id, 0, node]));
  expect(site.instanceProcesses()).toEqual(expect.arrayContaining(processes));
  expect(root.startedTwice()).toEqual([]);
});
