/** What issue 2 promises under failure, told as stories on virtual time. */
import { expect, it } from 'vitest';
import { Scenario } from './scenario.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

it('deploys through three levels, and the root shows where each instance runs', async () => {
  const s = await Scenario.boot();
  await s.apply('web', { replicas: 4, ports: [{ name: 'http' }], placement: { policy: 'spread' } });
  await s.settled();
  expect(s.places('web')).toHaveLength(4);
  expect(s.views('web').map(({ state }) => state)).toEqual(['RUNNING', 'RUNNING', 'RUNNING', 'RUNNING']);
  expect(
    s
      .views('web')
      .map(({ node }) => node)
      .sort(),
  ).toEqual(s.places('web'));
});

it('replaces the instances of a lost node', async () => {
  const s = await Scenario.boot();
  await s.apply('web', { replicas: 3 });
  await s.settled();
  const [lost = ''] = s.places('web');
  s.world.takeAway(s.world.node(lost));
  await s.world.until(() => s.places('web').length === 3, 10 * SECOND, 'a replacement runs');
  expect(s.places('web')).not.toContain(lost);
});

it('moves nothing when a node returns in time', async () => {
  const s = await Scenario.boot({ keepAliveMs: 2 * SECOND });
  await s.apply('web', { replicas: 3, disconnect: { lostAfter: '30s' } });
  await s.settled();
  const before = s.ids('web');
  const [away = ''] = s.places('web');
  s.cutOff(away);
  await s.world.run(15 * SECOND);
  s.reconnect(away);
  await s.settled();
  expect(s.ids('web')).toEqual(before);
  expect(s.starts()).toBe(3);
});

it('stops the extra copy when a node returns late', async () => {
  const s = await Scenario.boot({ keepAliveMs: 2 * SECOND });
  await s.apply('web', { replicas: 3, placement: { policy: 'spread' } });
  await s.settled();
  const [away = ''] = s.places('web');
  s.cutOff(away);
  await s.world.until(() => s.places('web').length === 4, 20 * SECOND, 'a replacement runs beside the one out of reach');
  await s.world.run(MINUTE);
  s.reconnect(away);
  await s.settled();
  expect(s.places('web')).toHaveLength(3);
  expect(s.starts()).toBe(4);
});

it('lets a cluster that is cut off heal itself, take requests itself, and come back without a restart', async () => {
  const s = await Scenario.boot({ keepAliveMs: 2 * SECOND });
  await s.apply('web', { replicas: 2, placement: { cluster: 'c1' } });
  await s.settled();
  s.cutOff('c1');
  await s.world.run(10 * SECOND);
  const [lost = ''] = s.places('web');
  s.world.takeAway(s.world.node(lost));
  await s.world.until(() => s.places('web').length === 2, 10 * SECOND, 'the cluster heals itself');
  await s.apply('local', { replicas: 1 }, s.world.cluster('c1'));
  await s.world.until(() => s.places('local').length === 1, 10 * SECOND, 'the cluster takes requests');
  const starts = s.starts();
  s.reconnect('c1');
  const shown = () =>
    s
      .views('web')
      .map(({ node, state }) => `${node} ${state}`)
      .sort();
  const running = () => s.places('web').map((place) => `${place} RUNNING`);
  await s.world.until(() => shown().join() === running().join(), MINUTE, 'the root sees where it all runs');
  expect(s.starts()).toBe(starts);
});

it('restarts nothing when the root is killed, is away for long, and returns', async () => {
  const s = await Scenario.boot();
  await s.apply('web', { replicas: 4 });
  await s.settled();
  s.root.kill();
  await s.world.run(10 * MINUTE);
  s.world.start(s.root);
  await s.settled();
  expect(s.starts()).toBe(4);
});

it('survives kill -9 of any orchestrator at any point of a deployment', async () => {
  for (const victim of ['root', 'c1']) {
    for (let afterMs = 0; afterMs <= 120; afterMs += 6) {
      const s = await Scenario.boot({ clusters: 1 });
      const { driver } = s.root;
      driver?.submit({ type: 'scaleService', name: 'none', replicas: 1 }).catch(() => undefined);
      await s.apply('web', { replicas: 3 });
      await s.world.run(afterMs);
      s.world.cluster(victim).kill();
      await s.world.run(300);
      s.world.start(s.world.cluster(victim));
      await s.settled();
      expect(s.places('web')).toHaveLength(3);
      expect(s.starts()).toBe(3);
    }
  }
});

