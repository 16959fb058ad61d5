/** What a stranger, a viewer and a look from outside get to see of a deployment; real processes, real TLS. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Context, loadConfig } from '../../src/cli/context/config-file.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { codeOf, rawRequest } from '../rig/raw-request.ts';

let site: Deployment;
let context: Context;

beforeAll(async () => {
  site = await startDeployment({ clusters: { garching: 1 } });
  const { contexts } = await loadConfig({ env: site.env, home: site.directory });
  const root = contexts.find(({ name }) => name === 'root');
  if (!root) throw new Error('no context root');
  context = root;
});

afterAll(async () => {
  await site?.close();
});

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly id: string;
}

/** Whoever joins has a token for that, and whoever is in a certificate. */
const BY_TOKEN_OR_CERTIFICATE = ['join', 'renew', 'joinReplica', 'renewReplica', 'replicaSecrets', 'moveReplica'];

async function operations(): Promise<Operation[]> {
  const { text } = await rawRequest(`${context.server}/openapi.json`, { caPem: context.caPem, token: context.token });
  const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, { operationId?: string }>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId = '' }]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{\w+\}/g, 'x1').replace('/*', '/x1'),
      id: operationId,
    })),
  );
}

test('a stranger gets health, the CA and the chance to join, and nothing else', async () => {
  const all = await operations();
  expect(all.length).toBeGreaterThan(20);
  const answered: string[] = [];
  for (const { method, path, id } of [...all, { method: 'GET', path: '/v1/nothing-such', id: '' }]) {
    const body = method === 'GET' || method === 'DELETE' ? undefined : '{}';
    const request = { method, caPem: context.caPem, ...(body === undefined ? {} : { body }) };
    const plain = await rawRequest(`${context.server}${path}`, request);
    const wrong = await rawRequest(`${context.server}${path}`, { ...request, token: `${context.token.slice(0, -5)}AAAAA` });
    if (plain.status === 401 && wrong.status === 401) continue;
    answered.push(`${id} ${plain.status} ${codeOf(plain)}`.trim());
  }
  expect(answered.sort()).toEqual(['getCa 200', 'health 200', 'join 400 invalid_request', 'joinReplica 400 invalid_request']);
});

test('no upgrade without a certificate', async () => {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  for (const path of ['/mqtt', '/peer', '/v1/streams/x1']) {
    const answer = await rawRequest(`${context.server}${path}`, { caPem: context.caPem, token: context.token, headers });
    expect([path, answer.status, codeOf(answer)]).toEqual([path, 401, 'certificate_refused']);
  }
});

test('a viewer sees everything and changes nothing', async () => {
  const viewer = await site.token('root', 'viewer');
  const refused: string[] = [];
  for (const { method, path, id } of await operations()) {
    if (BY_TOKEN_OR_CERTIFICATE.includes(id)) continue;
    const reads = method === 'GET';
    const answer = await rawRequest(`${context.server}${path}`, {
      method,
      caPem: context.caPem,
      token: viewer,
      ...(reads || method === 'DELETE' ? {} : { body: '{}' }),
    });
    if (reads) expect([id, answer.status === 401 || answer.status === 403]).toEqual([id, false]);
    else expect([id, answer.status, codeOf(answer)]).toEqual([id, 403, 'forbidden']);
    if (!reads) refused.push(id);
  }
  expect(refused.length).toBeGreaterThan(8);
  const before = await site.api('root').status();
  const denied = await site.cli('--context', 'root', '--token', viewer, 'node', 'remove', 'garching/garching-1');
  expect(denied.exitCode).toBe(4);
  expect(denied.stderr).toContain('error: This token may not do that');
  expect((await site.api('root').status()).log).toEqual(before.log);
});

/** TCP and UDP sockets of this process that take what comes in. */
function openPorts(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  const LISTEN = '0A';
  return ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state = '', , , , , , inode = '']) => inodes.has(inode) && (table.startsWith('udp') || state === LISTEN))
      .map(([, local = '']) => `${table} ${Number.parseInt(local.split(':')[1] ?? '', 16)}`),
  );
}

test('a worker has no open port, an orchestrator exactly one', () => {
  expect(openPorts(site.node('garching-1').pid)).toEqual([]);
  expect(openPorts(site.root.pid)).toEqual([`tcp ${site.root.port}`]);
  expect(openPorts(site.cluster('garching').pid)).toEqual([`tcp ${site.cluster('garching').port}`]);
});

test('TLS 1.2 is refused', async () => {
  const outcome = await new Promise<string>((resolve) => {
    const socket = connect(
      {
        host: '127.0.0.1',
        port: site.root.port ?? 0,
        ca: context.caPem,
        maxVersion: 'TLSv1.2',
        checkServerIdentity: () => undefined,
      },
      () => resolve(`connected with ${socket.getProtocol()}`),
    );
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  expect(outcome).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  await site.until('the root tells of it', () => site.root.log.some(({ msg }) => msg === 'turned away'), 5_000);
});
