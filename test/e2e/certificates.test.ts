/** Certificates with the life of a mayfly renew themselves while everything goes on; real processes, real TLS. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { TendrilProcess } from '../rig/tendril-process.ts';

const LIFETIME_S = 14;
let site: Deployment;

beforeAll(async () => {
  site = await startDeployment({
    clusters: { garching: 2 },
    flags: (name) => (name.includes('-') ? [] : ['--certificate-lifetime', `${LIFETIME_S}s`]),
  });
});

afterAll(async () => {
  await site?.close();
});

async function certificate(node: string, file: 'member.pem' | 'replica.pem'): Promise<X509Certificate> {
  return new X509Certificate(await readFile(join(site.directory, node, 'documents', file)));
}

const HELD = [
  ['garching-1', 'member.pem'],
  ['garching', 'member.pem'],
  ['garching', 'replica.pem'],
  ['root', 'replica.pem'],
] as const;

test('certificates renew themselves before they expire; no link ends by it, no instance notices', async () => {
  // One node sleeps through it all.
  await site.node('garching-2').stop();
  const missed = Date.parse((await certificate('garching-2', 'member.pem')).validTo);
  await site.apply('root', 'steady', { placement: { node: 'garching-1' } });
  const [before] = await site.running('root', 'steady', 1);
  const first = await Promise.all(HELD.map(([node, file]) => certificate(node, file)));
  const renewed = await Promise.all(
    HELD.map(([node, file], index) =>
      site.until(
        `${node}'s ${file} is another one`,
        async () => {
          const now = await certificate(node, file);
          return now.serialNumber !== first[index]?.serialNumber && now;
        },
        3 * LIFETIME_S * 1_000,
      ),
    ),
  );
  for (const [index, now] of renewed.entries())
    expect(Date.parse(now.validFrom)).toBeLessThan(Date.parse(first[index]?.validTo ?? ''));

  // All that any of them had at first is worth nothing now; new connections need the new ones.
  const pastMs = Math.max(missed, ...first.map(({ validTo }) => Date.parse(validTo))) + 1_000;
  await site.until('the first certificates have expired', () => Date.now() > pastMs, 3 * LIFETIME_S * 1_000);
  expect((await site.cli('--context', 'garching', 'status')).exitCode).toBe(0);
  for (const name of ['garching-1', 'garching']) {
    const { log } = site.node(name);
    expect(log.some(({ msg }) => msg === 'certificate renewed')).toBe(true);
    expect(log.filter(({ connected }) => connected === false)).toEqual([]);
  }
  const [after] = await site.running('root', 'steady', 1);
  expect(after).toEqual(before);

  for (const name of ['garching-1', 'garching', 'root']) {
    await site.node(name).stop();
    await site.node(name).start();
  }
  await site.until(
    'all are connected again, with their new certificates',
    async () => {
      const { items } = await site.api('root').nodes();
      const ready = items.some(({ name, state }) => name === 'garching/garching-1' && state === 'ready');
      return ready && (await site.api('root').status()).clusters.connected === 1;
    },
    15_000,
  );
  expect((await site.running('root', 'steady', 1)).map(({ id, restarts }) => [id, restarts])).toEqual([[before?.id, 0]]);

  await site.node('garching-2').start();
  await site.until(
    'the node that slept is told',
    () => site.node('garching-2').log.some(({ problem }) => String(problem).includes('(certificate_refused)')),
    10_000,
  );
  await site.node('garching-2').stop();
  const url = `https://127.0.0.1:${site.cluster('garching').port}`;
  const awake = new TendrilProcess({
    name: 'garching-2',
    directory: site.node('garching-2').directory,
    port: null,
    link: null,
    firstFlags: [],
    flags: ['--join', url, '--token', await site.token('garching', 'worker')],
    env: site.env,
  });
  site.processes.set('garching-2', awake);
  await awake.start();
  await site.until(
    'it is back, with a new token',
    async () => (await site.api('garching').child('node', 'garching-2')).state === 'ready',
    10_000,
  );
});
