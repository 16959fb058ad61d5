/** A request at the wrong replica, over real TLS on loopback: what arrives at the leader, and what comes back. */
import type { RequestListener } from 'node:http';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { rawRequest } from '../../../test/rig/raw-request.ts';
import { FORWARDED_HEADER, LEADER_HEADER } from '../../core/model/leadership.ts';
import { Authority, makeAuthority } from './authority.ts';
import { makeCertificateRequest, makeKey } from './certificate-request.ts';
import type { ChildIdentity } from './dial.ts';
import { type Leader, LeaderForwarding } from './leader-forwarding.ts';
import { SecureServer } from './secure-server.ts';

let authority: Authority;
const servers: SecureServer[] = [];
const forwardings: LeaderForwarding[] = [];

beforeEach(async () => {
  authority = new Authority(await makeAuthority(Date.now()));
});
afterEach(async () => {
  for (const forwarding of forwardings.splice(0)) forwarding.reset();
  for (const server of servers.splice(0)) await server.close();
});

async function identityOf(id: string): Promise<ChildIdentity> {
  const keyPem = await makeKey();
  const csrPem = makeCertificateRequest(keyPem, id);
  const names = ['localhost', '127.0.0.1'];
  const certificatePem = await authority.signReplica({ csrPem, id, name: id, serverNames: names, nowMs: Date.now() });
  return { caPem: authority.caPem, keyPem, certificatePem };
}

async function open(id: string, request: RequestListener): Promise<Leader> {
  const identity = await identityOf(id);
  const server = new SecureServer({ host: '127.0.0.1', port: 0, identity, request, turnedAway: () => undefined });
  servers.push(server);
  await server.open();
  return { id, name: id, url: `https://127.0.0.1:${server.port}` };
}

/** One that forwards all it gets to the leader that `leader` says. */
async function openFollower(id: string, leader: () => Leader): Promise<Leader> {
  const identity = await identityOf(id);
  const forwarding = new LeaderForwarding(id, () => identity);
  forwardings.push(forwarding);
  return open(id, (request, response) => forwarding.forward(request, response, leader()));
}

const ask = (to: Leader, path: string, init: { method?: string; body?: string; headers?: Record<string, string> } = {}) =>
  rawRequest(`${to.url}${path}`, { method: init.method ?? 'GET', caPem: authority.caPem, token: 'secret', ...init });

it('hands on method, path, body and token, and brings the answer back as it is', async () => {
  const leader = await open('a1', (request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      response.writeHead(418, { 'x-own': 'kept' });
      response.end(JSON.stringify({ ...request.headers, method: request.method, url: request.url, body }));
    });
  });
  const follower = await openFollower('b2', () => leader);
  const answer = await ask(follower, '/v1/apply?dryRun=true', { method: 'POST', body: '{"a":1}' });
  expect(answer.status).toBe(418);
  expect(JSON.parse(answer.text)).toMatchObject({
    ...{ method: 'POST', url: '/v1/apply?dryRun=true', body: '{"a":1}', authorization: 'Bearer secret' },
    [FORWARDED_HEADER]: 'b2',
  });
});

it('goes in no circle, and not far', async () => {
  const places = new Map<string, Leader>();
  const place = (id: string): Leader => {
    const known = places.get(id);
    if (!known) throw new Error(`no ${id}`);
    return known;
  };
  for (const [id, next] of [
    ['a1', 'b2'],
    ['b2', 'a1'],
    ['c3', 'd4'],
    ['d4', 'e5'],
    ['e5', 'a1'],
  ] as const)
    places.set(id, await openFollower(id, () => place(next)));
  for (const id of ['a1', 'c3']) {
    const answer = await ask(place(id), '/v1/status');
    expect([id, answer.status, JSON.parse(answer.text).error.code]).toEqual([id, 503, 'not_leading']);
  }
});

it('says where it turned to when nobody answers there, or somebody else does', async () => {
  const gone = await open('a1', () => undefined);
  await servers.pop()?.close();
  const other = await open('x9', (_, response) => response.end('I am another one'));
  for (const leader of [gone, { ...other, id: 'a1' }]) {
    const follower = await openFollower('b2', () => leader);
    const answer = await ask(follower, '/v1/status');
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.text).error.code).toBe('unavailable');
    expect(answer.headers[LEADER_HEADER]).toBe(leader.url);
  }
});

it('ends what is under way when the leader is another one', async () => {
  let heard: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const leader = await open('a1', () => heard());
  const follower = await openFollower('b2', () => leader);
  const answer = ask(follower, '/v1/status');
  await arrived;
  for (const forwarding of forwardings) forwarding.reset();
  expect((await answer).status).toBe(503);
});
