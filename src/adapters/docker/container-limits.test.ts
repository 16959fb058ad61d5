/** What only containers have: images, limits, mounts, and an engine that may go away. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type * as z from 'zod/mini';
import { until } from '../../../test/conformance/runtime.ts';
import { type DockerRig, startDockerRig } from '../../../test/rig/docker.ts';
import { type RegistryRig, startRegistryRig } from '../../../test/rig/registry.ts';
import { serviceSpecSchema } from '../../core/model/service.ts';
import type { RuntimeExit, StartRequest } from '../../ports/runtime.ts';
import { systemClock } from '../system-clock/clock.ts';
import { containerName } from './container-config.ts';
import { ContainerRuntime } from './container-runtime.ts';
import { EngineApi } from './engine-api.ts';

const IMAGE = 'tendril-limits:1';
let rig: DockerRig;
let registry: RegistryRig;
let imageId: string;
let node: string;
let runtime: ContainerRuntime;
let exits: { id: string; exit: RuntimeExit }[];
const started = new Set<string>();

beforeAll(async () => {
  rig = await startDockerRig({ own: true });
  registry = await startRegistryRig();
  imageId = await rig.makeBusyboxImage(IMAGE);
});
afterAll(async () => {
  await registry?.stop();
  await rig?.stop();
});
beforeEach(async () => {
  node = `limits-${performance.now()}`;
  exits = [];
  runtime = new ContainerRuntime({ clock: systemClock }, { node, dockerHost: rig.dockerHost });
  await runtime.open({ exited: (id, exit) => exits.push({ id, exit }) });
});
afterEach(async () => {
  for (const id of started) await runtime.remove(id);
  started.clear();
  await runtime.close();
});

type Spec = Omit<z.input<typeof serviceSpecSchema> & { runtime: 'container' }, 'runtime' | 'image'> & { image?: string };

function request(id: string, script: string, spec: Spec = {}, hostPorts: Record<string, number> = {}): StartRequest {
  started.add(id);
  const parsed = serviceSpecSchema.parse({ runtime: 'container', image: IMAGE, command: ['sh', '-c', script], ...spec });
  return { assignment: { id, service: 'sample', spec: parsed }, hostPorts, address: '127.0.0.1' };
}
const idle = 'trap "exit 0" TERM; while :; do sleep 0.1; done';
const inspect = async (id: string, format: string) => await rig.docker('inspect', '--format', format, containerName(node, id));

async function output(id: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of runtime.logs(id, { follow: false, signal: new AbortController().signal })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('a memory limit binds, swap included, and the exit says so', async () => {
  await runtime.start(request('hog-1', 'x=0123456789; while :; do x=$x$x; done', { resources: { memory: '16Mi' } }));
  await until('it was killed', () => exits.length > 0);
  expect(exits).toEqual([{ id: 'hog-1', exit: { exitCode: 137, reason: 'killed by SIGKILL (out of memory)' } }]);
  expect(await inspect('hog-1', '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}')).toBe(`${16 * 2 ** 20} ${16 * 2 ** 20}`);
});

test('a cpu limit binds', async () => {
  const script = `cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null; ${idle}`;
  await runtime.start(request('slow-1', script, { resources: { cpu: '250m' } }));
  await until('it has said its quota', async () => (await output('slow-1')) !== '');
  // One line in cgroup v2, two in v1.
  await until('it has said its period', async () => /^25000\s+100000$/.test((await output('slow-1')).trim()));
});

test('output is rotated by the engine, within the limit', async () => {
  await runtime.start(request('log-1', idle));
  expect(JSON.parse(await inspect('log-1', '{{json .HostConfig.LogConfig}}'))).toEqual({
    Type: 'json-file',
    Config: { 'max-size': String(5 * 2 ** 20), 'max-file': '2' },
  });
});

test('mounts can be read, and written unless they are read-only', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-mount-'));
  try {
    await writeFile(join(directory, 'in'), 'hello');
    const script = 'cat /rw/in; echo bye >/rw/out; echo no >/ro/out2 || echo refused';
    const mounts = [
      { source: directory, target: '/rw' },
      { source: directory, target: '/ro', readOnly: true },
    ];
    await runtime.start(request('mount-1', script, { mounts, workingDir: '/rw' }));
    await until('it has ended', () => exits.length > 0);
    expect(await output('mount-1')).toContain('Read-only file system');
    expect(await output('mount-1')).toContain('hellorefused\n');
    expect(await readFile(join(directory, 'out'), 'utf8')).toBe('bye\n');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const lost = runtime.start(request('mount-2', idle, { mounts: [{ source: directory, target: '/rw' }] }));
  await expect(lost).rejects.toMatchObject({ code: 'runtime_failed', message: expect.stringContaining('does not exist') });
  expect((await runtime.list()).map(({ id }) => id)).toEqual(['mount-1']);
});

test('a port that is taken is said to be, and nothing stays', async () => {
  const server = createServer().listen(0, '0.0.0.0');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const refusal = runtime.start(request('port-1', idle, { ports: [{ containerPort: 80 }] }, { http: port }));
  await expect(refusal).rejects.toMatchObject({ code: 'port_in_use' });
  expect(await runtime.list()).toEqual([]);
  server.close();
});

test('an image that nobody has is image_not_found, with the reason', async () => {
  const unknown = runtime.start(request('image-1', idle, { image: `${registry.repository}:no-such-tag` }));
  await expect(unknown).rejects.toMatchObject({ code: 'image_not_found', message: expect.stringContaining('manifest unknown') });
  const silent = runtime.start(request('image-2', idle, { image: '127.0.0.1:1/nothing:1' }));
  await expect(silent).rejects.toMatchObject({ code: 'image_not_found' });
  expect(await runtime.list()).toEqual([]);
});

test('an absent image is pulled once for all who wait, by tag; and by digest what is there is not pulled again', async () => {
  const image = `${registry.repository}:1`;
  await Promise.all(['a', 'b', 'c'].map((name) => runtime.start(request(`pull-${name}`, idle, { image }))));
  expect(registry.layerRequests()).toBe(1);
  await runtime.start(request('pull-d', idle, { image: `${registry.repository}@${registry.digest}` }));
  expect(registry.layerRequests()).toBe(1);
  expect((await runtime.list()).filter(({ running }) => running)).toHaveLength(4);

  for (const id of [...started]) await runtime.remove(id);
  await rig.docker('rmi', '--force', image, `${registry.repository}@${registry.digest}`);
  await runtime.start(request('pull-e', idle, { image: `${registry.repository}@${registry.digest}` }));
  expect(registry.layerRequests()).toBe(2);
});

test('an image that came without a registry goes by its id, alone or as the digest of a name', async () => {
  await runtime.start(request('id-1', idle, { image: imageId }));
  await runtime.start(request('id-2', idle, { image: `registry.invalid/limits@${imageId}` }));
  expect(await inspect('id-2', '{{.Image}}')).toBe(imageId);
});

test('a stop does not wait for a pull', async () => {
  const image = `${registry.repository}:1`;
  await rig.docker('rmi', '--force', image, `${registry.repository}@${registry.digest}`).catch(() => undefined);
  const before = registry.layerRequests();
  registry.holdLayers(true);
  const starting = runtime.start(request('held-1', idle, { image }));
  await until('the layer is asked for', () => registry.layerRequests() > before);
  await Promise.all([runtime.stop('held-1', 1_000), expect(starting).rejects.toMatchObject({ code: 'unavailable' })]);
  expect(await runtime.list()).toEqual([]);
  registry.holdLayers(false);
  await runtime.start(request('held-1', idle, { image }));
  expect(registry.layerRequests()).toBe(before + 1);
});

test('a pull tells its progress', async () => {
  const image = `${registry.repository}:1`;
  for (const id of [...started]) await runtime.remove(id);
  await rig.docker('rmi', '--force', image, `${registry.repository}@${registry.digest}`).catch(() => undefined);
  const engine = new EngineApi(rig.socketPath);
  const statuses: string[] = [];
  await engine.pullImage(image, (progress) => statuses.push(progress.status));
  expect(statuses).toContain('Pull complete');
  expect((await engine.inspectImage(image))?.RepoDigests).toEqual([`${registry.repository}@${registry.digest}`]);
  expect(await engine.inspectImage('no-such-image:1')).toBeNull();
  engine.close();
});

test('started again after it ended it keeps its output; with another spec it is made anew', async () => {
  const first = request('again-1', 'echo once; exit 1');
  await runtime.start(first);
  await until('the first exit', () => exits.length === 1);
  await runtime.start(first);
  await until('the second exit', () => exits.length === 2);
  expect(await output('again-1')).toBe('once\nonce\n');
  await runtime.start(request('again-1', 'echo anew; exit 1'));
  await until('the third exit', () => exits.length === 3);
  expect(await output('again-1')).toBe('anew\n');
});

test('followed output goes on over a new start, each line once', async () => {
  const again = request('follow-1', 'echo "run $(cat /proc/sys/kernel/random/uuid)"; sleep 0.3; echo end');
  await runtime.start(again);
  let text = '';
  const following = (async () => {
    for await (const chunk of runtime.logs('follow-1', { follow: true, signal: new AbortController().signal }))
      text += Buffer.from(chunk).toString();
  })();
  for (const round of [1, 2, 3]) {
    await until(`round ${round} has ended`, () => exits.length === round);
    await until('all was seen', () => text.split('end\n').length === round + 1);
    if (round < 3) await runtime.start(again);
  }
  await runtime.remove('follow-1');
  await following;
  expect(new Set(text.match(/run .*/g)).size).toBe(3);
  expect(text.match(/run .*/g)).toHaveLength(3);
});

