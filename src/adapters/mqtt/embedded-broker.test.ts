import { connect as connectTls } from 'node:tls';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { desired, hello, report } from '../../../test/conformance/uplink.ts';
import { addressesOf } from '../../../test/rig/addresses.ts';
import { BrokerPort } from '../../../test/rig/broker-port.ts';
import { Certificates } from '../../../test/rig/certificates.ts';
import { Heard } from '../../../test/rig/heard.ts';
import { TcpProxy } from '../../../test/rig/tcp-proxy.ts';
import { limits } from '../../core/base/limits.ts';
import { systemClock } from '../system-clock/clock.ts';
import type { ChildIdentity } from '../tls/dial.ts';
import { dialOptions } from '../tls/dial.ts';
import { certificateFingerprint } from '../tls/fingerprint.ts';
import { EmbeddedBroker } from './embedded-broker.ts';
import { MqttUplink } from './uplink.ts';

let certificates: Certificates;
let n1: ChildIdentity;
let n2: ChildIdentity;

beforeAll(async () => {
  certificates = await Certificates.make();
  n1 = await certificates.childIdentity('n1');
  n2 = await certificates.childIdentity('n2');
});

let broker: EmbeddedBroker;
let port: BrokerPort;
let parent: Heard<string>;
let warnings: Heard<string>;
/** The certificate whose name has gone to another. */
let replaced: string | null;
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  parent = new Heard();
  warnings = new Heard();
  replaced = null;
  broker = new EmbeddedBroker({
    warn: (message, details) => warnings.push(`${message}: ${JSON.stringify(details)}`),
    keepsName: (peer) => peer.certificateFingerprint !== replaced,
  });
  await serve();
  port = await BrokerPort.open(broker, certificates);
});

function serve(): Promise<void> {
  return broker.open({
    received: (child, message) => parent.push(`${child} ${message.type} ${message.session}`),
    closed: (child) => parent.push(`${child} closed`),
  });
}

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await broker.close();
  await port.close();
});

function tlsOf({ caPem, certificatePem, keyPem }: ChildIdentity): Pick<IClientOptions, 'ca' | 'cert' | 'key'> {
  return { ca: caPem, cert: certificatePem, key: keyPem };
}

/** Any MQTT client; nothing of ours. */
async function plainClient(identity: ChildIdentity, clientId: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = mqtt.connect(`wss://localhost:${port.number}/mqtt`, {
    ...tlsOf(identity),
    clientId,
    protocolVersion: 4,
    reconnectPeriod: 0,
    ...options,
  });
  closers.push(() => client.endAsync(true));
  client.on('error', () => undefined);
  await new Promise((resolve) => client.once('connect', resolve));
  return client;
}

function closing(client: MqttClient): Promise<void> {
  return new Promise((resolve) => {
    client.once('close', resolve);
  });
}

async function node(identity: ChildIdentity, name: string, at: number = port.number, keepaliveS?: number) {
  const heard = new Heard<string>();
  const uplink = new MqttUplink(
    { clock: systemClock, warn: () => undefined },
    { addresses: addressesOf(`https://localhost:${at}`), name, tls: () => dialOptions(identity), keepaliveS },
  );
  closers.push(() => uplink.close());
  uplink.open({
    opened: () => heard.push('opened'),
    received: (message) => heard.push(message.type),
    closed: (reason) => heard.push(`closed: ${reason}`),
  });
  await heard.until(1, (event) => event === 'opened');
  return { uplink, heard };
}

it('lets any MQTT client with the certificate of a node watch it, and see what is said both ways', async () => {
  const watcher = await plainClient(n1, 'someone-curious');
  const seen = new Heard<string>();
  watcher.on('message', (topic, payload) => seen.push(`${topic} ${payload}`));
  await watcher.subscribeAsync('tendril/v1/n1/#', { qos: 1 });
  const { uplink } = await node(n1, 'n1');
  uplink.send(hello('s1'));
  await parent.until(1);
  uplink.send(report('s1', 1));
  broker.send('n1', desired('s1', 0));
  await seen.until(3);
  await uplink.close();
  expect((await seen.until(4)).sort()).toEqual([
    `tendril/v1/n1/desired ${JSON.stringify(desired('s1', 0))}`,
    'tendril/v1/n1/gone {}',
    `tendril/v1/n1/hello ${JSON.stringify(hello('s1'))}`,
    `tendril/v1/n1/report ${JSON.stringify(report('s1', 1))}`,
  ]);
});

