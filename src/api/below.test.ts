import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { VirtualClock } from '../adapters/memory/clock.ts';
import {
  type ApiRig,
  begin,
  call,
  connectCluster,
  connection,
  EventReader,
  eventually,
  response,
  startApi,
} from './testing/api-rig.ts';
import { VIEWER } from './testing/memory-backend.ts';

let root: ApiRig;
let garching: ApiRig;
let room: ApiRig;
let garchingClock: VirtualClock;

/** root > garching > room, each with one node of its own. */
beforeEach(async () => {
  garchingClock = new VirtualClock();
  [root, garching, room] = await Promise.all([
    startApi({ limits: { childAnswerMs: 2_000 } }),
    startApi({ clock: garchingClock }),
    startApi(),
  ]);
  connectCluster(root, 'garching', garching);
  connectCluster(garching, 'room', room);
  root.backend.putChild('n0', 'node');
  garching.backend.putChild('n1', 'node');
  room.backend.putChild('n2', 'node');
});
afterEach(async () => {
  await Promise.all([root.close(), garching.close(), room.close()]);
});

const names = (list: { items: { name: string }[] }) => list.items.map(({ name }) => name);

describe('nodes of clusters', () => {
  test('are listed on request, with the way to them', async () => {
    expect(names((await call(root, '/v1/nodes')).json)).toEqual(['n0']);
    const { json } = await call(root, '/v1/nodes?recursive=true');
    expect(names(json)).toEqual(['n0', 'garching/n1', 'garching/room/n2']);
    expect(json.unanswered).toEqual([]);
  });

  test('a cluster that does not answer is named, and the others are listed', async () => {
    root.backend.putChild('potsdam', 'cluster', 'silent');
    root.backend.putChild('nowhere', 'cluster');
    root.backend.putChild('mute', 'cluster');
    root.backend.dialling.set('mute', () => Promise.resolve(connection()[0]));
    root.backend.putChild('never', 'cluster');
    root.backend.dialling.set('never', () => new Promise(() => {}));
    root.backend.putChild('babbling', 'cluster');
    root.backend.dialling.set('babbling', () => {
      const [near, far] = connection();
      far.end('SSH-2.0-OpenSSH\r\n');
      return Promise.resolve(near);
    });
    const { status, json } = await call(root, '/v1/nodes?recursive=true');
    expect(status).toBe(200);
    expect(names(json)).toEqual(['n0', 'garching/n1', 'garching/room/n2']);
    expect(json.unanswered.map(({ cluster }: { cluster: string }) => cluster).sort()).toEqual([
      'babbling',
      'mute',
      'never',
      'nowhere',
      'potsdam',
    ]);
  });

  test('one further down that is silent does not silence those between', async () => {
    garching.backend.dialling.set('room', () => {
      setImmediate(() => garchingClock.advance(10_000));
      return new Promise(() => {});
    });
    const { json } = await call(root, '/v1/nodes?recursive=true');
    expect(names(json)).toEqual(['n0', 'garching/n1']);
    expect(json.unanswered).toEqual([{ cluster: 'garching/room', reason: expect.stringContaining('did not answer within') }]);
  });

  test('one is read and changed through its cluster', async () => {
    expect((await call(root, '/v1/nodes/garching%2Froom%2Fn2')).json.name).toBe('garching/room/n2');
    const cordoned = await call(root, '/v1/nodes/garching%2Fn1/cordon', { body: { cordoned: true } });
    expect(cordoned.json).toEqual({ effect: 'changed', name: 'garching/n1' });
    expect(garching.backend.child('n1')?.state).toBe('cordoned');
    expect((await call(root, '/v1/nodes/garching%2Fn1', { method: 'DELETE' })).json).toEqual({
      effect: 'deleted',
      name: 'garching/n1',
    });
    expect(await call(root, '/v1/nodes/garching%2Fn9')).toMatchObject({
      status: 404,
      json: { error: { code: 'not_found', message: 'There is no such thing: node n9' } },
    });
    expect((await call(root, '/v1/nodes/elsewhere%2Fn9')).json.error.message).toContain('cluster elsewhere');
    const refused = await call(root, '/v1/nodes/garching%2Fn1/drain', { token: VIEWER, body: { draining: true } });
    expect(refused.status).toBe(403);
  });
});

describe("a cluster's own API", () => {
  const service = {
    apiVersion: 'tendril/v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { runtime: 'process', command: ['x'] },
  };

  test('reads and writes pass through, errors too', async () => {
    const put = await call(root, '/v1/clusters/garching/api/clusters/room/api/services/web', { method: 'PUT', body: service });
    expect(put.json).toEqual({ effect: 'created', name: 'web' });
    expect(room.backend.service('web')?.wanted).toBe(1);
    expect((await call(root, '/v1/clusters/garching/api/services/web')).status).toBe(404);
    const bad = await call(root, '/v1/clusters/garching/api/services/web/scale', { body: { replicas: 'x' } });
    expect(bad.json.error.details[0].field).toBe('replicas');
    expect((await call(root, '/v1/clusters/garching/api/instances?service=web')).json).toEqual({ items: [] });
    expect((await call(root, '/v1/clusters/berlin/api/services')).status).toBe(404);
  });

  test('a viewer reads there and writes not', async () => {
    expect((await call(root, '/v1/clusters/garching/api/status', { token: VIEWER })).status).toBe(200);
    const write = { token: VIEWER, body: { replicas: 3 } };
    expect((await call(root, '/v1/clusters/garching/api/services/web/scale', write)).json.error.code).toBe('forbidden');
    expect((await call(root, '/v1/clusters/garching/api/status', { token: null })).status).toBe(401);
  });

  test('a body that is too large is refused here', async () => {
    const body = 'x'.repeat(2 * 1024 * 1024);
    const { status, json } = await call(root, '/v1/clusters/garching/api/apply', { method: 'POST', body });
    expect({ status, code: json.error.code }).toEqual({ status: 413, code: 'too_large' });
  });

  test('streams pass through and end with the client, all the way down', async () => {
    const outgoing = begin(root, '/v1/clusters/garching/api/clusters/room/api/watch');
    const answered = response(outgoing);
    outgoing.end();
    const incoming = await answered;
    const reader = new EventReader(incoming);
    await reader.until('synced');
    room.backend.putChild('n3', 'node');
    expect(await reader.next()).toMatchObject({ event: 'put', data: { name: 'n3' } });
    outgoing.on('error', () => {});
    incoming.destroy();
    await eventually(() => room.backend.listeners === 0 && [root, garching, room].every(({ api }) => api.openStreams() === 0));
  });

  test('logs of a cluster that goes away break off', async () => {
    const source = new PassThrough();
    garching.backend.logs.set('web-1', () => source);
    const outgoing = begin(root, '/v1/clusters/garching/api/instances/web-1/logs?follow=true');
    const answered = response(outgoing);
    outgoing.end();
    const incoming = await answered;
    const lines = incoming.setEncoding('utf8')[Symbol.asyncIterator]();
    source.write('one\n');
    expect((await lines.next()).value).toBe('one\n');
    await garching.close();
    await expect(lines.next()).rejects.toThrow('aborted');
  });

  test('a silent one is given up', async () => {
    root.backend.putChild('mute', 'cluster');
    root.backend.dialling.set('mute', () => Promise.resolve(connection()[0]));
    expect(await call(root, '/v1/clusters/mute/api/status')).toMatchObject({
      status: 502,
      json: { error: { code: 'unreachable' } },
    });
  });
});
