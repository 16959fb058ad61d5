import mqtt, { type IClientOptions } from 'mqtt';
import { afterAll, beforeAll } from 'vitest';
import { MemoryDownlink } from '../../src/adapters/memory/uplink.ts';
import { EmbeddedBroker } from '../../src/adapters/mqtt/embedded-broker.ts';
import { ExternalDownlink } from '../../src/adapters/mqtt/external-downlink.ts';
import { MqttUplink } from '../../src/adapters/mqtt/uplink.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import type { DialOptions } from '../../src/adapters/tls/dial.ts';
import { Prng } from '../../src/core/base/prng.ts';
import { addressesOf } from '../rig/addresses.ts';
import { BrokerPort } from '../rig/broker-port.ts';
import { Certificates } from '../rig/certificates.ts';
import { Mosquitto } from '../rig/mosquitto.ts';
import { TcpProxy } from '../rig/tcp-proxy.ts';
import { describeUplink, describeWire, type UplinkWorld, type WireWorld } from './uplink.ts';

const components = { clock: systemClock, random: new Prng(7), warn: () => undefined };
const CHILDREN = ['n1', 'n2'];

let certificates: Certificates;
const identities = new Map<string, DialOptions>();

beforeAll(async () => {
  certificates = await Certificates.make();
  for (const child of CHILDREN) identities.set(child, await certificates.child(child));
});

function identityOf(child: string): DialOptions {
  const identity = identities.get(child);
  if (!identity) throw new Error(`no certificate for ${child}`);
  return identity;
}

function tlsOf(child: string): IClientOptions {
  const { ca, cert, key } = identityOf(child);
  return { ca: String(ca), cert: String(cert), key: String(key) };
}

/** As any MQTT program would: no code of ours. Resolves when the broker has taken it or has thrown the client out. */
async function say(url: string, child: string, topic: string, payload: string): Promise<void> {
  const client = mqtt.connect(url, { ...tlsOf(child), clientId: child, protocolVersion: 4, reconnectPeriod: 0 });
  await new Promise<void>((resolve) => {
    client.on('error', () => undefined);
    client.on('close', () => resolve());
    client.on('connect', () => client.publish(topic, payload, { qos: 1 }, () => client.end(() => resolve())));
  });
}

async function memoryWorld(): Promise<UplinkWorld> {
  const downlink = new MemoryDownlink({ clock: systemClock, schedule: setImmediate });
  return {
    downlink,
    uplink: (child) => downlink.uplink(child),
    cut: (child) => {
      downlink.cut(child);
      downlink.mend(child);
    },
    stop: async () => undefined,
  };
}

async function wires(port: () => number): Promise<Map<string, TcpProxy>> {
  const proxies = new Map<string, TcpProxy>();
  for (const child of CHILDREN) proxies.set(child, await TcpProxy.open(port));
  return proxies;
}

async function embeddedWorld(): Promise<WireWorld> {
  const broker = new EmbeddedBroker({ warn: () => undefined, keepsName: () => true });
  const port = await BrokerPort.open(broker, certificates);
  const proxies = await wires(() => port.number);
  const url = (child: string): string => `wss://localhost:${proxies.get(child)?.port}/mqtt`;
  return {
    downlink: broker,
    uplink: (name) => new MqttUplink(components, { addresses: addressesOf(url(name)), name, tls: () => identityOf(name) }),
    cut: (child) => proxies.get(child)?.cut(),
    say: (child, topic, payload) => say(url(child), child, topic, payload),
    dropped: () => broker.counters.droppedInvalid,
    async stop() {
      for (const proxy of proxies.values()) await proxy.close();
      await port.close();
    },
  };
}

let mosquitto: Mosquitto;
let orchestrator: DialOptions;

beforeAll(async () => {
  mosquitto = await Mosquitto.start(certificates);
  orchestrator = await certificates.orchestrator();
});

afterAll(() => mosquitto.stop());

async function mosquittoWorld(): Promise<WireWorld> {
  const proxies = await wires(() => mosquitto.port);
  const url = (child: string): string => `mqtts://localhost:${proxies.get(child)?.port}`;
  const downlink = new ExternalDownlink(components, {
    url: `mqtts://localhost:${mosquitto.port}`,
    name: 'root',
    tls: () => orchestrator,
  });
  return {
    downlink,
    uplink: (name) => new MqttUplink(components, { addresses: addressesOf(url(name)), name, tls: () => identityOf(name) }),
    cut: (child) => proxies.get(child)?.cut(),
    say: (child, topic, payload) => say(url(child), child, topic, payload),
    dropped: () => downlink.counters.droppedInvalid,
    async stop() {
      for (const proxy of proxies.values()) await proxy.close();
    },
  };
}

describeUplink('memory', memoryWorld);
describeWire('embedded broker over TLS WebSockets', embeddedWorld);
describeWire('Mosquitto over TLS', mosquittoWorld);
