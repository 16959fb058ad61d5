/** A disk that fills up under load, and one that can only be read: real processes on a small file system. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { serviceSchema } from '../../src/core/model/service.ts';
import { Deployment } from '../rig/deployment.ts';
import { ensureBuilt } from '../rig/tendril-process.ts';

const run = promisify(execFile);
let disk: string;
let site: Deployment;

beforeEach(async () => {
  await ensureBuilt();
  disk = await mkdtemp(join(tmpdir(), 'tendril-disk-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tendril-test', disk]);
  site = new Deployment(join(disk, 'site'), { rootWorks: true });
});

afterEach(async () => {
  try {
    await site.close();
  } finally {
    await run('umount', [disk]);
    await rm(disk, { recursive: true });
  }
});

test('full under load: it says so, stops, and has all that it acknowledged once there is room', async () => {
  await site.open();
  await site.apply('root', 'steady');
  const [before] = await site.running('root', 'steady', 1);

  const acknowledged = ['steady'];
  let refusal: unknown = null;
  for (let number = 0; refusal === null; number++) {
    const name = `big-${number}`;
    // Random, so that the log cannot compress it.
    const env = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`V${i}`, randomBytes(22_000).toString('base64')]));
    const spec = { runtime: 'process', command: ['sleep', '1'], replicas: 0, env } as const;
    const resource = serviceSchema.parse({ apiVersion: 'tendril/v1', kind: 'Service', metadata: { name }, spec });
    try {
      const [result] = await site.api('root').apply([resource], { dryRun: false });
      if (result?.effect === 'created') acknowledged.push(name);
      else refusal = result;
    } catch (error) {
      refusal = error;
    }
  }
  expect(acknowledged.length).toBeGreaterThan(5);
  await site.until('the root has stopped', () => !site.root.isRunning, 10_000);
  const said = site.root.log.map((line) => JSON.stringify(line)).join('\n');
  expect(said).toContain('The disk is full');
  // Work goes on without it.
  expect(site.instanceProcesses().map(({ instance }) => instance)).toEqual([before?.id]);

  const stillFull = site.root.start().then(
    () => 'up',
    (error: Error) => error.message,
  );
  expect(await stillFull).toMatch(/^up$|The disk is full/);
  await site.root.kill();

  await run('mount', ['-o', 'remount,size=64m', disk]);
  await site.root.start();
  const names = (await site.api('root').services()).map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(acknowledged));
  const [after] = await site.running('root', 'steady', 1);
  expect([after?.id, after?.restarts]).toEqual([before?.id, 0]);
});

test('full before the first start: nothing is half made, and the same command works once there is room', async () => {
  await run('mount', ['-o', 'remount,size=128k', disk]);
  await writeFile(join(disk, 'ballast'), Buffer.alloc(120 * 1024));
  const refused = await site.open().then(
    () => 'up',
    (error: Error) => error.message,
  );
  expect(refused).toContain('The disk is full');
  await run('mount', ['-o', 'remount,size=64m', disk]);
  await site.open();
  expect((await site.api('root').status()).name).toBe('root');
});

test('read-only: it refuses to start, and says why', async () => {
  await site.open();
  await site.root.stop();
  await run('mount', ['-o', 'remount,ro', disk]);
  const refused = await site.cli('up', '--data-dir', site.root.directory);
  expect(refused.exitCode).not.toBe(0);
  expect(refused.stderr).toMatch(/^error: The data directory cannot be written.*\n.*hint: /);
  const fresh = await site.cli('up', '--data-dir', join(disk, 'fresh'));
  expect(fresh.stderr).toMatch(/^error: The data directory cannot be written/);
  await run('mount', ['-o', 'remount,rw', disk]);
  await site.root.start();
  expect((await site.api('root').status()).nodes.known).toBe(1);
});