it('refuses to let a certificate listen to others', async () => {
  const watcher = await plainClient(n1, 'someone-curious');
  for (const filter of [
    '#',
    'tendril/#',
    'tendril/v1/+/hello',
    'tendril/v1/n2/#',
    'tendril/v1/n2/hello',
    '$SYS/#',
    'tendril/v1/n1x/#',
  ])
    await expect(watcher.subscribeAsync(filter), filter).rejects.toThrow();
});

it('cuts off a watcher that speaks, and the node does not notice', async () => {
  const own = await node(n1, 'n1');
  own.uplink.send(hello('s1'));
  await parent.until(1);
  const watcher = await plainClient(n1, 'watcher');
  const closed = closing(watcher);
  watcher.publish('tendril/v1/n1/report', JSON.stringify(report('s1', 1)));
  await closed;
  own.uplink.send(report('s1', 1));
  expect(await parent.until(2)).toEqual(['n1 hello s1', 'n1 report s1']);
  expect(own.heard.all).toEqual(['opened']);
});

it('keeps client ids apart by certificate: nobody takes the place of another', async () => {
  const own = await node(n1, 'n1');
  own.uplink.send(hello('s1'));
  await parent.until(1);
  const thief = await plainClient(n2, 'n1');
  const closed = closing(thief);
  thief.publish('tendril/v1/n1/hello', JSON.stringify(hello('stolen')), { qos: 1 });
  await closed;
  own.uplink.send(report('s1', 1));
  expect(await parent.until(2)).toEqual(['n1 hello s1', 'n1 report s1']);
  expect(own.heard.all).toEqual(['opened']);
});

it('U2: gives the link to a second connection of the node, and tells of the end of the first', async () => {
  const first = await node(n1, 'n1');
  first.uplink.send(hello('s1'));
  await parent.until(1);
  const second = await plainClient(n1, 'n1');
  await parent.until(2);
  second.publish('tendril/v1/n1/hello', JSON.stringify(hello('s2')), { qos: 1 });
  expect((await parent.until(3)).slice(0, 3)).toEqual(['n1 hello s1', 'n1 closed', 'n1 hello s2']);
});

it('E5: stores nothing: what is to be retained is gone for those who come later', async () => {
  const own = await plainClient(n1, 'n1', { clean: false });
  await own.publishAsync('tendril/v1/n1/hello', JSON.stringify(hello('s1')), { qos: 1, retain: true });
  const late = await plainClient(n1, 'late');
  const seen = new Heard<string>();
  late.on('message', (topic) => seen.push(topic));
  await late.subscribeAsync('tendril/v1/n1/#', { qos: 1 });
  await own.publishAsync('tendril/v1/n1/report', JSON.stringify(report('s1', 1)), { qos: 1 });
  expect(await seen.until(1)).toEqual(['tendril/v1/n1/report']);
});

it('E6: ends what a removed node has left open once another has joined under its name', async () => {
  const left = await plainClient(n1, 'n1');
  const watcher = await plainClient(n1, 'watcher');
  const overheard = new Heard<string>();
  watcher.on('message', (topic) => overheard.push(topic));
  await watcher.subscribeAsync('tendril/v1/n1/#', { qos: 1 });
  replaced = certificateFingerprint(n1.certificatePem);
  const ended = [closing(left), closing(watcher)];
  left.publish('tendril/v1/n1/hello', JSON.stringify(hello('stolen')), { qos: 1 });
  await ended[0];
  const { uplink, heard } = await node(await certificates.childIdentity('n1'), 'n1');
  uplink.send(hello('s1'));
  expect(await parent.until(1)).toEqual(['n1 hello s1']);
  broker.send('n1', desired('s1', 0));
  await heard.until(1, (event) => event === 'desired');
  await ended[1];
  expect(overheard.all).toEqual([]);
});

