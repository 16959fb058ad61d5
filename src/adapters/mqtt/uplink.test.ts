import { createServer } from 'node:net';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { hello } from '../../../test/conformance/uplink.ts';
import { addressesOf } from '../../../test/rig/addresses.ts';
import { BrokerPort } from '../../../test/rig/broker-port.ts';
import { Certificates } from '../../../test/rig/certificates.ts';
import { Heard } from '../../../test/rig/heard.ts';
import { systemClock } from '../system-clock/clock.ts';
import type { DialOptions } from '../tls/dial.ts';
import { EmbeddedBroker } from './embedded-broker.ts';
import { MqttUplink } from './uplink.ts';

let ours: Certificates;
let theirs: Certificates;

beforeAll(async () => {
  ours = await Certificates.make();
  theirs = await Certificates.make();
});

let broker: EmbeddedBroker;
let port: BrokerPort;
let parent: Heard<string>;
const uplinks: MqttUplink[] = [];

beforeEach(async () => {
  parent = new Heard();
  broker = new EmbeddedBroker({ warn: () => undefined, keepsName: () => true });
  await broker.open({
    received: (child, message) => parent.push(`${child} ${message.type}`),
    closed: (child) => parent.push(`${child} closed`),
  });
  port = await BrokerPort.open(broker, ours);
});

afterEach(async () => {
  for (const uplink of uplinks.splice(0)) await uplink.close();
  await broker.close();
  await port.close();
});

function dial(tls: () => DialOptions, url = `wss://localhost:${port.number}/mqtt`) {
  const heard = new Heard<string>();
  const uplink = new MqttUplink({ clock: systemClock, warn: () => undefined }, { addresses: addressesOf(url), name: 'n1', tls });
  uplinks.push(uplink);
  uplink.open({
    opened: () => heard.push('opened'),
    received: (message) => heard.push(message.type),
    closed: (reason) => heard.push(reason),
  });
  return { uplink, heard };
}

it('says that nobody listens, and gets through once somebody does', async () => {
  const free = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => free.once('listening', resolve));
  const { port: number } = free.address() as { port: number };
  await new Promise((resolve) => free.close(resolve));
  const tls = await ours.child('n1');
  const { heard } = dial(() => tls, `wss://localhost:${number}/mqtt`);
  expect((await heard.until(2))[1]).toMatch(/localhost:\d+ cannot be reached: nothing listens there \(ECONNREFUSED\)/);
});

it('says that its certificate is refused', async () => {
  const stranger = { ...(await theirs.child('n1')), ca: ours.caPem };
  const { heard } = dial(() => stranger);
  const [reason] = await heard.until(1);
  expect(reason).toMatch(
    /refused the link with HTTP status 4\d\d|refused this node's certificate|does not accept this certificate/,
  );
  expect(parent.all).toEqual([]);
});

it('says that the other end is not to be trusted', async () => {
  const tls = await theirs.child('n1');
  const { heard } = dial(() => tls);
  expect((await heard.until(1))[0]).toMatch(/certificate of localhost:\d+ is not to be trusted/);
});

it('says that there is no such path', async () => {
  const tls = await ours.child('n1');
  const { heard } = dial(() => tls, `wss://localhost:${port.number}/elsewhere`);
  expect((await heard.until(1))[0]).toMatch(/refused the link with HTTP status 404/);
});

it('dials with the certificate of the day, and says when the parent goes', async () => {
  let identity = { ...(await theirs.child('n1')), ca: ours.caPem };
  const { uplink, heard } = dial(() => identity);
  await heard.until(1);
  identity = { ...(await ours.child('n1')), ca: ours.caPem };
  await heard.until(1, (event) => event === 'opened');
  uplink.send(hello('s1'));
  await parent.until(1);
  await broker.close();
  const after = await heard.until(heard.all.indexOf('opened') + 2);
  expect(after.at(-1)).toMatch(/localhost:\d+ closed the connection/);
});

it('refuses an address that is none', async () => {
  const tls = await ours.child('n1');
  for (const url of ['http://localhost', 'mqtt://localhost:1883', 'localhost:7443', ''])
    expect(() => dial(() => tls, url)).toThrow('is not an address such as');
});

it('counts what goes over it', async () => {
  const tls = await ours.child('n1');
  const { uplink, heard } = dial(() => tls);
  await heard.until(1, (event) => event === 'opened');
  uplink.send(hello('s1'));
  await parent.until(1);
  const bytes = Buffer.byteLength(JSON.stringify(hello('s1')));
  expect(uplink.counters).toEqual({ messagesIn: 0, messagesOut: 1, bytesIn: 0, bytesOut: bytes, droppedInvalid: 0 });
  expect(broker.counters).toEqual({ messagesIn: 1, messagesOut: 0, bytesIn: bytes, bytesOut: 0, droppedInvalid: 0 });
});
