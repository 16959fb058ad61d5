/** What an operator does to nodes, and what becomes of work that finds no place, or is refused one. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { freePort } from '../rig/free-port.ts';
import { WEB_SPEC, WebUser } from '../rig/web.ts';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await startDeployment({ clusters: { garching: 2, potsdam: 1 }, cpu: '1', memory: '1Gi' });
});
afterAll(() => deployment?.close());
afterEach(async () => {
  for (const name of ['garching', 'root'])
    for (const service of await deployment.api(name).services())
      if (service.owner === 'user') await deployment.remove(name, service.name);
});

const processesOf = (service: string) =>
  deployment.instanceProcesses().filter(({ instance }) => instance.startsWith(`${service}-`));
const ok = async (...words: string[]) => {
  const { exitCode, stdout, stderr } = await deployment.cli(...words);
  if (exitCode !== 0) throw new Error(`tendril ${words.join(' ')}: ${exitCode}\n${stdout}${stderr}`);
  return stdout;
};

describe('work that fits nowhere', () => {
  test('waits, says for each candidate why, and is placed when room appears', async () => {
    await deployment.apply('garching', 'filler', { replicas: 2, resources: { cpu: 0.7, memory: '32Mi' } });
    await deployment.running('garching', 'filler', 2);
    const filler = processesOf('filler');
    await deployment.apply('garching', 'big', { resources: { cpu: 0.6, memory: '32Mi' } });
    const waiting = await deployment.until(
      'it waits with a reason for each node',
      async () => (await deployment.api('garching').instances('big')).find(({ refusals }) => refusals.length === 2),
      5_000,
    );
    expect(waiting.child).toBeNull();
    expect(waiting.refusals.map(({ child }) => child).sort()).toEqual(['garching-1', 'garching-2']);
    expect(waiting.refusals.map(({ kind }) => kind)).toEqual(['resources', 'resources']);
    const told = await ok('--context', 'garching', 'describe', 'service', 'big');
    expect(told).toMatch(/garching-1 .*needs 0.6 cores, 0.3 free/);
    expect(told).toMatch(/garching-2 .*needs 0.6 cores, 0.3 free/);
    expect(processesOf('filler')).toEqual(filler);

    await deployment.api('garching').scale('filler', 1);
    await deployment.running('garching', 'big', 1);
    expect(filler).toEqual(expect.arrayContaining(processesOf('filler')));
  });

  test('waits at the root too, and is placed when a cluster has room', async () => {
    await deployment.apply('root', 'filler', { replicas: 3, resources: { cpu: 0.7, memory: '32Mi' } });
    await deployment.running('root', 'filler', 3);
    await deployment.apply('root', 'big', { resources: { cpu: 0.6, memory: '32Mi' } });
    const waiting = await deployment.until(
      'it waits with a reason for each cluster',
      async () => (await deployment.api('root').instances('big')).find(({ refusals }) => refusals.length === 2),
      5_000,
    );
    expect(waiting.refusals.map(({ child }) => child).sort()).toEqual(['garching', 'potsdam']);
    await deployment.api('root').scale('filler', 2);
    await deployment.running('root', 'big', 1);
  });
});

describe('a cluster that refuses', () => {
  test('is passed over for the next choice', async () => {
    // What the root cannot see in a summary: both nodes of garching have given this port away.
    const hostPort = await freePort();
    await deployment.apply('garching', 'owner', { replicas: 2, ports: [{ hostPort }] });
    const owners = await deployment.running('garching', 'owner', 2);
    expect(new Set(owners.map(({ node }) => node)).size).toBe(2);
    const before = processesOf('owner');
    await deployment.apply('root', 'wants', { ports: [{ hostPort }], placement: { policy: 'first-fit' } });
    const [placed] = await deployment.running('root', 'wants', 1);
    expect(placed?.node).toBe('potsdam/potsdam-1');
    const events = await deployment.api('root').events();
    expect(events.some(({ message }) => message.startsWith('REFUSED on garching'))).toBe(true);
    expect(processesOf('owner')).toEqual(before);
  });
});

describe('cordon, drain and remove', () => {
  test('a cordoned node keeps what it has and gets nothing new, until it is uncordoned', async () => {
    await deployment.apply('garching', 'kept', { replicas: 2 });
    await deployment.running('garching', 'kept', 2);
    const kept = processesOf('kept');
    await ok('--context', 'garching', 'node', 'cordon', 'garching-1');
    expect((await deployment.api('garching').child('node', 'garching-1')).state).toBe('cordoned');
    await deployment.apply('garching', 'fresh', { replicas: 3 });
    const fresh = await deployment.running('garching', 'fresh', 3);
    expect(new Set(fresh.map(({ node }) => node))).toEqual(new Set(['garching-2']));
    expect(processesOf('kept')).toEqual(kept);
    await ok('--context', 'garching', 'node', 'uncordon', 'garching-1');
    await deployment.api('garching').scale('fresh', 5);
    const more = await deployment.running('garching', 'fresh', 5);
    expect(more.filter(({ node }) => node === 'garching-1').length).toBe(2);
    expect(processesOf('kept')).toEqual(kept);
  });

  test('a draining node is emptied without a moment unanswered; others are left alone', async () => {
    await deployment.apply('root', 'web', { ...WEB_SPEC, placement: { cluster: 'garching', node: 'garching-1' } });
    await deployment.apply('root', 'moved', { ...WEB_SPEC, placement: { cluster: 'garching' } });
    await deployment.api('root').deleteService('web');
    const [instance] = await deployment.running('root', 'moved', 1);
    const from = instance?.node.split('/')[1] ?? '';
    const to = from === 'garching-1' ? 'garching-2' : 'garching-1';
    const user = new WebUser(deployment, 'root', 'moved');
    await user.start();
    await ok('--context', 'root', 'node', 'drain', `garching/${from}`);
    await deployment.until('it has moved', () => deployment.node(from).instances().length === 0, 15_000);
    const [after] = await deployment.running('root', 'moved', 1);
    await deployment.until(
      'the new copy answers',
      () => (user.answers.at(-1)?.instance ?? '') !== user.answers[0]?.instance,
      5_000,
    );
    await user.stop();
    expect(user.gaps).toEqual([]);
    expect(after?.node).toBe(`garching/${to}`);
    expect(after?.id).toBe(instance?.id); // to the root it is the same instance
    await ok('--context', 'root', 'node', 'uncordon', `garching/${from}`);
  });

  test('a drained node can be removed, and is no member any more', async () => {
    const extra = await deployment.addNode('garching-9', 'garching');
    await deployment.apply('garching', 'stay', { replicas: 3 });
    await deployment.running('garching', 'stay', 3);
    expect(extra.instances()).toHaveLength(1);
    const others = ['garching-1', 'garching-2'].flatMap((node) => deployment.node(node).instances());
    await ok('--context', 'garching', 'node', 'drain', 'garching-9');
    await deployment.until('it is empty', () => extra.instances().length === 0, 15_000);
    await ok('--context', 'garching', 'node', 'remove', 'garching-9');
    await deployment.until(
      'it is gone from the list',
      async () => (await deployment.api('garching').nodes()).items.every(({ name }) => name !== 'garching-9'),
      5_000,
    );
    await deployment.running('garching', 'stay', 3);
    expect(['garching-1', 'garching-2'].flatMap((node) => deployment.node(node).instances())).toEqual(
      expect.arrayContaining(others),
    );
    await deployment.until(
      'its own log says why',
      () => extra.log.some((line) => JSON.stringify(line).includes('member')),
      15_000,
    );
    await extra.stop();
  });

  test('a node that is removed unasked loses its work to others', async () => {
    const extra = await deployment.addNode('garching-8', 'garching');
    await deployment.apply('garching', 'flee', { replicas: 3 });
    await deployment.running('garching', 'flee', 3);
    expect(extra.instances()).toHaveLength(1);
    const others = ['garching-1', 'garching-2'].flatMap((node) => deployment.node(node).instances());
    await ok('--context', 'garching', 'node', 'remove', 'garching-8');
    const after = await deployment.running('garching', 'flee', 3);
    expect(after.some(({ node }) => node === 'garching-8')).toBe(false);
    await deployment.until('the removed node runs nothing any more', () => extra.instances().length === 0, 10_000);
    const now = ['garching-1', 'garching-2'].flatMap((node) => deployment.node(node).instances());
    expect(now).toHaveLength(3);
    expect(now).toEqual(expect.arrayContaining(others));
    await extra.stop();
  });
});