test('a container that somebody kills or removes is told as ended', async () => {
  await Promise.all([runtime.start(request('victim-1', idle)), runtime.start(request('victim-2', idle))]);
  await rig.docker('kill', containerName(node, 'victim-1'));
  await until('the kill is told', () => exits.length === 1);
  expect(exits[0]).toEqual({ id: 'victim-1', exit: { exitCode: 137, reason: 'killed by SIGKILL' } });
  await rig.docker('rm', '--force', containerName(node, 'victim-2'));
  await until('the removal is told', () => exits.length === 2);
  await Promise.all([runtime.start(request('victim-1', idle)), runtime.start(request('victim-2', idle))]);
  expect((await runtime.list()).filter(({ running }) => running)).toHaveLength(2);
});

// Asked to end, the engine tells of its containers' end as its last word; killed, it says nothing.
test.each(['SIGTERM', 'SIGKILL'] as const)(
  'after %s an engine that comes back has its ended instances told, once',
  async (signal) => {
    await Promise.all([runtime.start(request('down-1', idle)), runtime.start(request('down-2', idle))]);
    await rig.halt(signal);
    if (signal === 'SIGKILL') expect(exits).toEqual([]);
    await expect(runtime.list()).rejects.toMatchObject({ code: 'unavailable' });
    expect(await runtime.detect()).toMatchObject({ available: false });
    await rig.resume();
    await until('both exits are told', () => exits.length >= 2);
    expect(exits.map(({ id }) => id).sort()).toEqual(['down-1', 'down-2']);
    await runtime.start(request('down-1', idle));
    expect((await runtime.list()).map(({ id, running }) => `${id} ${running}`).sort()).toEqual(['down-1 true', 'down-2 false']);
    expect(exits).toHaveLength(2);
  },
);

test('an engine that is not there is said not to be, and opening is no error', async () => {
  const none = new ContainerRuntime({ clock: systemClock }, { node, dockerHost: 'unix:///nowhere/docker.sock' });
  await none.open({ exited: () => undefined });
  expect(await none.detect()).toMatchObject({ available: false, detail: expect.stringContaining('/nowhere/docker.sock') });
  await expect(none.start(request('none-1', idle))).rejects.toMatchObject({ code: 'unavailable' });
  await none.close();
  const remote = new ContainerRuntime({ clock: systemClock }, { node, dockerHost: 'tcp://10.0.0.1:2375' });
  await remote.open({ exited: () => undefined });
  expect(await remote.detect()).toMatchObject({ available: false, detail: expect.stringContaining('tcp://') });
  await expect(remote.stop('none-1', 0)).rejects.toMatchObject({ code: 'runtime_missing' });
  await remote.close();
});
