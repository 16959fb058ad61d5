/** A node is lost: by a power cut, by a program that hangs, by a link that loses everything. And it returns. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { InstanceView } from '../../src/core/model/views.ts';
import { type Deployment, type ProcessSpec, startDeployment } from '../rig/deployment.ts';
import { throughout } from '../rig/until.ts';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await startDeployment({ nodes: 3, wires: true });
});
afterAll(() => deployment?.close());
afterEach(() => deployment.remove('root', 'work'));

const NODES = ['root-1', 'root-2', 'root-3'];
/** Of a node with `node` processes: those of the service under test. */
const pidsOn = (node: string) =>
  deployment
    .node(node)
    .instances()
    .map(({ pid }) => pid);
const idsOn = (node: string) =>
  deployment
    .node(node)
    .instances()
    .map(({ instance }) => instance)
    .sort();
const work = (spec: ProcessSpec = {}) => deployment.apply('root', 'work', { replicas: 3, ...spec });
const instances = () => deployment.api('root').instances('work');
const childState = async (name: string) => (await deployment.api('root').child('node', name)).state;
const ready = (name: string) => deployment.until(`${name} is ready`, async () => (await childState(name)) === 'ready', 20_000);
const byNode = (views: readonly InstanceView[], node: string) => views.filter((view) => view.node === node);

/** Three running copies, none of them on this node. */
async function replaced(lost: string, boundMs: number): Promise<readonly InstanceView[]> {
  return deployment.until(
    `what ran on ${lost} runs elsewhere`,
    async () => {
      const running = (await instances()).filter(({ state }) => state === 'RUNNING');
      return running.length === 3 && byNode(running, lost).length === 0 ? running : null;
    },
    boundMs,
  );
}

describe('a power cut', () => {
  test('its instances run elsewhere soon; when the node is back, the copies on other nodes stay', async () => {
    await work();
    await deployment.running('root', 'work', 3);
    const others = [...pidsOn('root-2'), ...pidsOn('root-3')];
    await deployment.node('root-1').powerCut();
    await replaced('root-1', 10_000); // bench/ measures how long it takes; this is the limit of a hang
    const after = [...pidsOn('root-2'), ...pidsOn('root-3')];
    expect(after).toHaveLength(3);
    expect(after).toEqual(expect.arrayContaining(others));

    await deployment.node('root-1').start();
    await ready('root-1');
    const now = await deployment.running('root', 'work', 3);
    expect(now.every(({ restarts }) => restarts === 0)).toBe(true);
    await deployment.until('the returned node has no copy of its own', () => pidsOn('root-1').length === 0, 10_000);
    expect([...pidsOn('root-2'), ...pidsOn('root-3')]).toEqual(after);
  });

  test('within lostAfter nothing moves, and the node takes its work up again', async () => {
    await work({ disconnect: { lostAfter: '1h' } });
    const before = await deployment.running('root', 'work', 3);
    const others = [...pidsOn('root-2'), ...pidsOn('root-3')];
    await deployment.node('root-1').powerCut();
    await deployment.until('the root notices', async () => (await childState('root-1')) === 'silent', 10_000);
    await throughout('nothing moves', async () => (await instances()).length === 3, 2_000);
    await deployment.node('root-1').start();
    await ready('root-1');
    const after = await deployment.running('root', 'work', 3);
    expect(after.map(({ id, node }) => [id, node])).toEqual(before.map(({ id, node }) => [id, node]));
    expect([...pidsOn('root-2'), ...pidsOn('root-3')]).toEqual(others);
    expect(pidsOn('root-1')).toHaveLength(1);
  });
});

// Each case has its own node: one whose link broke a moment ago waits longer before it dials again.
describe.each([
  {
    what: 'hangs',
    lost: 'root-2',
    lose: () => deployment.node('root-2').freeze(),
    regain: () => deployment.node('root-2').thaw(),
  },
  {
    what: 'is behind a link that loses everything',
    lost: 'root-3',
    lose: () => deployment.wire('root-3').stall(),
    regain: () => deployment.wire('root-3').heal(),
  },
  {
    what: 'is behind a link that is down',
    lost: 'root-1',
    lose: () => deployment.wire('root-1').refuse(),
    regain: () => deployment.wire('root-1').heal(),
  },
])('a node that $what', ({ lost, lose, regain }) => {
  const others = () => NODES.filter((node) => node !== lost).flatMap(pidsOn);

  test('within lostAfter keeps its work, and nothing changes when it is back', async () => {
    await work({ disconnect: { lostAfter: '1h' } });
    const before = await deployment.running('root', 'work', 3);
    const pids = NODES.map(pidsOn);
    lose();
    await deployment.until('the root notices', async () => (await childState(lost)) === 'silent', 10_000);
    regain();
    await ready(lost);
    const after = await deployment.running('root', 'work', 3);
    expect(after.map(({ id, node, restarts }) => [id, node, restarts])).toEqual(
      before.map(({ id, node, restarts }) => [id, node, restarts]),
    );
    expect(NODES.map(pidsOn)).toEqual(pids);
  });

  test('for longer is replaced but goes on; when it is back, the extra copy stops', async () => {
    await work();
    await deployment.running('root', 'work', 3);
    const own = pidsOn(lost);
    lose();
    await replaced(lost, 10_000);
    expect(pidsOn(lost)).toEqual(own); // still at work, for users on its side
    const elsewhere = others();
    regain();
    await ready(lost);
    await deployment.until('the extra copy is gone', () => pidsOn(lost).length === 0, 15_000);
    const after = await deployment.running('root', 'work', 3);
    expect(after.every(({ restarts }) => restarts === 0)).toBe(true);
    expect(others()).toEqual(elsewhere);
  });
});

describe.each([
  { what: 'loses everything', lost: 'root-2', lose: () => deployment.wire('root-2').stall() },
  { what: 'is down', lost: 'root-3', lose: () => deployment.wire('root-3').refuse() },
])('stopOnNodeAfter, when the link $what', ({ lost, lose }) => {
  test('the node stops the instance by itself, and runs it again when it hears from the orchestrator', async () => {
    await work({ disconnect: { lostAfter: '1h', stopOnNodeAfter: '2s' } });
    await deployment.running('root', 'work', 3);
    const others = NODES.filter((node) => node !== lost).flatMap(pidsOn);
    const ids = idsOn(lost);
    lose();
    // It takes 10 s to tell a silent link from a slow one.
    await deployment.until('the cut-off node has stopped it', () => pidsOn(lost).length === 0, 15_000);
    deployment.wire(lost).heal();
    await ready(lost);
    await deployment.running('root', 'work', 3);
    await deployment.until('the node runs it again', () => idsOn(lost).join() === ids.join(), 15_000);
    expect(NODES.filter((node) => node !== lost).flatMap(pidsOn)).toEqual(others);
  });
});
