/** The public API and the command line over a deployment of three levels: real processes, each command one of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Context, loadConfig } from '../../src/cli/context/config-file.ts';
import { INSTANCE_STATES } from '../../src/core/model/instance-state.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { rawRequest } from '../rig/raw-request.ts';
import { PROGRAM } from '../rig/tendril-process.ts';

let site: Deployment;
let context: Context;

beforeAll(async () => {
  site = await startDeployment({ clusters: { garching: 2 }, nodes: 1 });
  const { contexts } = await loadConfig({ env: site.env, home: site.directory });
  const root = contexts.find(({ name }) => name === 'root');
  if (!root) throw new Error('no context root');
  context = root;
});

afterAll(async () => {
  await site?.close();
});

const root = (...words: string[]) => site.cli('--context', 'root', ...words);

function get(path: string) {
  return rawRequest(`${context.server}${path}`, { caPem: context.caPem, token: context.token });
}

/** A command that goes on until it is told to end. */
function follow(...words: string[]) {
  const child = spawn(process.execPath, [PROGRAM, '--context', 'root', ...words], {
    env: site.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  return {
    said,
    ended,
    says: (what: string | RegExp, boundMs = 10_000) =>
      site.until(
        `${words.join(' ')} says ${what}`,
        () => (typeof what === 'string' ? said.stdout.includes(what) : what.test(said.stdout)),
        boundMs,
      ),
    /** Ctrl-C. */
    interrupt: () => {
      child.kill('SIGINT');
      return ended;
    },
  };
}

function manifest(name: string, change = ''): string {
  return `apiVersion: tendril/v1
kind: Service
metadata: {name: ${name}, labels: {tier: front}}
spec:
  runtime: process
  command: [sleep, "1000000"]
  replicas: 2
  env: {A: "1", B: "yes"}
  resources: {cpu: 100m, memory: 32Mi}
  placement: {cluster: garching, policy: spread}
  stopGrace: 1s
${change}`;
}

describe('the OpenAPI document', () => {
  interface Operation {
    readonly operationId?: string;
    readonly summary?: string;
    readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
    readonly responses?: Readonly<Record<string, { readonly description?: string }>>;
  }

  test('is of version 3.1, and whole', async () => {
    const answer = await get('/openapi.json');
    expect([answer.status, answer.type]).toEqual([200, expect.stringContaining('application/json')]);
    const document = JSON.parse(answer.text) as {
      openapi: string;
      info: object;
      paths: Record<string, Record<string, Operation>>;
    };
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });

    const ids: string[] = [];
    for (const [path, operations] of Object.entries(document.paths))
      for (const [method, operation] of Object.entries(operations)) {
        const where = `${method} ${path}`;
        expect(['get', 'put', 'post', 'patch', 'delete'], where).toContain(method);
        expect(operation.operationId, where).toMatch(/^\w+$/);
        expect(operation.summary, where).toMatch(/\w/);
        ids.push(operation.operationId ?? '');
        const inPath = [...path.matchAll(/\{(\w+|\*)\}/g)].map(([, name]) => name);
        const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
        expect(declared.map(({ name }) => name).sort(), where).toEqual(inPath.sort());
        expect(
          declared.every(({ required }) => required === true),
          where,
        ).toBe(true);
        const statuses = Object.entries(operation.responses ?? {});
        expect(
          statuses.some(([status]) => status.startsWith('2')),
          where,
        ).toBe(true);
        for (const [status, { description }] of statuses) {
          expect(status, where).toMatch(/^([1-5]\d\d|default)$/);
          expect(description, `${where} ${status}`).toMatch(/\w/);
        }
      }
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, reference = ''] of answer.text.matchAll(/"\$ref":\s*"([^"]+)"/g)) {
      expect(reference).toMatch(/^#\//);
      const found = reference
        .slice(2)
        .split('/')
        .reduce<unknown>((at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined), document);
      expect(found, reference).toBeTypeOf('object');
    }
  });
});

test('a watch tells what is there, then each change until it is deleted', async () => {
  const told: string[] = [];
  const watching = (async () => {
    for await (const message of site.api('root').watch(['service', 'instance'])) {
      if (message.kind === 'synced') told.push('synced');
      else if (message.kind === 'instance') told.push(`${message.kind} ${message.view === null ? 'gone' : message.view.state}`);
      else told.push(`${message.kind} ${message.name} ${message.view === null ? 'gone' : ''}`.trim());
      if (told.includes('service watched gone')) return;
    }
  })();
  await site.until('it is synced', () => told[0] === 'synced', 5_000);
  const table = follow('get', 'instances', '-w');
  await table.says('NAME');
  await site.apply('root', 'watched', { placement: { cluster: 'garching' } });
  await site.running('root', 'watched', 1);
  await site.remove('root', 'watched');
  await watching;
  expect(told[1]).toBe('service watched');
  expect(told).toContain('instance RUNNING');
  expect(told).toContain('instance gone');
  expect(told.indexOf('instance RUNNING')).toBeLessThan(told.indexOf('instance gone'));
  await table.says(/watched-\d+ +RUNNING +garching\/garching-\d/);
  expect(await table.interrupt()).toBe(130);
});

