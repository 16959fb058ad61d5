/** Decision records of a real orchestrator: over its API while it runs, and from a copy of its data directory after. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entryKey, indexInEntryKey, seal, unseal } from '../../src/adapters/level/records.ts';
import type { ChainVerdict, DecisionRecord } from '../../src/core/model/decisions.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';

let site: Deployment;
beforeAll(async () => {
  site = await startDeployment({ nodes: 2 });
});
afterAll(() => site?.close());

const decisions = (...words: string[]) => site.cli('--context', 'root', 'decisions', ...words);

test('the records of a stopped orchestrator are those it told of while it ran, and a changed one is found', async () => {
  await site.apply('root', 'work', { replicas: 3, disconnect: { lostAfter: '1s' } });
  await site.running('root', 'work', 3);
  await site.apply('root', 'work', { replicas: 5, disconnect: { lostAfter: '1s' } });
  await site.running('root', 'work', 5);
  const told = JSON.parse((await decisions('list', '-o', 'json')).stdout) as { items: DecisionRecord[] };
  expect(told.items.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
  for (const { cause, seen, choice, request } of told.items) {
    expect(cause).toBe('create');
    expect(seen?.candidates.map(({ name }) => name)).toContain(choice);
    expect(request).not.toBeNull();
  }
  const before = JSON.parse((await decisions('verify', '-o', 'json')).stdout) as ChainVerdict;
  expect(before).toMatchObject({ ok: true, records: 5 });

  // A restart reads the log back: the same chain goes on.
  await site.node('root').kill();
  await site.node('root').start();
  await site.until('the root answers', async () => (await decisions('verify')).exitCode === 0, 20_000);
  expect(JSON.parse((await decisions('verify', '-o', 'json')).stdout)).toEqual(before);

  await site.node('root').stop();
  const copy = join(site.directory, 'copy');
  await cp(join(site.directory, 'root'), copy, { recursive: true });
  const offline = await decisions('list', '-o', 'json', '--data-dir', copy);
  expect(JSON.parse(offline.stdout)).toEqual(told);
  expect((await decisions('show', '1', '--data-dir', copy)).stdout).toContain('a new copy was wanted');
  expect(JSON.parse((await decisions('verify', '-o', 'json', '--data-dir', copy)).stdout)).toEqual(before);

  await alterFirstDecision(join(copy, 'log'));
  const altered = await decisions('verify', '--data-dir', copy);
  expect(altered.exitCode).toBe(1);
  expect(altered.stdout).toMatch(/^not verified: decision \d+ is not what a later round of decisions saw/);
});

/** With a checksum that fits: what a careful hand would do. */
async function alterFirstDecision(log: string): Promise<void> {
  const database = new ClassicLevel<Buffer, Buffer>(log, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await database.open();
  for (const key of await database.keys().all()) {
    const index = indexInEntryKey(key);
    const value = index === null ? undefined : await database.get(key);
    const text = value && unseal(key, value)?.toString();
    if (index === null || !text?.includes('"memoryBytes":')) continue;
    const changed = text.replace(/"load":[\d.]+/, '"load":0.123');
    expect(changed).not.toBe(text);
    await database.put(entryKey(index), seal(key, Buffer.from(changed)));
    break;
  }
  await database.close();
}
