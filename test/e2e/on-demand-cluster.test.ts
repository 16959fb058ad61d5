/** A cluster of three replicas that leads on demand, below a root: one of them keeps the link with it; real processes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { allPaused } from '../rig/paused.ts';

const NAMES = ['garching', 'g2', 'g3'] as const;
let site: Deployment;
beforeAll(async () => {
  site = await startDeployment({ flags: (name) => (name === 'garching' ? ['--leadership', 'on-demand'] : []) });
  await site.addOrchestrator('garching', 'root', true);
  for (const name of NAMES.slice(1)) await site.addReplica(name, 'garching', 'voter');
  await paused();
});
afterAll(async () => {
  try {
    for (const { name } of await site.api('root').services()) await site.api('root').deleteService(name);
  } finally {
    await site?.abandon();
  }
});

const paused = () => allPaused(site, NAMES, 3);
const terms = async () => (await Promise.all(NAMES.map((name) => site.api(name).group()))).map(({ term }) => term);

/** How often each replica has had the link with the root. */
const links = () =>
  NAMES.map((name) => site.node(name).log.filter(({ msg, connected }) => msg === 'link to parent' && connected === true).length);

const ready = () =>
  site.until(
    'the root sees the cluster',
    async () => (await site.api('root').clusters()).find(({ name }) => name === 'garching')?.state === 'ready',
    20_000,
  );

test('the root places on a paused cluster, and hears what becomes of it', async () => {
  await ready();
  await site.apply('root', 'web', { replicas: 3, disconnect: { lostAfter: '1h' } });
  const web = await site.running('root', 'web', 3);
  expect(web.map(({ node }) => node).sort()).toEqual(['garching/g2', 'garching/g3', 'garching/garching']);
  await paused();
  const before = { terms: await terms(), links: links() };

  // One that is seen by each replica dies and starts again: the root is told, and nobody has to lead for that.
  for (const { pid } of site.instanceProcesses()) process.kill(pid, 'SIGKILL');
  await site.until(
    'the root knows of the restarts',
    async () => (await site.api('root').instances('web')).every(({ state, restarts }) => state === 'RUNNING' && restarts === 1),
    20_000,
  );
  expect({ terms: await terms(), links: links() }).toEqual(before);
});

test('the root reads what an instance writes and turns to a node, whichever replica has the link with it', async () => {
  await site.apply('root', 'talker', { replicas: 3, command: ['sh', '-c', 'echo hello; exec sleep 1000000'] });
  const talkers = await site.running('root', 'talker', 3);
  expect(talkers.map(({ node }) => node).sort()).toEqual(['garching/g2', 'garching/g3', 'garching/garching']);
  await paused();
  for (const { id } of talkers) {
    const read = await site.cli('--context', 'root', 'logs', id);
    expect([read.stdout, read.stderr]).toEqual(['hello\n', '']);
  }
  const own = (await site.api('g3').instances()).filter(({ service }) => service.includes('talker'));
  expect(own).toHaveLength(3);
  for (const name of NAMES) {
    const reads = await Promise.all(own.map(({ id }) => site.cli('--context', name, 'logs', id)));
    expect(reads.map(({ stdout }) => stdout)).toEqual(['hello\n', 'hello\n', 'hello\n']);
  }
  await paused();
  for (const name of ['garching/g2', 'garching/g3']) {
    const cordoned = await site.cli('--context', 'root', 'node', 'cordon', name);
    expect([cordoned.exitCode, cordoned.stderr]).toEqual([0, '']);
    await site.cli('--context', 'root', 'node', 'uncordon', name);
  }
  await site.api('root').deleteService('talker');
});

test('a request at any replica goes to the one that has the link, which stays where it is', async () => {
  const before = links();
  for (const name of NAMES) {
    await paused();
    await site.apply(name, `own-${name}`, { replicas: 1 });
    await site.running(name, `own-${name}`, 1);
    expect((await site.api(name).status()).parent).toMatchObject({ connected: true });
  }
  expect(links()).toEqual(before);
  for (const name of NAMES) await site.api(name).deleteService(`own-${name}`);
});

test('another one takes the link when its replica dies, and the root goes on', async () => {
  await paused();
  const before = links();
  const holder = NAMES[before.indexOf(Math.max(...before))] ?? 'garching';
  await site.node(holder).kill();
  await site.until(
    'another one has it',
    () => links().some((count, at) => NAMES[at] !== holder && count > (before[at] ?? 0)),
    20_000,
  );
  await ready();
  await site.apply('root', 'more', { replicas: 2 });
  for (const one of await site.running('root', 'more', 2)) expect(one.node).not.toBe(`garching/${holder}`);
  await site.node(holder).start();
  await site.running('root', 'web', 3);
  await paused();
});
