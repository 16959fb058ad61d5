/** `npm start` as a newcomer runs it, and that nothing of it is left, however it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startDockerRig } from '../rig/docker.ts';
import { until } from '../rig/until.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
const BOUND_MS = 150_000;

let place = '';
let demo: ChildProcess;
let output = '';

beforeEach(async () => {
  place = await realpath(await mkdtemp(join(tmpdir(), 'tendril-demo-test-')));
  await mkdir(join(place, 'home'));
  await mkdir(join(place, 'tmp'));
});
afterEach(async () => {
  if (demo.exitCode === null && demo.signalCode === null) demo.kill('SIGTERM');
  await until('no process of the demo', async () => (await processesOf(place)).length === 0, 30_000);
  await rm(place, { recursive: true });
});

/** All that it writes goes to `place`, and all that it starts bears it in its environment. */
function start(program: readonly string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
  const { XDG_CONFIG_HOME: _, TENDRIL_CONFIG: __, ...environment } = process.env;
  output = '';
  demo = spawn(process.execPath, program, {
    cwd: place,
    // A group of its own, to get Ctrl-C as from a terminal: all of it at once.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, HOME: join(place, 'home'), TMPDIR: join(place, 'tmp'), ...more },
  });
  for (const stream of [demo.stdout, demo.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  return demo;
}

const npmStart = (...args: string[]) => start([join(CHECKOUT, 'scripts/run-program.mjs'), 'demo', ...args]);

async function processesOf(mark: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const [environment, command] = await Promise.all(
      ['environ', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    );
    if (`${environment}${command}`.includes(mark)) found.push(`${pid} ${command?.replaceAll('\0', ' ')}`);
  }
  return found;
}

async function expectNothingLeft(): Promise<void> {
  expect(await processesOf(place)).toEqual([]);
  expect(await readdir(join(place, 'tmp'))).toEqual([]);
  expect(await readdir(join(place, 'home'))).toEqual([]);
}

const said = (text: string) =>
  until(
    text,
    () => output.includes(text),
    BOUND_MS,
    () => output,
  );

test(
  '--once deploys, kills a node, sees the replacement answer, and ends with 0',
  async () => {
    const [exitCode] = await once(npmStart('--once'), 'close');
    expect(exitCode, output).toBe(0);
    expect(output).toMatch(/✓ it answers: "Hello from web-/);
    expect(output).toMatch(/✓ it is replaced on \S+: "Hello from web-/);
    expect(output).toContain('All of it worked');
    await expectNothingLeft();
  },
  BOUND_MS,
);

test(
  'Ctrl-C in the middle leaves nothing behind',
  async () => {
    const { pid = 0 } = npmStart();
    const closed = once(demo, 'close');
    await said('web-1 RUNNING');
    expect(await processesOf(place)).not.toEqual([]);
    process.kill(-pid, 'SIGINT');
    expect((await closed)[0], output).toBe(0);
    await expectNothingLeft();
  },
  BOUND_MS,
);

test(
  'so does SIGTERM while the nodes start',
  async () => {
    // A node that looks for Python at this moment must not leave that behind, however long it takes.
    const bin = join(place, 'bin');
    const looking = join(place, 'looking');
    await mkdir(bin);
    await writeFile(join(bin, 'python3'), `#!/bin/sh\n: > '${looking}'\nsleep 60\n`, { mode: 0o755 });
    start([join(CHECKOUT, 'scripts/run-program.mjs'), 'demo'], { PATH: `${bin}:${process.env.PATH}` });
    const closed = once(demo, 'close');
    await said('clusters garching and potsdam: joined');
    await until('a node looks for Python', () => access(looking).then(() => true), BOUND_MS);
    demo.kill('SIGTERM');
    expect((await closed)[0], output).toBe(0);
    await expectNothingLeft();
  },
  BOUND_MS,
);

test(
  'and so does a demo that is itself killed',
  async () => {
    npmStart('--help');
    await once(demo, 'close');
    start([join(CHECKOUT, 'dist/demo.js')]);
    await said('web-1 RUNNING');
    demo.kill('SIGKILL');
    await until('no process is left', async () => (await processesOf(place)).length === 0, 30_000);
    await expectNothingLeft();
  },
  BOUND_MS,
);

test(
  'where there is Docker it runs a container too, and removes it in the end',
  async () => {
    const engine = await startDockerRig({ own: true });
    try {
      await engine.makeBusyboxImage('busybox:1.36');
      start([join(CHECKOUT, 'scripts/run-program.mjs'), 'demo'], { DOCKER_HOST: engine.dockerHost });
      const { pid = 0 } = demo;
      const closed = once(demo, 'close');
      const address = await until(
        'the container runs',
        () => /hello-container-\d+ RUNNING on garching\/\S+ at (\S+)/.exec(output)?.[1],
        BOUND_MS,
        () => output,
      );
      expect(await until('it answers', async () => (await fetch(`http://${address}/`)).text(), 30_000)).toContain(
        'Hello from a container',
      );
      expect(await engine.docker('ps', '--quiet')).not.toBe('');
      process.kill(-pid, 'SIGINT');
      expect((await closed)[0], output).toBe(0);
      expect(await engine.docker('ps', '--all', '--quiet')).toBe('');
      await expectNothingLeft();
    } finally {
      await engine.stop();
    }
  },
  BOUND_MS,
);
