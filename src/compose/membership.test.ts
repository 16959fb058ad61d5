/** A child's place with an orchestrator of several replicas, which come and go. */
import { once } from 'node:events';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { TlsSite } from '../../test/rig/tls-site.ts';
import { until } from '../../test/rig/until.ts';
import { VirtualClock } from '../adapters/memory/clock.ts';
import { MemoryDisk } from '../adapters/memory/disk.ts';
import { MemoryStore } from '../adapters/memory/store.ts';
import { systemClock } from '../adapters/system-clock/clock.ts';
import { makeAuthority } from '../adapters/tls/authority.ts';
import { refuseUpgrade } from '../adapters/tls/secure-server.ts';
import { silentLogger } from '../ports/logger.ts';
import { readParentUrls } from './documents.ts';
import { join, type Membership, openMembership, type ParentInfo } from './membership.ts';

const DAY_MS = 86_400_000;

let first: TlsSite;
let second: TlsSite;
let disk: MemoryDisk;
let store: MemoryStore;
let clock: VirtualClock;
let parent: ParentInfo;
let membership: Membership;

const open = () => openMembership({ store, clock, logger: silentLogger }, { name: 'n1', parent });
const certificate = () => Buffer.from(disk.content.documents.get('member.pem') ?? []).toString();

beforeEach(async () => {
  const documents = await makeAuthority(Date.now());
  [first, second] = await Promise.all([TlsSite.open({ documents }), TlsSite.open({ documents })]);
  disk = new MemoryDisk(systemClock);
  store = new MemoryStore(disk);
  clock = new VirtualClock(Date.now());
  const wish = { url: first.url, token: first.token(), name: 'n1', kind: 'node' as const, nowMs: Date.now() };
  parent = await join(store, wish);
  // The replicas have one state.
  for (const [name, record] of first.children) second.children.set(name, record);
  membership = await open();
});
afterEach(async () => {
  membership.close();
  await Promise.all([first.close(), second.close()]);
});

it('remembers where the replicas are, and writes only when there are others', async () => {
  const before = disk.syncs;
  membership.link.told?.([second.url, first.url]);
  await until('they are written', async () => (await readParentUrls(store)).length === 2, 5_000);
  expect(await readParentUrls(store)).toEqual([first.url, second.url]);
  membership.link.told?.([first.url, second.url]);
  membership.link.told?.([second.url, first.url]);
  membership.link.told?.([second.url, 'https://third:7443', 'https://[no-host']);
  await until('the third is written', async () => (await readParentUrls(store)).length === 3, 5_000);
  expect(disk.syncs - before).toBe(2);
  membership.close();
  membership = await open();
  expect(membership.parentUrl()).toBe(first.url);
});

it('does not mistake the replicas of another parent for those of its own', async () => {
  membership.link.told?.([second.url, first.url]);
  await until('they are written', async () => (await readParentUrls(store)).length === 2, 5_000);
  const wish = { url: second.url, token: second.token(), name: 'n1', kind: 'node' as const, nowMs: Date.now() };
  second.children.clear();
  await join(store, wish);
  expect(await readParentUrls(store)).toEqual([]);
});

it('has its certificate renewed by whichever replica is there', async () => {
  membership.link.told?.([first.url, second.url]);
  const before = certificate();
  await first.close();
  clock.advance(75 * DAY_MS);
  await until('the certificate is a new one', () => certificate() !== before, 10_000);
});

it('dials a stream back to the replica that takes it', async () => {
  const asked: string[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  first.server.onUpgrade('/v1/streams/', (request, socket) => {
    asked.push(`first ${request.url}`);
    refuseUpgrade(socket, 'not_leading');
  });
  second.server.onUpgrade('/v1/streams/', (request, socket, head) => {
    asked.push(`second ${request.url}`);
    sockets.handleUpgrade(request, socket, head, (webSocket) =>
      createWebSocketStream(webSocket)
        .on('error', () => undefined)
        .write('hello'),
    );
  });
  membership.link.told?.([first.url, second.url]);
  const stream = await membership.dialBack('abcdefghijklmnop');
  expect(String((await once(stream, 'data'))[0])).toBe('hello');
  expect(asked).toEqual(['first /v1/streams/abcdefghijklmnop', 'second /v1/streams/abcdefghijklmnop']);
  stream.destroy();

  await second.close();
  await expect(membership.dialBack('abcdefghijklmnop')).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringContaining(`127.0.0.1:${first.server.port}`),
  });
});