it('brings the work of a node back after a reboot without any orchestrator', async () => {
  const s = await Scenario.boot({ clusters: 0 });
  await s.apply('web', { replicas: 3 });
  await s.settled();
  const before = s.ids('web');
  s.root.cutPower();
  for (const node of s.world.nodes) node.cutPower();
  expect(s.ids('web')).toEqual([]);
  for (const node of s.world.nodes) s.world.start(node);
  await s.world.until(() => s.ids('web').length === 3, 10 * SECOND, 'the work is back');
  expect(s.ids('web')).toEqual(before);
});

it.each([
  ['a cluster', { cluster: 'c2' }, /^c2\//],
  ['a node of its own cluster', { node: 'n3' }, /^c1\/n3$/],
  ['a node of another cluster', { cluster: 'c2', node: 'n3' }, /^c2\/n3$/],
] as const)('migrates to %s: the new one runs before the old one stops', async (_, target, place) => {
  const s = await Scenario.boot();
  await s.world.submit(s.root, { type: 'cordonChild', child: 'c2', cordoned: true });
  await s.apply('web', { replicas: 1, placement: { policy: 'first-fit' } });
  await s.settled();
  await s.world.submit(s.root, { type: 'cordonChild', child: 'c2', cordoned: false });
  let least = 1;
  await s.world.submit(s.root, { type: 'migrateInstance', instance: 'web-1', ...target });
  await s.world.until(
    () => {
      least = Math.min(least, s.places('web').length);
      return s.places('web').length === 1 && place.test(s.places('web')[0] ?? '');
    },
    MINUTE,
    'it has moved',
  );
  await s.settled();
  expect(least).toBe(1);
});

it('places an instance elsewhere when the node that it was migrated to is lost', async () => {
  const s = await Scenario.boot();
  await s.apply('web', { replicas: 1 });
  await s.settled();
  await s.world.submit(s.root, { type: 'migrateInstance', instance: 'web-1', cluster: 'c2', node: 'n3' });
  await s.settled();
  expect(s.places('web')).toEqual(['c2/n3']);
  s.world.takeAway(s.world.node('c2/n3'));
  await s.world.until(() => s.places('web').length === 1, MINUTE, 'it runs elsewhere');
});

it('updates start-first without a gap, one after the other', async () => {
  const s = await Scenario.boot();
  await s.apply('web', { replicas: 3 });
  await s.settled();
  await s.apply('web', { replicas: 3, command: ['serve', 'anew'] });
  let least = 3;
  let most = 0;
  await s.world.until(
    () => {
      least = Math.min(least, s.places('web').length);
      most = Math.max(most, s.views('web').filter(({ state }) => state !== 'STOPPING' && state !== 'TERMINATED').length);
      return (
        s.views('web').length === 3 && s.views('web').every(({ generation, state }) => generation === 2 && state === 'RUNNING')
      );
    },
    2 * MINUTE,
    'all are of the new generation',
  );
  expect([least, most]).toEqual([3, 4]);
});

it('updates stop-first what has a fixed host port, on the same node', async () => {
  const s = await Scenario.boot({ clusters: 0 }, 1);
  const spec = { replicas: 1, ports: [{ name: 'http', hostPort: 8080 }], update: { order: 'stop-first' } };
  await s.apply('web', spec);
  await s.settled();
  await s.apply('web', { ...spec, command: ['serve', 'anew'] });
  await s.settled();
  expect(s.views('web').map(({ generation, state }) => [generation, state])).toEqual([[2, 'RUNNING']]);
});

it('drains a node and a cluster', async () => {
  const s = await Scenario.boot();
  await s.apply('web', { replicas: 4, placement: { policy: 'spread' } });
  await s.settled();
  await s.world.submit(s.root, { type: 'drainChild', child: 'c1', draining: true });
  await s.settled();
  expect(s.places('web').every((place) => place.startsWith('c2/'))).toBe(true);
  const [busy = ''] = s.places('web');
  await s.world.submit(s.world.cluster('c2'), { type: 'drainChild', child: busy.slice(3), draining: true });
  await s.settled();
  expect(s.places('web')).toHaveLength(4);
  expect(s.places('web')).not.toContain(busy);
});

it('forgets about successors without a place when a drain is called off', async () => {
  const s = await Scenario.boot({ clusters: 0 }, 1);
  await s.apply('web', { replicas: 1 });
  await s.settled();
  await s.world.submit(s.root, { type: 'drainChild', child: 'n1', draining: true });
  await s.world.run(5 * SECOND);
  expect(s.views('web').map(({ state }) => state)).toEqual(['MIGRATING', 'REQUESTED']);
  await s.world.submit(s.root, { type: 'cordonChild', child: 'n1', cordoned: false });
  await s.settled();
  expect(s.views('web').map(({ state }) => state)).toEqual(['RUNNING']);
  expect(s.starts()).toBe(1);
});

it('scales down by whom it misses least: those that do not run', async () => {
  const s = await Scenario.boot({ clusters: 0 }, 1);
  await s.apply('web', { replicas: 3, resources: { cpu: 0.9 } });
  await s.settled();
  const running = s.ids('web');
  expect(running).toHaveLength(2);
  await s.world.submit(s.root, { type: 'scaleService', name: 'web', replicas: 2 });
  await s.settled();
  expect(s.ids('web')).toEqual(running);
});

it('tries the next choice after a refusal', async () => {
  const s = await Scenario.boot({}, 1);
  // No summary tells of ports in use below a cluster, so the second one may be offered to the full cluster first.
  const spec = { replicas: 1, ports: [{ name: 'http', hostPort: 8080 }], placement: { policy: 'first-fit' } };
  await s.apply('one', spec);
  await s.settled();
  await s.apply('two', spec);
  await s.settled();
  expect([...s.places('one'), ...s.places('two')].sort()).toEqual(['c1/n1', 'c2/n1']);
});

it('takes the last word when an instance was taken away and given again while its cluster was not listening', async () => {
  const s = await Scenario.boot({ clusters: 1 }, 1);
  const spec = { replicas: 1, ports: [{ name: 'http', hostPort: 8080 }] };
  await s.apply('one', spec);
  await s.settled();
  await s.apply('two', spec);
  const given = () => s.root.driver?.core.state.instances.get('two-2')?.child;
  const cluster = s.world.cluster('c1');
  await s.world.until(() => cluster.driver?.core.state.services.has('parent:two-2') ?? false, MINUTE, 'c1 is asked');
  s.world.network.block('root', 'c1', ['down']);
  await s.world.until(() => given() === null, MINUTE, 'the root hears that it is refused');
  await s.world.until(() => given() === 'c1', MINUTE, 'it is offered again, and c1 has heard of neither');
  s.world.network.break('root', 'c1');
  await s.world.submit(s.root, { type: 'deleteService', name: 'one' });
  await s.world.run(SECOND);
  s.reconnect('c1');
  await s.settled();
  expect(s.places('two')).toEqual(['c1/n1']);
});

it('says why an instance waits, and places it when there is room', async () => {
  const s = await Scenario.boot({}, 1);
  await s.apply('big', { replicas: 3, resources: { cpu: 1.5 } });
  await s.settled();
  const waiting = s.views('big').find(({ state }) => state === 'REQUESTED');
  expect(waiting?.refusals.map(({ child }) => child).sort()).toEqual(['c1', 'c2']);
  expect(waiting?.reason).toMatch(/2 resources/);
  const room = s.world.addNode(s.world.cluster('c1'), 'n2', {
    total: { cpuMilli: 2_000, memoryBytes: 2 ** 31, diskBytes: 2 ** 33 },
    runtimes: ['process'],
  });
  await s.world.join(room);
  s.world.start(room);
  await s.settled();
  expect(s.places('big')).toHaveLength(3);
});

it('stops on the node what may not run there without an orchestrator, and starts it again when one is heard', async () => {
  const s = await Scenario.boot({ clusters: 0, keepAliveMs: 2 * SECOND }, 1);
  await s.apply('web', { replicas: 1, disconnect: { stopOnNodeAfter: '20s', replace: false } });
  await s.apply('db', { replicas: 1 });
  await s.settled();
  s.root.cutPower();
  await s.world.run(15 * SECOND);
  expect(s.places('web')).toEqual(['n1']);
  await s.world.run(30 * SECOND);
  expect(s.places('web')).toEqual([]);
  expect(s.places('db')).toEqual(['n1']);
  s.world.start(s.root);
  await s.settled();
  expect(s.places('web')).toEqual(['n1']);
});

it('places the work of a removed node elsewhere', async () => {
  const s = await Scenario.boot({ clusters: 0 });
  await s.apply('web', { replicas: 3, placement: { policy: 'spread' } });
  await s.settled();
  await s.world.submit(s.root, { type: 'removeChild', child: 'n1' });
  s.world.takeAway(s.world.node('n1'));
  await s.settled();
  expect(s.places('web')).toHaveLength(3);
});

it('writes nothing and says nothing but heartbeats in an hour without work', async () => {
  const s = await Scenario.boot();
  await s.apply('web', { replicas: 4 });
  await s.settled();
  const writes = () => s.world.machines().reduce((sum, machine) => sum + machine.disk.syncs, 0);
  const before = { writes: writes(), others: s.world.network.carried.others, starts: s.starts() };
  await s.world.run(60 * MINUTE);
  expect({ writes: writes(), others: s.world.network.carried.others, starts: s.starts() }).toEqual(before);
});
