import { PassThrough, Readable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { VirtualClock } from '../adapters/memory/clock.ts';
import {
  type ApiRig,
  begin,
  call,
  EventReader,
  eventually,
  type RigOptions,
  readText,
  response,
  startApi,
} from './testing/api-rig.ts';

let rig: ApiRig;
afterEach(() => rig.close());

async function start(options: RigOptions = {}): Promise<ApiRig> {
  rig = await startApi(options);
  return rig;
}

async function stream(path: string, headers: Record<string, string> = {}) {
  const outgoing = begin(rig, path, { headers });
  const incoming = response(outgoing);
  outgoing.end();
  return { outgoing, incoming: await incoming, reader: new EventReader(await incoming) };
}

const SSE = { accept: 'text/event-stream' };
const spec = { runtime: 'process', command: ['serve'] };
const web = { apiVersion: 'tendril/v1', kind: 'Service', metadata: { name: 'web' }, spec };

describe('watch', () => {
  test('tells the present state, then synced, then changes', async () => {
    const { backend } = await start();
    backend.putChild('n1', 'node');
    const { reader, incoming } = await stream('/v1/watch');
    expect(incoming.headers['content-type']).toContain('text/event-stream');
    expect(await reader.next()).toMatchObject({ event: 'put', data: { kind: 'child', name: 'n1', view: { state: 'ready' } } });
    expect(await reader.next()).toEqual({ event: 'synced', data: {} });
    await call(rig, '/v1/services/web', { method: 'PUT', body: web });
    expect(await reader.next()).toMatchObject({ event: 'put', data: { kind: 'service', name: 'web', view: { wanted: 1 } } });
    await call(rig, '/v1/services/web', { method: 'DELETE' });
    expect(await reader.next()).toEqual({ event: 'delete', data: { kind: 'service', name: 'web' } });
  });

  test('only the kinds that are asked for', async () => {
    const { backend } = await start();
    backend.putChild('n1', 'node');
    backend.putEvent('started');
    const { reader } = await stream('/v1/watch?kind=event,instance');
    expect(await reader.next()).toMatchObject({ data: { kind: 'event', view: { message: 'started' } } });
    expect(await reader.next()).toMatchObject({ event: 'synced' });
    expect((await call(rig, '/v1/watch?kind=pod')).json.error.details[0].message).toContain('expected some of service');
  });

  test('ends with its client, and with the API', async () => {
    const { backend, api } = await start();
    const first = await stream('/v1/watch');
    const second = await stream('/v1/watch');
    await second.reader.next();
    expect({ listeners: backend.listeners, streams: api.openStreams() }).toEqual({ listeners: 2, streams: 2 });
    first.outgoing.on('error', () => {});
    first.incoming.destroy();
    await eventually(() => backend.listeners === 1 && api.openStreams() === 1);
    await api.close();
    expect(await second.reader.next()).toBeNull();
    expect(backend.listeners).toBe(0);
  });

  test('a bounded number is open at once', async () => {
    await start({ limits: { openStreams: 1 } });
    const { reader } = await stream('/v1/watch');
    await reader.next();
    expect(await call(rig, '/v1/watch')).toMatchObject({ status: 503, json: { error: { code: 'unavailable' } } });
  });

  test('a reader that falls behind gets the last state of each thing, not every one', async () => {
    const { backend } = await start();
    const { reader, incoming } = await stream('/v1/watch');
    await reader.until('synced');
    incoming.pause();
    for (let round = 0; round < 20_000; round++) for (const name of ['n1', 'n2']) backend.putChild(name, 'node');
    backend.putChild('n1', 'node', 'lost');
    backend.putChild('last', 'node');
    let puts = 0;
    let n1: unknown;
    for (;;) {
      const event = await reader.next();
      puts++;
      if (event?.data.name === 'n1') n1 = event.data.view.state;
      if (event?.data.name === 'last') break;
    }
    expect(n1).toBe('lost');
    expect(puts).toBeLessThan(40_000);
  });

  test('a reader that falls too far behind is cut off with a last word', async () => {
    const { backend } = await start({ limits: { watchBacklog: 100 } });
    const { reader, incoming } = await stream('/v1/watch');
    await reader.until('synced');
    incoming.pause();
    for (let i = 0; backend.listeners > 0 && i < 100_000; i++) backend.putChild(`n${i}`, 'node');
    const seen = await reader.until('error');
    expect(seen.at(-1)).toMatchObject({ event: 'error', data: { error: { code: 'slow_reader' } } });
    expect(await reader.next()).toBeNull();
  });

  test('a quiet stream says that it lives', async () => {
    const clock = new VirtualClock();
    await start({ clock, limits: { streamHeartbeatMs: 1_000 } });
    const { reader } = await stream('/v1/watch');
    await reader.until('synced');
    clock.advance(1_000);
    expect(await reader.next()).toEqual({ event: ':' });
    clock.advance(1_000);
    expect(await reader.next()).toEqual({ event: ':' });
  });
});

describe('events', () => {
  test('as a list, after a number', async () => {
    const { backend } = await start();
    for (const message of ['a', 'b', 'c']) backend.putEvent(message);
    const { json } = await call(rig, '/v1/events?after=1');
    expect(json.items.map((event: { message: string }) => event.message)).toEqual(['b', 'c']);
  });

  test('as a stream, resumed after the last id', async () => {
    const { backend } = await start();
    for (const message of ['a', 'b', 'c']) backend.putEvent(message);
    const { reader } = await stream('/v1/events?after=1', { ...SSE, 'last-event-id': '2' });
    expect(await reader.next()).toMatchObject({ event: 'event', id: '3', data: { message: 'c' } });
    backend.putEvent('d');
    expect(await reader.next()).toMatchObject({ id: '4', data: { message: 'd' } });
  });
});

describe('logs', () => {
  test('what there is, and the options pass through', async () => {
    const { backend } = await start();
    backend.logs.set('web-1', ({ follow, tailLines }) => Readable.from([`follow ${follow}\n`, `tail ${tailLines}\n`]));
    const { headers, text } = await call(rig, '/v1/instances/web-1/logs?tail=10');
    expect(headers['content-type']).toContain('text/plain');
    expect(text).toBe('follow false\ntail 10\n');
    expect((await call(rig, '/v1/instances/web-2/logs')).json.error.code).toBe('not_found');
    await eventually(() => rig.api.openStreams() === 0);
  });

  test('followed, the head comes before the first line, and the source ends with the client', async () => {
    const { backend } = await start();
    const source = new PassThrough();
    let aborted = false;
    backend.logs.set('web-1', ({ signal }) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      return source;
    });
    const { incoming, outgoing } = await stream('/v1/instances/web-1/logs?follow=true');
    expect(incoming.statusCode).toBe(200);
    source.write('one\n');
    const lines = incoming.setEncoding('utf8')[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('one\n');
    outgoing.on('error', () => {});
    incoming.destroy();
    await eventually(() => aborted && source.destroyed);
  });

  test('a source that breaks off does not look like an end', async () => {
    const { backend } = await start();
    const source = new PassThrough();
    backend.logs.set('web-1', () => source);
    const { incoming } = await stream('/v1/instances/web-1/logs?follow=true');
    source.write('one\n');
    const text = readText(incoming);
    source.destroy(new Error('the link broke'));
    await expect(text).rejects.toThrow('aborted');
  });
});
