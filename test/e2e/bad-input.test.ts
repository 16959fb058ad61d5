/** Bad input gets a clear error, and nothing is lost: through the real command line and API of real processes. */
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Context, loadConfig } from '../../src/cli/context/config-file.ts';
import { type CliRun, type Deployment, startDeployment } from '../rig/deployment.ts';
import { codeOf, rawRequest } from '../rig/raw-request.ts';

let site: Deployment;
let context: Context;
let before: unknown;

beforeAll(async () => {
  site = await startDeployment({ clusters: { garching: 1 } });
  const { contexts } = await loadConfig({ env: site.env, home: site.directory });
  const root = contexts.find(({ name }) => name === 'root');
  if (!root) throw new Error('no context root');
  context = root;
  await site.apply('root', 'steady');
  before = await steady();
});

afterAll(async () => {
  await site?.close();
});

async function steady() {
  const [instance] = await site.running('root', 'steady', 1);
  return [instance?.id, instance?.node, instance?.restarts, instance?.createdAtMs];
}

/** Nothing is lost, nothing is half done. */
afterEach(async () => {
  expect((await site.api('root').services()).map(({ name }) => name)).toEqual(['steady']);
  expect(await steady()).toEqual(before);
});

async function apply(file: string, text: string): Promise<CliRun> {
  await writeFile(join(site.directory, file), text);
  return site.cli('--context', 'root', 'apply', '-f', file);
}

function manifest(spec: string, name = 'bad'): string {
  return `apiVersion: tendril/v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  runtime: process\n  command: [sleep, "1000000"]\n${spec}`;
}

