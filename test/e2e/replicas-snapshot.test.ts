/** A replica that has to be sent a large state while the group loses its leader; real processes. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serviceSchema } from '../../src/core/model/service.ts';
import { type Group, startGroup } from '../rig/group.ts';

/** Of 250 kB each: forty megabytes, of which the log keeps the last few only. */
const SCRIPTS = 160;
const MB = 1_000_000;
const NAMES = Array.from({ length: SCRIPTS }, (_, at) => `script-${at + 1}`);

let group: Group;
beforeAll(async () => {
  group = await startGroup({ voters: 3 });
  const leader = group.replica(await group.leader());
  for (const name of NAMES) {
    const spec = { runtime: 'python', script: `# ${name}\n${'x = 1\n'.repeat(41_666)}`, replicas: 0 };
    const resource = serviceSchema.parse({ apiVersion: 'tendril/v1', kind: 'Service', metadata: { name }, spec });
    expect(await leader.apply(resource, undefined, 10_000)).toBe('created');
  }
});
afterAll(async () => {
  // Together they are more than one answer holds.
  for (const name of NAMES) await group?.site.api('root').deleteService(name);
  await group?.close();
});

async function megabytesOf(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0) / MB;
}

test('a joiner that is in the midst of it when the leader dies gets what it lacks from the next one', async () => {
  const { site } = group;
  const leader = await group.leader();
  const log = join(site.directory, 'n4', 'log');
  const joining = group.join('n4', 'voter');
  joining.catch(() => undefined); // looked at below
  await site.until('some of it is there', async () => (await megabytesOf(log)) > 2, 20_000);
  const joiner = site.node('n4');
  joiner.freeze();
  expect(await megabytesOf(log), 'it was not in the midst of it').toBeLessThan(30);

  await site.node(leader).kill();
  const next = await group.leader(leader);
  const writers = group.writers(2);
  await writers.progress('the leader is dead, the joiner hangs');
  joiner.thaw();
  await site.until(
    'the joiner has everything',
    async () => (await group.view(next)).replicas.find(({ name }) => name === 'n4')?.behind === 0,
    30_000,
  );
  expect(await group.leader()).toBe(next);
  await site.node(leader).start();
  await joining;
  await writers.progress('all are there');
  expect(await group.faults(writers)).toEqual([]);
  // It can carry on with one of the others, from what it was sent.
  expect((await group.view('n4')).replicas.map(({ role }) => role)).toEqual(['voter', 'voter', 'voter', 'voter']);
  for (const name of NAMES) expect((await group.replica('n4').service(name)).generation).toBe(1);
});
