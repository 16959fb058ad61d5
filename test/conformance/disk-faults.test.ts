/** Full and read-only disks, real ones: a small tmpfs in a mount namespace, which is gone with the process. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildProgram, runProgram } from '../rig/child-program.ts';

let program: string;
let root: string;

beforeAll(async () => {
  program = await buildProgram(join(import.meta.dirname, '../rig/disk-faults.ts'));
  root = await mkdtemp(join(tmpdir(), 'tendril-faults-'));
});

afterAll(() => rm(root, { recursive: true }));

async function onSmallDisk(name: string): Promise<unknown> {
  // As root of a user namespace of its own, so that a developer without root can run this too.
  const namespace = process.getuid?.() === 0 ? ['--mount'] : ['--mount', '--map-root-user'];
  const script = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" "$3" "$4" "$1"';
  const run = runProgram(['unshare', ...namespace, 'sh', '-c', script, 'sh', root, process.execPath, program, name]);
  const { exitCode, stderr } = await run.ended;
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(run.lines.join('\n'));
}

it('a log on a full disk fails with disk_full, takes nothing more, and has all that it acknowledged once there is room', async () => {
  const report = await onSmallDisk('log-full');
  expect(report).toMatchObject({
    failure: 'disk_full',
    // The entry that met the full disk may be there or not.
    dropped: [expect.stringMatching(/^never: .*No space left on device/), 'unknown: the log is closed'],
    compaction: 'unavailable',
    whileFull: 'disk_full',
    undamaged: true,
    afterwards: 3,
    failureAfterwards: null,
  });
  expect(report).toHaveProperty(
    'acknowledged',
    expect.toSatisfy((count: number) => count > 5),
  );
});

it('a store on a full disk says disk_full, keeps the old content and leaves no litter', async () => {
  expect(await onSmallDisk('store-full')).toEqual({
    write: 'disk_full',
    kept: 'old',
    files: ['a'],
    start: 'disk_full',
    afterwards: 'done',
  });
});

it('on a read-only disk everything says data_dir_read_only, and what is there can be read', async () => {
  const code = 'data_dir_read_only';
  expect(await onSmallDisk('read-only')).toEqual({
    directory: code,
    fresh: code,
    log: code,
    freshLog: code,
    write: code,
    remove: code,
    kept: 'old',
  });
});
