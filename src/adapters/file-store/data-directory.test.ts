import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildProgram, type ProgramRun, runProgram } from '../../../test/rig/child-program.ts';
import { chooseDataDirectory, type Machine, openDataDirectory } from './data-directory.ts';
import { lockDirectory } from './directory-lock.ts';
import { FileStore } from './store.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tendril-data-'));
});

afterEach(() => rm(root, { recursive: true }));

describe('which directory', () => {
  const user: Machine = { isRoot: false, systemDirectory: '/var/lib/tendril', homeDirectory: () => '/home/ada' };

  it('is the option, else TENDRIL_DATA_DIR, else as XDG says', async () => {
    const environment = { TENDRIL_DATA_DIR: '/env', XDG_DATA_HOME: '/xdg' };
    expect(await chooseDataDirectory({ option: '/option', environment }, user)).toBe('/option');
    expect(await chooseDataDirectory({ environment }, user)).toBe('/env');
    expect(await chooseDataDirectory({ environment: { XDG_DATA_HOME: '/xdg' } }, user)).toBe('/xdg/tendril');
    expect(await chooseDataDirectory({ environment: { XDG_DATA_HOME: 'relative' } }, user)).toBe(
      '/home/ada/.local/share/tendril',
    );
    expect(await chooseDataDirectory({ option: 'here', environment }, user)).toBe(join(process.cwd(), 'here'));
  });

  it('is the system’s for root, where that can be made or written', async () => {
    const systemDirectory = join(root, 'tendril');
    expect(await chooseDataDirectory({ environment: {} }, { ...user, isRoot: true, systemDirectory })).toBe(systemDirectory);
    expect(
      await chooseDataDirectory({ environment: {} }, { ...user, isRoot: true, systemDirectory: '/proc/nowhere/tendril' }),
    ).toBe('/home/ada/.local/share/tendril');
    expect(await chooseDataDirectory({ environment: {} }, { ...user, systemDirectory })).toBe('/home/ada/.local/share/tendril');
  });
});

describe('opening', () => {
  it('makes it, for its owner only, and finds it again', async () => {
    const path = join(root, 'a/b');
    await (await openDataDirectory(path)).release();
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect(await readdir(path)).toEqual(['format.json']);
    expect((await stat(join(path, 'format.json'))).mode & 0o777).toBe(0o600);
    await (await openDataDirectory(path)).release();
  });

  it('keeps documents readable by their owner only', async () => {
    await new FileStore(join(root, 'store')).write('key', Buffer.from('secret'));
    expect((await stat(join(root, 'store/key'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(root, 'store'))).mode & 0o777).toBe(0o700);
  });

  it('refuses what holds something else, and touches nothing', async () => {
    await writeFile(join(root, 'thesis.tex'), 'x');
    await expect(openDataDirectory(root)).rejects.toMatchObject({ code: 'data_dir_foreign' });
    expect(await readdir(root)).toEqual(['thesis.tex']);
    await symlink(join(root, 'nothing'), join(root, 'dangling'));
    for (const path of [join(root, 'thesis.tex'), join(root, 'thesis.tex/data'), join(root, 'dangling')])
      await expect(openDataDirectory(path), path).rejects.toMatchObject({ code: 'data_dir_foreign' });
    await expect(openDataDirectory('/proc/nowhere/data')).rejects.toMatchObject({ code: 'data_dir_read_only' });
  });

  it('takes a mounted file system, and one whose first start was cut short', async () => {
    await mkdir(join(root, 'lost+found'));
    await writeFile(join(root, '.format.json.new'), '{"for');
    await (await openDataDirectory(root)).release();
    expect(JSON.parse(await readFile(join(root, 'format.json'), 'utf8'))).toEqual({ format: 1 });
  });

  it('refuses a newer format, and one that cannot be read, and lets go of the lock', async () => {
    const file = join(root, 'format.json');
    await writeFile(file, '{"format": 2, "since": "tomorrow"}');
    await expect(openDataDirectory(root)).rejects.toMatchObject({ code: 'data_dir_newer' });
    for (const text of ['', '{}', '{"format": "1"}', 'x'.repeat(5_000)]) {
      await writeFile(file, text);
      await expect(openDataDirectory(root)).rejects.toMatchObject({ code: 'data_dir_corrupt' });
    }
    await writeFile(file, '{"format":1}');
    await (await openDataDirectory(root)).release();
  });
});

describe('two at once', () => {
  let program: string;

  beforeAll(async () => {
    program = await buildProgram(join(import.meta.dirname, '../../../test/rig/hold-data-directory.ts'));
  });

  /** Resolves when it has said how it went: `open`, or the code of the error. */
  async function hold(path: string): Promise<{ run: ProgramRun; outcome: string }> {
    return await new Promise((resolve) => {
      runProgram([process.execPath, program, path], (outcome, run) => resolve({ run, outcome }));
    });
  }

  it('refuses the second, under any name of the directory, until the first has gone, even by kill -9', async () => {
    const path = join(root, 'data');
    await symlink(path, join(root, 'link'));
    const { run, outcome } = await hold(path);
    expect(outcome).toBe('open');
    for (const name of [path, join(root, 'link')])
      await expect(openDataDirectory(name)).rejects.toMatchObject({ code: 'data_dir_locked' });
    run.process.kill('SIGKILL');
    await run.ended;
    const mine = await openDataDirectory(path);
    expect((await hold(path)).outcome).toBe('data_dir_locked');
    await mine.release();
  });

  it('lets exactly one of several that start together have it', async () => {
    const held = await Promise.all(Array.from({ length: 4 }, () => hold(join(root, 'data'))));
    expect(held.map(({ outcome }) => outcome).sort()).toEqual(['data_dir_locked', 'data_dir_locked', 'data_dir_locked', 'open']);
    for (const { run } of held) {
      run.process.kill('SIGKILL');
      await run.ended;
    }
  });

  it('works by a socket file where there are no abstract sockets, and sees through a dead one', async () => {
    const release = await lockDirectory(root, 'darwin');
    await expect(lockDirectory(root, 'darwin')).rejects.toMatchObject({ code: 'data_dir_locked' });
    await release();
    const { run } = await hold(`darwin:${root}`);
    await expect(lockDirectory(root, 'darwin')).rejects.toMatchObject({ code: 'data_dir_locked' });
    run.process.kill('SIGKILL');
    await run.ended;
    await (await lockDirectory(root, 'darwin'))();
  });
});