test('events are told from the beginning, and followed', async () => {
  const followed = follow('events', '-f');
  await followed.says('root-1');
  await site.apply('root', 'eventful');
  const [instance] = await site.running('root', 'eventful', 1);
  await followed.says(new RegExp(`instance/${instance?.id} +running on`));
  expect(await followed.interrupt()).toBe(130);
  const { stdout } = await root('get', 'events', '-o', 'json');
  const { items } = JSON.parse(stdout) as { items: { sequence: number; subject: string }[] };
  expect(items.map(({ sequence }) => sequence)).toEqual(items.map(({ sequence }) => sequence).sort((a, b) => a - b));
  expect(items.some(({ subject }) => subject === 'service/eventful')).toBe(true);
  await site.remove('root', 'eventful');
});

test('logs come up through three levels, are followed while they grow, and end with the instance', async () => {
  const script = 'n=0; while :; do n=$((n+1)); echo "line $n of $WHO"; echo "error $n" >&2; sleep 0.05; done';
  await site.apply('root', 'talker', {
    command: ['sh', '-c', script],
    env: { WHO: 'talker' },
    placement: { cluster: 'garching' },
  });
  const [instance] = await site.running('root', 'talker', 1);
  expect(instance?.node).toMatch(/^garching\/garching-/);
  const followed = follow('logs', '-f', 'talker');
  await followed.says('line 1 of talker\n');
  await followed.says('line 20 of talker\n');
  const tail = await root('logs', instance?.id ?? '', '--tail', '4');
  expect(tail.exitCode).toBe(0);
  expect(tail.stdout.trimEnd().split('\n')).toHaveLength(4);
  expect(followed.said.stdout).toContain('error 1\n');
  await site.remove('root', 'talker');
  expect([await followed.ended, followed.said.stderr]).toEqual([0, '']);
  const numbers = [...followed.said.stdout.matchAll(/^line (\d+) of talker$/gm)].map(([, number]) => Number(number));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  const gone = await root('logs', 'talker');
  expect([gone.exitCode, gone.stderr]).toEqual([3, expect.stringContaining('error: There is no such thing')]);
});

test('apply, diff, apply again, get -o yaml, delete: each says what it did', async () => {
  await writeFile(join(site.directory, 'round.yaml'), manifest('round'));
  const file = ['-f', 'round.yaml'];
  expect(await root('diff', ...file)).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('+  replicas: 2') });
  expect((await root('apply', ...file, '--dry-run')).stdout).toBe('service/round created (dry run)\n');
  expect((await site.api('root').services()).map(({ name }) => name)).toEqual([]);
  expect(await root('apply', ...file, '--wait')).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^service\/round created\n/),
  });
  expect(await root('diff', ...file)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  expect((await root('apply', ...file)).stdout).toBe('service/round unchanged\n');

  const written = await root('get', 'service', 'round', '-o', 'yaml');
  const again = await site.cliWithInput(written.stdout, '--context', 'root', 'apply', '-f', '-');
  expect(again).toEqual({ exitCode: 0, stdout: 'service/round unchanged\n', stderr: '' });
  const before = (await site.running('root', 'round', 2)).map(({ id }) => id);

  await writeFile(join(site.directory, 'round.yaml'), manifest('round').replace('A: "1"', 'A: "2"'));
  expect(await root('diff', ...file)).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^-.*A: "1"\n\+.*A: "2"$/m) });
  expect((await root('apply', ...file, '--wait')).stdout).toMatch(/^service\/round changed\n/);
  const after = (await site.running('root', 'round', 2)).map(({ id }) => id);
  expect(after.filter((id) => before.includes(id))).toEqual([]);

  const json = JSON.parse((await root('get', 'services', '-l', 'tier=front', '-o', 'json')).stdout) as {
    items: { name: string }[];
  };
  expect(json.items.map(({ name }) => name)).toEqual(['round']);
  expect((await root('delete', ...file)).stdout).toBe('service/round deleted\n');
  expect((await root('delete', 'service', 'round')).exitCode).toBe(3);
  await site.until('it is gone', async () => (await site.api('root').services()).length === 0, 10_000);
});

