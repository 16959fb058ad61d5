import mqtt from 'mqtt';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { desired, hello } from '../../../test/conformance/uplink.ts';
import { addressesOf } from '../../../test/rig/addresses.ts';
import { Certificates } from '../../../test/rig/certificates.ts';
import { Heard } from '../../../test/rig/heard.ts';
import { Mosquitto } from '../../../test/rig/mosquitto.ts';
import { TcpProxy } from '../../../test/rig/tcp-proxy.ts';
import { Prng } from '../../core/base/prng.ts';
import { systemClock } from '../system-clock/clock.ts';
import type { DialOptions } from '../tls/dial.ts';
import { ExternalDownlink } from './external-downlink.ts';
import { MqttUplink } from './uplink.ts';

const components = { clock: systemClock, random: new Prng(1), warn: () => undefined };

let certificates: Certificates;
let mosquitto: Mosquitto;
let orchestrator: DialOptions;
let node: DialOptions;
/** Between the orchestrator and the broker. */
let wire: TcpProxy;
let child: Heard<string>;
let parent: Heard<string>;
let uplink: MqttUplink;
const parents: ExternalDownlink[] = [];

beforeEach(async () => {
  certificates = await Certificates.make();
  mosquitto = await Mosquitto.start(certificates);
  orchestrator = await certificates.orchestrator();
  node = await certificates.child('n1');
  wire = await TcpProxy.open(() => mosquitto.port);
  child = new Heard();
  parent = new Heard();
  uplink = new MqttUplink(components, {
    addresses: addressesOf(`mqtts://localhost:${mosquitto.port}`),
    name: 'n1',
    tls: () => node,
  });
  let session = 0;
  uplink.open({
    opened: () => {
      child.push('opened');
      session += 1;
      uplink.send(hello(`s${session}`));
    },
    received: (message) => child.push(message.type),
    closed: (reason) => child.push(reason),
  });
});

afterEach(async () => {
  await uplink.close();
  for (const each of parents.splice(0)) await each.close();
  await wire.close();
  await mosquitto.stop();
});

async function otherNode() {
  const { caPem, certificatePem, keyPem } = await certificates.childIdentity('n2');
  return { ca: caPem, cert: certificatePem, key: keyPem };
}

async function startParent(): Promise<ExternalDownlink> {
  const downlink = new ExternalDownlink(components, {
    url: `mqtts://localhost:${wire.port}`,
    name: 'root',
    tls: () => orchestrator,
  });
  parents.push(downlink);
  await downlink.open({
    received: (name, message) => parent.push(`${name} ${message.type} ${message.session}`),
    closed: (name) => parent.push(`${name} closed`),
  });
  return downlink;
}

it('takes a broker without orchestrator for no link, and says hello when one comes', async () => {
  const downlink = await startParent();
  await parent.until(1);
  expect(child.all.filter((event) => event === 'opened')).toHaveLength(1);
  await downlink.close();
  await child.until(1, (event) => event === 'no orchestrator is at the broker');
  await startParent();
  expect((await parent.until(2)).at(-1)).toBe('n1 hello s2');
});

it('U2: begins anew with every child when the orchestrator loses the broker, however briefly', async () => {
  const downlink = await startParent();
  await parent.until(1);
  wire.cut();
  expect((await parent.until(3)).slice(0, 3)).toEqual(['n1 hello s1', 'n1 closed', 'n1 hello s2']);
  downlink.send('n1', desired('s2', 0));
  await child.until(1, (event) => event === 'desired');
});

it('U2: everybody finds together again when the broker is killed and returns', async () => {
  await startParent();
  await parent.until(1);
  await mosquitto.kill();
  await parent.until(1, (event) => event === 'n1 closed');
  await mosquitto.run();
  await parent.until(2, (event) => event.startsWith('n1 hello'));
});

it('starts without its broker', async () => {
  await mosquitto.kill();
  await startParent();
  await mosquitto.run();
  await parent.until(1, (event) => event.startsWith('n1 hello'));
});

it('lets any MQTT client with the certificate of a node watch that node, and no other', async () => {
  const downlink = await startParent();
  await parent.until(1);
  const { ca, cert, key } = node;
  const tls = { ca: String(ca), cert: String(cert), key: String(key) };
  const watcher = mqtt.connect(`mqtts://localhost:${mosquitto.port}`, { ...tls, clientId: 'watcher-1', protocolVersion: 4 });
  const seen = new Heard<string>();
  watcher.on('message', (topic) => seen.push(topic));
  await watcher.subscribeAsync(['tendril/v1/n1/#', 'tendril/v1/n2/#', 'tendril/v1/+/hello'], { qos: 1 });
  const other = mqtt.connect(`mqtts://localhost:${mosquitto.port}`, {
    ...(await otherNode()),
    clientId: 'n2',
    protocolVersion: 4,
  });
  await other.publishAsync('tendril/v1/n2/hello', JSON.stringify(hello('x')), { qos: 1 });
  await parent.until(1, (event) => event.startsWith('n2 hello'));
  downlink.send('n1', desired('s1', 0));
  expect(await seen.until(1)).toEqual(['tendril/v1/n1/desired']);
  await watcher.endAsync();
  await other.endAsync();
});
