import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/conformance/runtime.ts';
import { serviceSpecSchema } from '../../core/model/service.ts';
import type { Runtime, RuntimeExit } from '../../ports/runtime.ts';
import { Cgroups } from './cgroup.ts';
import { isEnded, readStat } from './proc.ts';
import { createProcessRuntime } from './process.ts';
import { clock, leftovers } from './testing.ts';

const NODE_UID = `uid-supervisor-${process.pid}`;
const PRINT_AND_SLEEP = 'echo $$; exec sleep 1000';

let directory: string;
let runtime: Runtime;
let exits: (RuntimeExit & { id: string })[];

async function open(cgroups?: Cgroups): Promise<Runtime> {
  runtime = createProcessRuntime({ clock, cgroups }, { directory, nodeUid: NODE_UID });
  await runtime.open({ exited: (id, exit) => exits.push({ id, ...exit }) });
  return runtime;
}

const shell = (script: string) => ['sh', '-c', script];

function start(id: string, command: string[], more: object = {}) {
  const spec = serviceSpecSchema.parse({ runtime: 'process', command, ...more });
  return runtime.start({ assignment: { id, service: 'sample', spec }, hostPorts: {}, address: '127.0.0.1' });
}

async function output(id: string): Promise<string> {
  let text = '';
  for await (const chunk of runtime.logs(id, { follow: false, signal: new AbortController().signal }))
    text += Buffer.from(chunk).toString();
  return text;
}

/** The process ids that an instance prints, once it has printed `count`. */
async function printedPids(id: string, count = 1): Promise<number[]> {
  let pids: number[] = [];
  await until('it has printed its process ids', async () => {
    pids = [...(await output(id)).matchAll(/^(\d+)\n/gm)].map((match) => Number(match[1]));
    return pids.length >= count;
  });
  return pids;
}

const runs = (pid: number) => !isEnded(readStat(pid));
const recordFile = (id: string) => join(directory, id, 'instance.json');

async function editRecord(id: string, change: (record: Record<string, unknown>) => object): Promise<void> {
  await writeFile(recordFile(id), JSON.stringify(change(JSON.parse(await readFile(recordFile(id), 'utf8')))));
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tendril-native-'));
  exits = [];
  await open();
});

afterEach(async () => {
  for (const { id } of await runtime.list()) await runtime.remove(id);
  await runtime.close();
  await rm(directory, { recursive: true, force: true });
});