test('tokens are made, listed without their secrets, and worth nothing once revoked', async () => {
  const made = JSON.parse((await root('token', 'create', '--role', 'viewer', '--ttl', '1h', '-o', 'json')).stdout) as {
    id: string;
    token: string;
  };
  expect((await root('--token', made.token, 'status')).exitCode).toBe(0);
  const listed = await root('token', 'list');
  expect(listed.stdout).toMatch(new RegExp(`^${made.id} +viewer`, 'm'));
  expect(listed.stdout).not.toContain(made.token.split('.')[3]);
  expect((await root('token', 'revoke', made.id)).stdout).toBe(`token/${made.id} revoked\n`);
  const refused = await root('--token', made.token, 'status');
  expect([refused.exitCode, refused.stderr]).toEqual([4, expect.stringContaining('error: The token is not known here')]);
});

describe('doctor', () => {
  interface Check {
    readonly name: string;
    readonly result: string;
    readonly finding: string;
    readonly advice?: string;
  }

  async function doctor(...words: string[]): Promise<{ exitCode: number; checks: Map<string, Check> }> {
    const { exitCode, stdout } = await site.cli('doctor', '--data-dir', site.directory, '-o', 'json', ...words);
    const { items } = JSON.parse(stdout) as { items: Check[] };
    return { exitCode, checks: new Map(items.map((check) => [check.name, check])) };
  }

  test('finds nothing wrong with what is well', async () => {
    const { exitCode, checks } = await doctor('--context', 'garching');
    expect([...checks.values()].filter(({ result }) => result === 'fail')).toEqual([]);
    for (const name of ['reach', 'clock', 'certificate', 'token', 'version', 'node.js', 'data directory'])
      expect(checks.get(name)).toMatchObject({ result: 'ok' });
    expect(checks.has('parent')).toBe(false);
    expect(exitCode).toBe(0);
  });

  test('says what is wrong, and what to do', async () => {
    const wrongToken = await doctor(
      '--server',
      context.server,
      '--ca',
      await caFile(),
      '--token',
      `${context.token.slice(0, -5)}AAAAA`,
    );
    expect(wrongToken.checks.get('reach')).toMatchObject({ result: 'ok' });
    expect(wrongToken.checks.get('token')).toMatchObject({
      result: 'fail',
      advice: expect.stringContaining('tendril token list'),
    });
    expect(wrongToken.exitCode).toBe(1);

    await chmod(join(site.directory, 'config.yaml'), 0o644);
    expect((await doctor('--context', 'root')).checks.get('config')).toMatchObject({ result: 'warn' });
    await chmod(join(site.directory, 'config.yaml'), 0o600);

    await site.root.stop();
    const alone = await doctor('--context', 'root');
    expect(alone.checks.get('reach')).toMatchObject({ result: 'fail', finding: expect.stringContaining('cannot be reached') });
    expect(alone.exitCode).toBe(1);
    const orphan = await site.until(
      'the cluster has noticed',
      async () => {
        const found = await doctor('--context', 'garching');
        return found.checks.has('parent') && found;
      },
      10_000,
    );
    expect(orphan.checks.get('parent')).toMatchObject({ result: 'warn', finding: expect.stringContaining('is not connected') });
    expect(orphan.exitCode).toBe(0);
    await site.root.start();
    await site.until(
      'all is well again',
      async () => {
        const { clusters, nodes } = await site.api('root').status();
        return clusters.connected === 1 && nodes.connected === 1;
      },
      15_000,
    );
  });

  async function caFile(): Promise<string> {
    const path = join(site.directory, 'ca.pem');
    await writeFile(path, await readFile(join(site.directory, 'root', 'documents', 'ca.pem')));
    return path;
  }
});

test('/metrics is what Prometheus reads, and counts right', async () => {
  await site.apply('root', 'counted', { replicas: 3 });
  await site.running('root', 'counted', 3);
  const answer = await get('/metrics');
  expect(answer.type).toContain('text/plain; version=0.0.4');
  const values = new Map<string, number>();
  for (const line of answer.text.trimEnd().split('\n')) {
    if (line.startsWith('#')) {
      expect(line).toMatch(/^# (HELP \w+ .+|TYPE \w+ (gauge|counter|histogram|summary))$/);
      continue;
    }
    const [, name = '', value = ''] = /^(\w+(?:\{(?:\w+="[^"]*",?)+\})?) (\S+)$/.exec(line) ?? [];
    expect(Number(value), line).not.toBeNaN();
    values.set(name, Number(value));
  }
  expect(values.get('tendril_services')).toBe(1);
  expect(values.get('tendril_instances_wanted')).toBe(3);
  for (const state of INSTANCE_STATES)
    expect(values.get(`tendril_instances{state="${state}"}`)).toBe(state === 'RUNNING' ? 3 : 0);
  expect(values.get('tendril_children{kind="node",state="ready"}')).toBe(1);
  expect(values.get('tendril_children{kind="cluster",state="ready"}')).toBe(1);
  for (const name of ['process_resident_memory_bytes', 'tendril_log_index', 'tendril_uplink_bytes_received_total'])
    expect(values.get(name)).toBeGreaterThan(0);
  await site.remove('root', 'counted');
});
