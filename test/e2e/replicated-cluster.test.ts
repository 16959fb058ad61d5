/** A cluster of three replicas below a root: whichever of them leads is the cluster to its parent; real processes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, startDeployment } from '../rig/deployment.ts';

let site: Deployment;
beforeAll(async () => {
  site = await startDeployment();
  await site.addOrchestrator('garching', 'root', true);
  for (const name of ['g2', 'g3']) await site.addReplica(name, 'garching', 'voter');
  await site.until('three voters', async () => (await voters()).length === 3, 20_000);
});
afterAll(async () => {
  try {
    for (const { name } of await site.api('root').services()) await site.api('root').deleteService(name);
  } finally {
    await site?.abandon();
  }
});

async function voters(): Promise<readonly string[]> {
  const { replicas } = await site.api('g2').group();
  return replicas.filter(({ role }) => role === 'voter').map(({ name }) => name);
}

const stateOfCluster = async () => (await site.api('root').clusters()).find(({ name }) => name === 'garching')?.state;

test('the root sees one cluster, whoever leads it, and nothing restarts when its leader dies', async () => {
  await site.apply('root', 'web', { replicas: 3, disconnect: { lostAfter: '1h' } });
  const before = await site.running('root', 'web', 3);
  expect(before.map(({ node }) => node).sort()).toEqual(['garching/g2', 'garching/g3', 'garching/garching']);
  const survivors = before.filter(({ node }) => node !== 'garching/garching');
  const processes = site.instanceProcesses();

  await site.node('garching').kill();
  await site.until('another one leads', async () => (await site.api('g2').group()).leader !== 'garching', 20_000);
  await site.until(
    'the root hears the cluster again, by its new leader',
    async () => {
      const instances = await site.api('root').instances('web');
      const running = instances.filter(({ state }) => state === 'RUNNING').map(({ id, node, restarts }) => [id, node, restarts]);
      return (
        (await stateOfCluster()) === 'ready' &&
        survivors.every(({ id, node }) => running.some((one) => one.join() === [id, node, 0].join()))
      );
    },
    20_000,
  );
  expect(site.instanceProcesses()).toEqual(processes);

  // The new leader takes the root's wishes, and places them on what it has.
  await site.apply('root', 'more', { replicas: 2 });
  const more = await site.running('root', 'more', 2);
  for (const { node } of more) expect(['garching/g2', 'garching/g3']).toContain(node);

  await site.node('garching').start();
  expect(await site.running('root', 'web', 3)).toMatchObject(before.map(({ id, node }) => ({ id, node, restarts: 0 })));
  expect(site.instanceProcesses()).toEqual(expect.arrayContaining([...processes]));
});
