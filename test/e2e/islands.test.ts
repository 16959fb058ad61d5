/** Clusters on their own: cut off from the root, or with the root gone. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { InstanceView } from '../../src/core/model/views.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { throughout } from '../rig/until.ts';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await startDeployment({ clusters: { garching: 2, potsdam: 2 }, wires: true });
});
afterAll(() => deployment?.close());
afterEach(async () => {
  for (const { name } of await deployment.api('root').services()) await deployment.remove('root', name);
});

const processesOf = (service: string) =>
  deployment.instanceProcesses().filter(({ instance }) => instance.startsWith(`${service}-`));
const linked = (cluster: string) =>
  deployment.until(
    `${cluster} is linked to the root`,
    async () => (await deployment.api('root').child('cluster', cluster)).state === 'ready',
    30_000,
  );
const nodeReady = (cluster: string, node: string) =>
  deployment.until(`${node} is ready`, async () => (await deployment.api(cluster).child('node', node)).state === 'ready', 20_000);
const summary = (views: readonly InstanceView[]) => views.map(({ id, node, restarts }) => ({ id, node, restarts }));

/** Where the parent's instances run, as the cluster itself sees it. */
async function insideRunning(cluster: string, count: number, without: string): Promise<readonly InstanceView[]> {
  return deployment.until(
    `${cluster} runs ${count} by itself, none on ${without}`,
    async () => {
      const running = (await deployment.api(cluster).instances()).filter(({ state }) => state === 'RUNNING');
      return running.length === count && running.every(({ node }) => node !== without) ? running : null;
    },
    10_000,
  );
}

describe('a cluster that is cut off from the root', () => {
  test('heals itself, takes requests itself, and comes back without restarting anything', async () => {
    await deployment.apply('root', 'both', { replicas: 4 });
    const before = await deployment.running('root', 'both', 4);
    expect(before.filter(({ child }) => child === 'garching')).toHaveLength(2);
    deployment.wire('garching').stall();

    // Its own API accepts work while it is cut off.
    await deployment.apply('garching', 'local', { replicas: 2 });
    const local = await deployment.running('garching', 'local', 2);
    expect(local).toHaveLength(2);

    await deployment.node('garching-1').powerCut();
    await insideRunning('garching', 4, 'garching-1');
    const pids = deployment.instanceProcesses();
    expect(pids).toHaveLength(6);

    deployment.wire('garching').heal();
    await linked('garching');
    const after = await deployment.until(
      'the root sees all four running again',
      async () => {
        const now = await deployment.api('root').instances('both');
        return now.length === 4 &&
          now.every(({ state }) => state === 'RUNNING') &&
          now.every(({ node }) => node !== 'garching/garching-1')
          ? now
          : null;
      },
      10_000,
    );
    // To the root nothing happened but that two instances have another node now.
    expect(after.map(({ id }) => id).sort()).toEqual(before.map(({ id }) => id).sort());
    expect(deployment.instanceProcesses()).toEqual(pids);

    await deployment.node('garching-1').start();
    await nodeReady('garching', 'garching-1');
    await deployment.until('no extra copy', () => deployment.node('garching-1').instances().length === 0, 10_000);
    expect(deployment.instanceProcesses()).toEqual(pids);
    await deployment.remove('garching', 'local');
  });

  test('for longer than lostAfter is replaced by another; the extra copies stop when it is back', async () => {
    await deployment.apply('root', 'brief', { replicas: 2, disconnect: { lostAfter: '2s' } });
    await deployment.running('root', 'brief', 2);
    const potsdam = () => ['potsdam-1', 'potsdam-2'].flatMap((node) => deployment.node(node).instances());
    const garching = () => ['garching-1', 'garching-2'].flatMap((node) => deployment.node(node).instances());
    const [own] = garching();
    deployment.wire('garching').refuse();
    await deployment.until('potsdam runs both', () => potsdam().length === 2, 10_000);
    expect(garching()).toEqual([own]);
    const both = potsdam();
    deployment.wire('garching').heal();
    await linked('garching');
    await deployment.until('the extra copy is gone', () => garching().length === 0, 10_000);
    const after = await deployment.running('root', 'brief', 2);
    expect(summary(after).map(({ restarts }) => restarts)).toEqual([0, 0]);
    expect(potsdam()).toEqual(both);
  });
});

describe('the root', () => {
  test('killed and started again: clusters go on, heal and take requests meanwhile, and nothing is restarted', async () => {
    await deployment.apply('root', 'steady', { replicas: 4 });
    const before = await deployment.running('root', 'steady', 4);
    const steady = processesOf('steady');
    await deployment.root.kill();
    await deployment.apply('potsdam', 'rootless', { replicas: 1 });
    await deployment.running('potsdam', 'rootless', 1);
    const [victim, ...rest] = steady;
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    await deployment.until('what crashed runs again', () => processesOf('steady').length === 4, 5_000);
    expect(processesOf('steady')).toEqual(expect.arrayContaining(rest));
    const healed = processesOf('steady');

    await deployment.root.start();
    await linked('garching');
    await linked('potsdam');
    const after = await deployment.running('root', 'steady', 4);
    expect(summary(after).map(({ id, node }) => [id, node])).toEqual(summary(before).map(({ id, node }) => [id, node]));
    await throughout('nothing moves', () => JSON.stringify(processesOf('steady')) === JSON.stringify(healed), 1_000);
    expect(after.reduce((sum, { restarts }) => sum + restarts, 0)).toBe(1);
    await deployment.remove('potsdam', 'rootless');
  });
});

describe('the orchestrator of a cluster', () => {
  test('killed and started again: nodes go on, and neither level restarts anything', async () => {
    await deployment.apply('root', 'calm', { replicas: 4 });
    const before = await deployment.running('root', 'calm', 4);
    const pids = processesOf('calm');
    await deployment.cluster('garching').kill();
    await deployment.cluster('garching').start();
    await linked('garching');
    await nodeReady('garching', 'garching-1');
    await nodeReady('garching', 'garching-2');
    const after = await deployment.running('root', 'calm', 4);
    expect(summary(after)).toEqual(summary(before));
    expect(processesOf('calm')).toEqual(pids);
  });
});