function post(path: string, body: unknown) {
  return rawRequest(`${context.server}${path}`, {
    method: 'POST',
    caPem: context.caPem,
    token: context.token,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

describe('a manifest', () => {
  test.each([
    ['is no YAML', 'a.yaml', 'apiVersion: tendril/v1\nkind: Service\nmetadata: {name: bad\nspec: 1\n', /^ {2}a\.yaml:4:\d+: /m],
    ['has a tab', 't.yaml', 'apiVersion: tendril/v1\nkind: Service\nmetadata:\n\tname: bad\n', /^ {2}t\.yaml:4:\d+: /m],
    [
      'has an unknown field',
      'b.yaml',
      manifest('  replcas: 2\n'),
      'b.yaml:8:3: spec.replcas: unknown field; did you mean replicas?',
    ],
    [
      'has a wrong unit',
      'c.yaml',
      manifest('  resources:\n    memory: 64 parsecs\n'),
      'c.yaml:9:13: spec.resources.memory: "64 parsecs" is not an amount of memory such as 64Mi or 1G',
    ],
    ['has a negative number', 'd.yaml', manifest('  replicas: -1\n'), /d\.yaml:8:\d+: spec\.replicas: /],
    ['has a key twice', 'e.yaml', manifest('  replicas: 1\n  replicas: 2\n'), /e\.yaml:9:3: /],
    ['has a name that is none', 'f.yaml', manifest('', 'No Name'), /f\.yaml:4:9: metadata\.name: a name has /],
    ['has one name twice', 'g.yaml', `${manifest('')}---\n${manifest('')}`, /g\.yaml:\d+:\d+: metadata\.name: .*bad/],
    ['is empty', 'h.yaml', '', /h\.yaml/],
    ['is no text', 'i.yaml', '\u0000\u0001\u0002', /i\.yaml/],
  ])('that %s', async (_what, file, text, says) => {
    const run = await apply(file, text);
    expect(run.stdout).toBe('');
    if (typeof says === 'string') expect(run.stderr).toContain(says);
    else expect(run.stderr).toMatch(says);
    expect(run.stderr).toMatch(/^error: The manifest is not valid/);
    expect(run.exitCode).toBe(2);
  });

  test('of an unknown kind', async () => {
    const run = await apply('k.yaml', manifest('').replace('kind: Service', 'kind: Servize'));
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(
      /^error: The manifest is not valid\n {2}k\.yaml:2:7: kind: unknown kind "Servize"; known kinds: Service/,
    );
    const answer = await post('/v1/apply', { resources: [{ kind: 'Pod' }] });
    expect([answer.status, codeOf(answer)]).toEqual([400, 'unknown_kind']);
  });

  test('one of several that is not valid keeps all of them out', async () => {
    const run = await apply('m.yaml', `${manifest('', 'good')}---\n${manifest('  replicas: many\n')}`);
    expect([run.exitCode, run.stdout]).toEqual([2, '']);
    expect(run.stderr).toMatch(/m\.yaml:1[67]:\d+: spec\.replicas/);
    const answer = await post('/v1/apply', {
      resources: [{ apiVersion: 'tendril/v1', kind: 'Service', metadata: { name: 'bad' } }],
    });
    expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_manifest']);
    expect(answer.text).toContain('resources[0].spec');
  });

  test('of 50 MB, as a file, on standard input and at the API', async () => {
    const large = `${manifest('  env:\n    A: "')}${'x'.repeat(50 * 2 ** 20)}"\n`;
    const run = await apply('large.yaml', large);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(/^error: That is too large\n {2}large\.yaml: has 50/);
    const piped = await site.cliWithInput(large, '--context', 'root', 'apply', '-f', '-');
    expect([piped.exitCode, piped.stderr]).toEqual([2, expect.stringMatching(/^error: That is too large\n {2}stdin: /)]);
    const answer = await post('/v1/apply', large);
    expect([answer.status, codeOf(answer)]).toEqual([413, 'too_large']);
  });

  test('that asks for more than the largest machine is refused; what may yet come is waited for', async () => {
    const large = await apply('n.yaml', manifest('  resources: {cpu: 3}\n'));
    expect([large.exitCode, large.stdout]).toEqual([4, '']);
    expect(large.stderr).toMatch(/^error: No machine could ever satisfy that: service\/bad\n.*garching: needs 3 cores, .*2/);

    const labelled = await apply('o.yaml', manifest('  placement: {labels: {camera: front}}\n'));
    expect([labelled.exitCode, labelled.stdout]).toEqual([0, 'service/bad created\n']);
    const described = await site.cli('--context', 'root', 'describe', 'service', 'bad');
    expect(described.stdout).toContain('no node with label camera=front');
    await site.addNode('garching-2', 'garching', ['--label', 'camera=front']);
    const [placed] = await site.running('root', 'bad', 1);
    expect(placed?.node).toBe('garching/garching-2');
    await site.remove('root', 'bad');
  });
});

test('a command that does not exist is named in the reason, and corrected in place', async () => {
  const wrong = manifest('').replace('sleep,', 'no-such-command,');
  expect((await apply('p.yaml', wrong)).exitCode).toBe(0);
  const failed = await site.until(
    'the instance has failed',
    async () => (await site.api('root').instances('bad')).find(({ state }) => state === 'FAILED'),
    10_000,
  );
  expect(failed.reason).toContain('The command does not exist on the node: no-such-command');
  const waited = await site.cli('--context', 'root', 'apply', '-f', 'p.yaml', '--wait', '--timeout', '2s');
  expect([1, 6]).toContain(waited.exitCode);
  expect(waited.stderr).toContain('no-such-command');
  expect((await apply('p.yaml', manifest(''))).exitCode).toBe(0);
  await site.running('root', 'bad', 1);
  await site.remove('root', 'bad');
});

describe('the API', () => {
  test('says where a body is no JSON', async () => {
    const answer = await post('/v1/apply', '{"resources": [\n}');
    expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_request']);
    expect(answer.text).toContain('line 2, column 1');
  });

  test('names unknown fields and routes', async () => {
    const field = await post('/v1/tokens', { role: 'worker', tll: '1h' });
    expect(field.text).toContain('tll');
    expect(field.status).toBe(400);
    expect((await post('/v1/nothing', {})).status).toBe(404);
  });

  test('takes no body that never ends', { timeout: 90_000 }, async () => {
    // As fast as it is taken ...
    const flood = await neverEnding((sent) => void (sent.write('x'.repeat(65_536)) || 0));
    expect([flood.status, flood.text.includes('"too_large"')]).toEqual([413, true]);
    // ... and a byte now and then, which takes as long as a request may.
    const trickle = await neverEnding((sent) => void sent.write('x'));
    expect([trickle.status, trickle.text.includes('"too_slow"')]).toEqual([408, true]);
  });
});

/** Writes on and on until the answer is there. */
async function neverEnding(write: (sent: ReturnType<typeof request>) => void): Promise<{ status: number; text: string }> {
  const sent = request(`${context.server}/v1/apply`, {
    method: 'POST',
    ca: context.caPem,
    checkServerIdentity: () => undefined,
    agent: false,
    headers: { authorization: `Bearer ${context.token}`, 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
  });
  sent.on('error', () => undefined);
  const pump = setInterval(() => write(sent), 20);
  try {
    const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    await site.until('the answer is complete', () => text.endsWith('}}'), 5_000);
    return { status: response.statusCode ?? 0, text };
  } finally {
    clearInterval(pump);
    sent.destroy();
  }
}

describe('a data directory', () => {
  test('of a newer version is left alone', async () => {
    const directory = join(site.directory, 'newer');
    await mkdir(directory);
    await writeFile(join(directory, 'format.json'), '{"format": 99}\n');
    const run = await site.cli('up', '--data-dir', directory, '--listen', '127.0.0.1:0');
    expect(run.stderr).toMatch(/^error: The data directory was written by a newer version: .*format 99, this version reads \d+/);
    expect(run.exitCode).toBe(1);
    expect(await readFile(join(directory, 'format.json'), 'utf8')).toBe('{"format": 99}\n');
  });

  test('that belongs to something else is left alone', async () => {
    const directory = join(site.directory, 'photos');
    await mkdir(directory);
    await writeFile(join(directory, 'cat.jpg'), '');
    const run = await site.cli('up', '--data-dir', directory, '--listen', '127.0.0.1:0');
    expect(run.stderr).toMatch(/^error: That is not a data directory of Tendril: .*cat\.jpg/);
  });

  test('serves one process at a time', async () => {
    const run = await site.cli('up', '--data-dir', site.root.directory);
    expect(run.exitCode).not.toBe(0);
    expect(run.stderr).toMatch(/^error: Another tendril uses this data directory/);
  });
});

test('a port in use is named, and the directory is usable once it is free', async () => {
  const listen = `127.0.0.1:${site.root.port}`;
  const flags = ['up', '--data-dir', join(site.directory, 'second'), '--name', 'second', '--no-worker', '--no-save-context'];
  const run = await site.cli(...flags, '--listen', listen);
  expect(run.stderr).toMatch(new RegExp(`^error: The port is in use: cannot listen on ${listen}\\b.*\n.*hint: `));
  expect(run.exitCode).not.toBe(0);
  await site.addOrchestrator('second', null, false);
  expect((await site.api('second').status()).name).toBe('second');

  // A cluster with a parent ends as well, and starts afterwards as it was set up before.
  await site.cluster('garching').stop();
  const moved = await site.cli('up', '--data-dir', site.cluster('garching').directory, '--listen', listen);
  expect(moved.stderr).toMatch(/^error: The port is in use/m);
  await site.cluster('garching').start();
  await site.until('garching is back', async () => (await site.api('root').status()).clusters.connected === 1, 10_000);
  await site.until('its nodes are back', async () => (await site.api('garching').status()).nodes.connected === 2, 10_000);
});
