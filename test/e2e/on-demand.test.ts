/** Leadership on demand (Messina, section 4): three voters that are nodes and gateways at once; real processes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serviceSchema } from '../../src/core/model/service.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { allPaused } from '../rig/paused.ts';
import { rawRequest } from '../rig/raw-request.ts';
import { ReplicaClient } from '../rig/replica-client.ts';

const NAMES = ['root', 'n2', 'n3'] as const;
let site: Deployment;
const replicas = new Map<string, ReplicaClient>();
const replica = (name: string): ReplicaClient => {
  const known = replicas.get(name);
  if (!known) throw new Error(`no replica ${name}`);
  return known;
};

beforeAll(async () => {
  site = await startDeployment({ rootWorks: true, flags: (name) => (name === 'root' ? ['--leadership', 'on-demand'] : []) });
  for (const name of ['n2', 'n3']) await site.addReplica(name, 'root', 'voter');
  for (const name of NAMES) replicas.set(name, new ReplicaClient(await site.target(name)));
  await paused();
});
afterAll(async () => {
  try {
    const api = site.api('root');
    for (const { name } of await api.services()) await api.deleteService(name);
  } finally {
    for (const client of replicas.values()) await client.close();
    await site?.abandon();
  }
});

const paused = () => allPaused(site, NAMES, 3);

function service(name: string, replicas: number, lostAfter = '1h') {
  const spec = { runtime: 'process', command: ['sleep', '1000000'], replicas, disconnect: { lostAfter } };
  return serviceSchema.parse({ apiVersion: 'tendril/v1', kind: 'Service', metadata: { name }, spec });
}

test('reading takes no leadership, and changes nothing', async () => {
  const before = await Promise.all(NAMES.map((name) => replica(name).group()));
  for (const name of NAMES) {
    const { nodes, group } = await site.api(name).status();
    expect(nodes).toEqual({ known: 3, connected: 3 });
    expect(group).toMatchObject({ leadership: 'on-demand', paused: true, leader: null });
  }
  const after = await Promise.all(NAMES.map((name) => replica(name).group()));
  expect(after.map(({ term, commit }) => [term, commit])).toEqual(before.map(({ term, commit }) => [term, commit]));
});

test('what a stranger asks takes nothing down, and elects a leader some times only', async () => {
  const terms = async () => Math.max(...(await Promise.all(NAMES.map((name) => replica(name).group()))).map(({ term }) => term));
  const before = await terms();
  for (const name of NAMES) {
    const { server, caPem } = await site.target(name);
    const ask = (path: string, method = 'GET') => rawRequest(`${server}${path}`, { caPem: caPem ?? '', method });
    expect([400, 401]).toContain((await ask('/v1/instances/%zz/logs')).status);
    for (let time = 0; time < 5; time += 1) expect((await ask('/v1/services')).status).toBe(401);
    expect((await ask('/v1/health')).status).toBe(200);
  }
  expect(await terms()).toBe(before);

  const { server, caPem } = await site.target('n2');
  const statuses = new Set<number>();
  for (let time = 0; time < 10 && !statuses.has(503); time += 1) {
    await paused();
    statuses.add((await rawRequest(`${server}/v1/join`, { caPem: caPem ?? '', method: 'POST', body: '{}' })).status);
  }
  expect([...statuses]).toEqual([400, 503]);
  const after = await terms();
  expect(await replica('n2').apply(service('known', 1))).toBe('created');
  expect(await terms()).toBeGreaterThan(after);
  site.api('n2').deleteService('known');
});

test('whoever gets a request is the gateway: its decision has the votes and their loads, and a quorum has it', async () => {
  for (const name of NAMES) {
    await paused();
    expect(await replica(name).apply(service(`at-${name}`, 1), undefined, 10_000)).toBe('created');
    const [instance] = await site.running(name, `at-${name}`, 1);
    const records = await site.api(name).decisions(50);
    const record = records.find((one) => one.service === `at-${name}`);
    expect(record).toMatchObject({ leader: name, instance: instance?.id, choice: instance?.node });
    expect(record?.votes.length).toBeGreaterThanOrEqual(2);
    expect(record?.votes.map(({ voter }) => voter)).toContain(name);
    for (const { load } of record?.votes ?? []) expect(load).toBeGreaterThanOrEqual(0);
  }
  await paused();
  const verdicts = await Promise.all(NAMES.map((name) => site.api(name).verifyDecisions()));
  for (const verdict of verdicts) expect(verdict).toMatchObject({ ok: true, tip: verdicts[0]?.tip });
});

test('gateways at the same time hinder nobody: each request is decided once', async () => {
  await paused();
  const names = Array.from({ length: 12 }, (_, number) => `together-${number}`);
  const gateways = names.map((name, number) => [name, NAMES[number % NAMES.length] ?? 'root'] as const);
  // An answer may be lost with an election: the same request is sent again, and applied once.
  const answers = await Promise.all(
    gateways.map(([name, gateway]) =>
      site.until(
        `${name} is taken`,
        async () => {
          try {
            return await replica(gateway).apply(service(name, 1), name, 10_000);
          } catch {
            return null;
          }
        },
        30_000,
      ),
    ),
  );
  expect(answers).toEqual(names.map(() => 'created'));
  for (const name of names) expect(await site.running('root', name, 1)).toMatchObject([{ restarts: 0 }]);
  const started = [...site.processes.values()].flatMap(({ log }) =>
    log.flatMap(({ msg, instance }) => (msg === 'started' ? [String(instance)] : [])),
  );
  expect(new Set(started).size).toBe(started.length);
});

test('whoever notices that a node is gone is the gateway for what has to be placed again', async () => {
  await paused();
  expect(await replica('root').apply(service('spread', 3, '1s'), undefined, 10_000)).toBe('created');
  const before = await site.running('root', 'spread', 3);
  expect(before.map(({ node }) => node).sort()).toEqual([...NAMES].sort());
  await paused();
  await site.node('n3').powerCut();
  const survivors = before.filter(({ node }) => node !== 'n3');
  await site.until(
    'its copy runs elsewhere',
    async () => {
      const running = (await site.api('n2').instances('spread')).filter(({ state }) => state === 'RUNNING');
      return running.length === 3 && running.every(({ node }) => node !== 'n3');
    },
    20_000,
  );
  const after = await site.api('n2').instances('spread');
  for (const { id, node } of survivors) expect(after).toContainEqual(expect.objectContaining({ id, node, restarts: 0 }));
  const records = await site.api('n2').decisions(50);
  expect(records.findLast((one) => one.service === 'spread')).toMatchObject({ cause: 'replace' });

  await site.node('n3').start();
  await site.until(
    'it is back, and what was replaced has stopped there',
    async () => {
      const all = await site.api('root').instances('spread');
      return all.length === 3 && all.every(({ state, node }) => state === 'RUNNING' && node !== 'n3');
    },
    30_000,
  );
});
