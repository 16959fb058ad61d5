/** Leadership on demand: a machine that is gone without a word, in a pause in which nobody asks for anything; real processes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { Network } from '../rig/network.ts';
import { allPaused } from '../rig/paused.ts';

const NAMES = ['root', 'n2', 'n3'] as const;
let network: Network;
let site: Deployment;
beforeAll(async () => {
  network = await Network.open();
  const flags = (name: string) => (name === 'root' ? ['--leadership', 'on-demand'] : []);
  site = await startDeployment({ rootWorks: true, network, flags });
  for (const name of NAMES.slice(1)) await site.addReplica(name, 'root', 'voter');
});
afterAll(async () => {
  try {
    await network?.heal();
    await site?.abandon();
  } finally {
    await network?.close();
  }
});

const paused = () => allPaused(site, NAMES, 3);

test('what ran there runs elsewhere within a minute, although nothing was said to it', async () => {
  await paused();
  await site.apply('root', 'web', { replicas: 3, disconnect: { lostAfter: '5s' } });
  const web = await site.running('root', 'web', 3);
  expect(web.map(({ node }) => node).sort()).toEqual(['n2', 'n3', 'root']);
  await paused();
  const others = ['root', 'n2'];
  const begin = new Map(others.map((name) => [name, site.node(name).log.length]));
  await network.cut(['n3']);
  const startsAnew = (name: string) =>
    site
      .node(name)
      .log.slice(begin.get(name))
      .some(({ msg }) => msg.startsWith('running on'));
  await site.until('it runs elsewhere', () => others.some(startsAnew), 60_000);
  const places = async () =>
    (await site.api('root').instances('web')).filter(({ state }) => state === 'RUNNING').map(({ node }) => node);
  await site.until('all run on the others', async () => (await places()).length === 3, 15_000);
  expect(await places()).not.toContain('n3');
  await network.heal();
  await site.running('n3', 'web', 3, 30_000);
  await paused();
});
