/** The life of a service through root, cluster and node: DEPLOY, REPLICATE, MIGRATE, update, TERMINATE. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { InstanceView } from '../../src/core/model/views.ts';
import { type Deployment, type ProcessSpec, startDeployment } from '../rig/deployment.ts';
import { askWeb, WEB_SPEC, WebUser } from '../rig/web.ts';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await startDeployment({ clusters: { garching: 2, potsdam: 2 } });
});
afterAll(() => deployment?.close());

const restartsOf = (instances: readonly InstanceView[]) => instances.map(({ restarts }) => restarts);
const only = (instances: readonly InstanceView[]): InstanceView => {
  const [one] = instances;
  if (instances.length !== 1 || !one) throw new Error(`expected one instance, not ${instances.length}`);
  return one;
};

async function pidsOf(service: string): Promise<number[]> {
  return deployment
    .instanceProcesses()
    .filter(({ instance }) => instance.startsWith(`${service}-`))
    .map(({ pid }) => pid);
}

describe('deploy, scale, terminate', () => {
  test('instances spread over clusters and nodes, answer, and go without a trace', async () => {
    await deployment.apply('root', 'many', { ...WEB_SPEC, replicas: 4 });
    const four = await deployment.running('root', 'many', 4);
    expect(new Set(four.map(({ node }) => node)).size).toBe(4);
    expect(
      await deployment.until(
        'each answers',
        async () => {
          const answers = await Promise.all(four.map(askWeb));
          return answers.every((answer, index) => answer?.instance.startsWith(four[index]?.id ?? '?')) && answers.length;
        },
        10_000,
      ),
    ).toBe(4);
    const before = await pidsOf('many');

    await deployment.api('root').scale('many', 6);
    const six = await deployment.running('root', 'many', 6);
    expect(six.map(({ id }) => id)).toEqual(expect.arrayContaining(four.map(({ id }) => id)));
    expect(await pidsOf('many')).toEqual(expect.arrayContaining(before));

    await deployment.api('root').scale('many', 2);
    const two = await deployment.running('root', 'many', 2);
    // The newest go first: those two have been there from the beginning, untouched.
    const kept = await pidsOf('many');
    expect(kept).toHaveLength(2);
    expect(before).toEqual(expect.arrayContaining(kept));
    expect(restartsOf(two)).toEqual([0, 0]);

    await deployment.remove('root', 'many');
    expect(await pidsOf('many')).toEqual([]);
    for (const cluster of ['garching', 'potsdam']) expect(await deployment.api(cluster).services()).toEqual([]);
  });

  test('a write sent again with the same idempotency key is done once', async () => {
    const transport = deployment.api('root').transport;
    await deployment.apply('root', 'once', { replicas: 1 });
    await deployment.running('root', 'once', 1);
    const again = { headers: { 'idempotency-key': 'test-key-1' }, body: { replicas: 3 } };
    const first = await transport.json('POST', '/v1/services/once/scale', again);
    await deployment.api('root').scale('once', 1);
    const second = await transport.json('POST', '/v1/services/once/scale', again);
    expect(second).toEqual(first);
    await deployment.running('root', 'once', 1);
    await deployment.remove('root', 'once');
  });
});

describe('migrate', () => {
  test('to a node, a cluster and a node of a cluster: the old one answers until the new one does', async () => {
    await deployment.apply('root', 'wander', { ...WEB_SPEC, placement: {} });
    let here = only(await deployment.running('root', 'wander', 1));
    const user = new WebUser(deployment, 'root', 'wander');
    await user.start();

    for (const target of [
      { cluster: other(here) },
      { cluster: other(here), node: `${other(here)}-2` },
      { cluster: 'garching', node: 'garching-1' },
      { cluster: 'garching', node: 'garching-2' },
      { cluster: 'potsdam' },
    ]) {
      const { id } = here;
      await deployment.api('root').migrate(id, target);
      here = await deployment.until(
        `${id} has moved to ${JSON.stringify(target)}`,
        async () => {
          const now = await deployment.api('root').instances('wander');
          const [one] = now;
          return now.length === 1 && one?.state === 'RUNNING' && one.id !== id ? one : null;
        },
        15_000,
      );
      expect(here.node.startsWith(`${target.cluster}/${target.node ?? ''}`)).toBe(true);
    }
    await user.stop();
    expect(user.gaps).toEqual([]);
    expect(restartsOf([here])).toEqual([0]);
    expect(await pidsOf('wander')).toHaveLength(1);
    await deployment.remove('root', 'wander');
  });
});

function other({ node }: InstanceView): string {
  return node.startsWith('garching') ? 'potsdam' : 'garching';
}

describe('update', () => {
  test('rolls: some copy answers at any time, and in the end only new ones', async () => {
    await deployment.apply('root', 'roll', { ...WEB_SPEC, replicas: 2, env: { VERSION: '1' } });
    await deployment.running('root', 'roll', 2);
    const user = new WebUser(deployment, 'root', 'roll');
    await user.start();
    await deployment.apply('root', 'roll', { ...WEB_SPEC, replicas: 2, env: { VERSION: '2' } });
    const updated = await deployment.until(
      'both run the new version',
      async () => {
        const now = await deployment.api('root').instances('roll');
        return now.length === 2 && now.every(({ state, generation }) => state === 'RUNNING' && generation === 2) ? now : null;
      },
      20_000,
    );
    await deployment.until('the new version answers', () => user.answers.at(-1)?.version === '2', 5_000);
    await user.stop();
    expect(user.gaps).toEqual([]);
    expect(new Set(user.answers.map(({ version }) => version))).toEqual(new Set(['1', '2']));
    expect(restartsOf(updated)).toEqual([0, 0]);
    expect(await pidsOf('roll')).toHaveLength(2);
    await deployment.remove('root', 'roll');
  });

  test('to what does not even start leaves the old copies alone', async () => {
    await deployment.apply('root', 'careful', { replicas: 2 });
    await deployment.running('root', 'careful', 2);
    const before = await pidsOf('careful');
    await deployment.apply('root', 'careful', { replicas: 2, command: ['sh', '-c', 'exit 3'] });
    const failing = await deployment.until(
      'the new version has crashed several times',
      async () =>
        (await deployment.api('root').instances('careful')).find(({ generation, restarts }) => generation === 2 && restarts >= 2),
      20_000,
    );
    expect(failing.exitCode).toBe(3);
    expect(await pidsOf('careful')).toEqual(expect.arrayContaining(before));
    await deployment.apply('root', 'careful', { replicas: 2 });
    await deployment.until(
      'nothing is left of the bad version',
      async () => {
        const now = await deployment.api('root').instances('careful');
        return now.length === 2 && now.every(({ state, generation }) => state === 'RUNNING' && generation === 3);
      },
      20_000,
    );
    await deployment.remove('root', 'careful');
  });

  test('stop-first gives a fixed host port from the old copy to the new one', async () => {
    const { freePort } = await import('../rig/free-port.ts');
    const port = await freePort();
    const spec = {
      ...WEB_SPEC,
      ports: [{ hostPort: port }],
      placement: { node: 'garching-1' },
      update: { order: 'stop-first' as const },
    } satisfies ProcessSpec;
    await deployment.apply('root', 'fixed', { ...spec, env: { VERSION: '1' } });
    const first = only(await deployment.running('root', 'fixed', 1));
    await deployment.until('version 1 answers', async () => (await askWeb(first))?.version === '1', 5_000);
    await deployment.apply('root', 'fixed', { ...spec, env: { VERSION: '2' } });
    await deployment.until('version 2 answers on the same port', async () => (await askWeb(first))?.version === '2', 20_000);
    expect(only(await deployment.running('root', 'fixed', 1)).endpoints[0]?.port).toBe(port);
    await deployment.remove('root', 'fixed');
  });
});
