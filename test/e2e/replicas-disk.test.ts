/** The disk of one replica fills up, of a follower and of the leader: the others go on; real processes on small file systems. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Deployment } from '../rig/deployment.ts';
import { Group } from '../rig/group.ts';
import { ensureBuilt } from '../rig/tendril-process.ts';

const run = promisify(execFile);
const SIZE = '24m';
const NAMES = ['root', 'n2', 'n3'];
let disks: string;
let group: Group;

beforeAll(async () => {
  await ensureBuilt();
  disks = await mkdtemp(join(tmpdir(), 'tendril-disks-'));
  const directory = await mkdtemp(join(tmpdir(), 'tendril-e2e-'));
  for (const name of NAMES) {
    await mkdir(join(disks, name));
    await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=700`, 'tendril-test', join(disks, name)]);
    await symlink(join(disks, name), join(directory, name));
  }
  group = new Group(new Deployment(directory, { rootWorks: true }));
  await group.site.open();
  await group.open();
  for (const name of NAMES.slice(1)) await group.join(name, 'voter');
});

afterAll(async () => {
  try {
    await group?.close();
  } finally {
    for (const name of NAMES) await run('umount', [join(disks, name)]);
    await rm(disks, { recursive: true });
  }
});

const ballast = (name: string) => join(disks, name, 'ballast');

/** All that is left of this replica's disk. */
async function fill(name: string): Promise<void> {
  const file = await open(ballast(name), 'a');
  try {
    for (let part = 0; part < 100_000; part++) await file.write(Buffer.alloc(4096));
  } catch {
    return;
  } finally {
    await file.close();
  }
  throw new Error('the file system is not small');
}

test.each(['a follower', 'the leader'])('%s whose disk is full stops, says so, and comes back with room', async (who) => {
  const { site } = group;
  const steady = await group.run('steady');
  const processes = site.instanceProcesses();
  const writers = group.writers(3);
  await writers.progress('at first');
  const leader = await group.leader();
  const victim = who === 'the leader' ? leader : (NAMES.find((name) => name !== leader) ?? '');
  await fill(victim);
  await site.until('it has stopped', () => !site.node(victim).isRunning, 20_000);
  expect(site.node(victim).log.some((line) => JSON.stringify(line).includes('The disk is full'))).toBe(true);
  await group.leader(victim);
  await writers.progress('without it');

  await rm(ballast(victim));
  await site.node(victim).start();
  await group.settled();
  await writers.progress('with it');
  expect(await group.faults(writers)).toEqual([]);
  expect(await site.running(await group.leader(), 'steady', 1)).toMatchObject([{ id: steady.id, restarts: 0 }]);
  expect(site.instanceProcesses()).toEqual(processes);
  await site.remove(await group.leader(), 'steady');
});