it('refuses subscriptions that a client makes up: any number of them would take any room', async () => {
  const watcher = await plainClient(n1, 'watcher');
  for (const filter of ['tendril/v1/n1/made-up', 'tendril/v1/n1/report/#', 'tendril/v1/n1/+/+'])
    await expect(watcher.subscribeAsync(filter), filter).rejects.toThrow();
  expect(await watcher.subscribeAsync('tendril/v1/n1/+', { qos: 1 })).toMatchObject([{ qos: 1 }]);
});

it('limits the connections of one certificate, not of others', async () => {
  for (let at = 0; at <= limits.uplinkWatchers; at++) await plainClient(n1, `watcher-${at}`);
  const refused = new WebSocket(`wss://localhost:${port.number}/mqtt`, ['mqtt'], tlsOf(n1));
  const error = await new Promise<Error>((resolve) => {
    refused.once('error', resolve);
  });
  expect(error.message).toContain('429');
  await node(n2, 'n2');
});

it('E4: cuts off who does not read, while the node it watches goes on', async () => {
  const own = await node(n1, 'n1');
  own.uplink.send(hello('s1'));
  await parent.until(1);
  const deaf = await plainClient(n1, 'deaf');
  await deaf.subscribeAsync('tendril/v1/n1/desired', { qos: 1 });
  const closed = warnings.until(1, (text) => text.includes('does not read'));
  deaf.stream.unpipe();
  deaf.stream.pause();
  const many = Array.from({ length: 30_000 }, (_, at) => `instance-with-a-long-name-${at}`);
  let sent = 0;
  for (let cut = false; !cut; sent++) {
    broker.send('n1', desired('s1', sent, many));
    await own.heard.until(sent + 1, (event) => event === 'desired');
    own.uplink.send(report('s1', sent + 1));
    await parent.until(sent + 2);
    cut = warnings.all.some((text) => text.includes('does not read'));
    expect(sent).toBeLessThan(200);
  }
  await closed;
  expect(own.heard.all.some((event) => event.startsWith('closed'))).toBe(false);
});

it('cuts off who announces a packet beyond the limit, before it is collected', async () => {
  const webSocket = new WebSocket(`wss://localhost:${port.number}/mqtt`, ['mqtt'], tlsOf(n1));
  await new Promise((resolve) => webSocket.once('open', resolve));
  const closed = new Promise((resolve) => webSocket.once('close', resolve));
  webSocket.send(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0]));
  await closed;
  expect(warnings.all.join()).toContain('a packet of more than');
});

it('notices at both ends when a network swallows everything', async () => {
  const proxy = await TcpProxy.open(() => port.number);
  closers.push(() => proxy.close());
  const own = await node(n1, 'n1', proxy.port, 1);
  own.uplink.send(hello('s1'));
  await parent.until(1);
  proxy.silence();
  await parent.until(1, (event) => event === 'n1 closed');
  const [closed] = await own.heard.until(1, (event) => event.startsWith('closed'));
  expect(closed).toContain('stopped answering');
  await own.heard.until(2, (event) => event === 'opened');
});

it('ends, and serves again, also where a network swallows the end of its links', async () => {
  const proxy = await TcpProxy.open(() => port.number);
  closers.push(() => proxy.close());
  const cutOff = await node(n1, 'n1', proxy.port);
  cutOff.uplink.send(hello('s1'));
  await parent.until(1);
  proxy.silence();
  await broker.close();
  await serve();
  const { uplink } = await node(n1, 'n1');
  uplink.send(hello('s2'));
  await parent.until(1, (event) => event.includes('s2'));
}, 10_000);

it('survives noise instead of MQTT', async () => {
  const own = await node(n1, 'n1');
  for (const noise of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(64, 0xff),
    Buffer.from([0x30, 0x02, 0, 0]),
    Buffer.from([0xe0, 0]),
  ]) {
    const webSocket = new WebSocket(`wss://localhost:${port.number}/mqtt`, ['mqtt'], tlsOf(n1));
    await new Promise((resolve) => webSocket.once('open', resolve));
    const closed = new Promise((resolve) => webSocket.once('close', resolve));
    webSocket.send(noise);
    await closed;
  }
  const socket = connectTls({ ...dialOptions(n1), host: 'localhost', port: port.number });
  socket.end('GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await new Promise((resolve) => socket.resume().once('close', resolve));
  own.uplink.send(hello('s1'));
  await parent.until(1);
});