describe('coming back', () => {
  it('ends what a crash between execution and record has left', async () => {
    await start('a-1', shell(PRINT_AND_SLEEP));
    const [pid = 0] = await printedPids('a-1');
    await runtime.close();
    await rm(recordFile('a-1'));
    await open();
    expect(runs(pid)).toBe(false);
    expect(await runtime.list()).toEqual([]);
    expect(await leftovers('process', directory, NODE_UID, 'a-1')).toEqual([]);
  });

  it('takes no other process for the instance when its id has come around', async () => {
    const stranger = spawn('sleep', ['1000'], { stdio: 'ignore' });
    try {
      await start('a-1', shell(PRINT_AND_SLEEP));
      const [pid = 0] = await printedPids('a-1');
      await runtime.close();
      await editRecord('a-1', (record) => ({
        ...record,
        pid: stranger.pid,
        startTicks: Number(record.startTicks) - 1000,
        cgroups: [],
      }));
      await open();
      expect(await runtime.list()).toMatchObject([{ id: 'a-1', running: false, exitCode: null }]);
      await runtime.stop('a-1', 100);
      await runtime.remove('a-1');
      expect(runs(stranger.pid ?? 0)).toBe(true);
      expect(runs(pid)).toBe(false);
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  it('finds everything ended after a reboot, also with torn records', async () => {
    await start('a-1', shell('exit 3'));
    await start('b-1', shell('exit 4'));
    await until('both ended', () => exits.length === 2);
    await runtime.close();
    await editRecord('a-1', (record) => ({ ...record, bootId: 'an earlier one', pid: process.pid, exit: null }));
    await writeFile(recordFile('b-1'), '');
    await open();
    expect((await runtime.list()).map(({ id, running, exitCode }) => ({ id, running, exitCode }))).toEqual([
      { id: 'a-1', running: false, exitCode: null },
      { id: 'b-1', running: false, exitCode: null },
    ]);
    await start('b-1', shell('exit 5'));
    await until('it ended again', () => exits.length === 3);
    expect(exits[2]).toEqual({ id: 'b-1', exitCode: 5, reason: 'exited with code 5' });
  });

  it('ends by itself while instances run, and another program takes them up', async () => {
    const program = join(directory, 'program.mjs');
    await build({
      stdin: {
        resolveDir: resolve(import.meta.dirname),
        contents: `
          import { createProcessRuntime } from './process.ts';
          import { clock } from './testing.ts';
          const runtime = createProcessRuntime({ clock }, { directory: process.argv[2], nodeUid: process.argv[3] });
          await runtime.open({ exited() {} });
          const spec = JSON.parse(process.argv[4]);
          await runtime.start({ assignment: { id: 'a-1', service: 'sample', spec }, hostPorts: {}, address: '127.0.0.1' });
          await runtime.close();`,
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: program,
      logLevel: 'error',
    });
    await runtime.close();
    const spec = serviceSpecSchema.parse({ runtime: 'process', command: shell(PRINT_AND_SLEEP) });
    const other = spawn(process.execPath, [program, directory, NODE_UID, JSON.stringify(spec)], { stdio: 'inherit' });
    expect(await once(other, 'exit')).toEqual([0, null]);
    await open();
    const [pid = 0] = await printedPids('a-1');
    expect(await runtime.list()).toMatchObject([{ id: 'a-1', running: true }]);
    process.kill(pid, 'SIGKILL');
    await until('its end is noticed', () => exits.length === 1);
    expect(exits[0]).toMatchObject({ id: 'a-1', exitCode: null });
  });
});

describe.each([
  ['with what the system offers', undefined],
  ['without control groups', Cgroups.none()],
])('the whole of an instance, %s', (_, cgroups) => {
  beforeEach(async () => {
    await runtime.close();
    await open(cgroups);
  });

  it('ends with its leader', async () => {
    await start('a-1', shell('sleep 1000 & echo $!; setsid sleep 1000 & echo $!; sleep 0.2; exit 2'));
    const pids = await printedPids('a-1', 2);
    await until('the exit is told', () => exits.length > 0);
    expect(exits).toEqual([{ id: 'a-1', exitCode: 2, reason: 'exited with code 2' }]);
    expect(pids.map(runs)).toEqual([false, false]);
  });

  it('stops, also what left its session', async () => {
    await start('a-1', shell('setsid sleep 1000 & echo $!; echo $$; wait'));
    const pids = await printedPids('a-1', 2);
    await runtime.stop('a-1', 10_000);
    expect(pids.map(runs)).toEqual([false, false]);
    expect(exits).toEqual([]);
  });
});

describe('exits', () => {
  it('names the signal', async () => {
    await start('a-1', shell('kill -TERM $$'));
    await until('the exit is told', () => exits.length > 0);
    expect(exits).toEqual([{ id: 'a-1', exitCode: 143, reason: 'killed by SIGTERM' }]);
  });

  it('keeps an instance to its memory where the system can, and says which killed it', async () => {
    const hungry = `const kept = []; for (let n = 0; n < 300; n += 1) kept.push(Buffer.alloc(2 ** 20, 1)); console.log('fed')`;
    await start('a-1', [process.execPath, '-e', hungry], { resources: { memory: '96Mi' } });
    await until('the exit is told', () => exits.length > 0);
    const { detail } = await runtime.detect();
    if (detail.includes('memory'))
      expect(exits).toEqual([{ id: 'a-1', exitCode: 137, reason: 'killed by SIGKILL (out of memory)' }]);
    else expect(detail).toContain('no limits');
  });
});

describe('refusals', () => {
  it.each([
    ['no working directory', shell('true'), { workingDir: '/no/such/place' }, 'command_not_found'],
    ['not executable', ['/etc/passwd'], {}, 'command_not_found'],
    ['a directory', ['/etc'], {}, 'command_not_found'],
    ['outside of its PATH', ['sh'], { env: { PATH: '/no/such/place' } }, 'command_not_found'],
    ['more than the kernel takes', ['echo', ...Array(200).fill('x'.repeat(32_000))], {}, 'too_large'],
    ['a zero byte', ['echo', 'a\0b'], {}, 'runtime_failed'],
  ])('%s', async (_, command, more, code) => {
    await expect(start('a-1', command, more)).rejects.toMatchObject({ code });
    expect(await runtime.list()).toEqual([]);
    expect(await leftovers('process', directory, NODE_UID, 'a-1')).toEqual([]);
  });

  it('keeps the log of an earlier run when the next one cannot start', async () => {
    await start('a-1', shell('echo first'));
    await until('it ended', () => exits.length === 1);
    await expect(start('a-1', ['no-such-program'])).rejects.toMatchObject({ code: 'command_not_found' });
    expect(await output('a-1')).toBe('first\n');
  });
});
