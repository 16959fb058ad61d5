/** Links through a broker of the operator's own (docs/external-broker.md), and a watcher on the embedded one (docs/uplink.md). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { dialOptions } from '../../src/adapters/tls/dial.ts';
import { upMessageSchema } from '../../src/core/model/messages.ts';
import { Certificates } from '../rig/certificates.ts';
import { type Deployment, startDeployment } from '../rig/deployment.ts';
import { Heard } from '../rig/heard.ts';
import { Mosquitto } from '../rig/mosquitto.ts';
import { TendrilProcess } from '../rig/tendril-process.ts';

let site: Deployment;
let mosquitto: Mosquitto | null = null;

afterEach(async () => {
  await site?.close();
  await mosquitto?.stop();
  mosquitto = null;
});

function document(node: string, name: string): Promise<string> {
  return readFile(join(site.directory, node, 'documents', name), 'utf8');
}

test('a cluster on Mosquitto: deploys, replaces what a killed node had, and outlives the broker', async () => {
  site = await startDeployment();
  const { port } = await site.addOrchestrator('garching', 'root', false);
  await site.cluster('garching').stop();
  const caPem = await document('garching', 'ca.pem');
  const { stdout: caKeyPem } = await site.cli('authority', 'key', '--data-dir', join(site.directory, 'garching'));
  const broker = await Mosquitto.start(Certificates.of({ caPem, caKeyPem }));
  mosquitto = broker;
  const garching = new TendrilProcess({
    name: 'garching',
    directory: join(site.directory, 'garching'),
    port,
    link: null,
    firstFlags: [],
    flags: ['--no-worker', '--broker', `mqtts://localhost:${broker.port}`],
    env: site.env,
  });
  site.processes.set('garching', garching);
  await garching.start();
  for (const name of ['garching-1', 'garching-2']) await site.addNode(name, 'garching');

  await site.apply('root', 'steady', { replicas: 2, disconnect: { lostAfter: '1s' } });
  const placed = await site.running('root', 'steady', 2);
  const victim = placed[0]?.node === 'garching/garching-1' ? 'garching-1' : 'garching-2';
  const survivor = victim === 'garching-1' ? 'garching-2' : 'garching-1';
  expect(broker.lines.filter((line) => / as garching-\d .*u'garching-\d'/.test(line))).toHaveLength(2);

  await site.node(victim).powerCut();
  await site.until(
    `both run on ${survivor}`,
    async () => {
      const found = await site.api('root').instances('steady');
      return found.filter(({ state, node }) => state === 'RUNNING' && node === `garching/${survivor}`).length === 2;
    },
    15_000,
  );
  await site.node(victim).start();
  const connected = (count: number) =>
    site.until(
      `${count} nodes are connected`,
      async () => (await site.api('garching').status()).nodes.connected === count,
      15_000,
    );
  await connected(2);
  const before = (await site.running('root', 'steady', 2)).map(({ id, restarts }) => [id, restarts]);
  // What the victim took up again by itself has a successor, and stops.
  const processes = await site.until(
    'nothing runs twice',
    () => site.instanceProcesses().length === 2 && site.instanceProcesses(),
    15_000,
  );

  await broker.kill();
  await connected(0);
  expect(site.instanceProcesses()).toEqual(processes);
  await broker.run();
  await connected(2);
  expect((await site.running('root', 'steady', 2)).map(({ id, restarts }) => [id, restarts])).toEqual(before);
  expect(site.instanceProcesses()).toEqual(processes);
  await site.api('root').scale('steady', 3);
  await site.running('root', 'steady', 3);
});

interface Message {
  readonly topic: string;
  readonly payload: unknown;
}

async function watcher(node: string, clientId: string): Promise<{ client: MqttClient; heard: Heard<Message> }> {
  const [caPem, certificatePem, keyPem] = await Promise.all([
    document(node, 'parent-ca.pem'),
    document(node, 'member.pem'),
    document(node, 'member-key.pem'),
  ]);
  // The types of mqtt do not know all that Node's TLS takes, and it takes.
  const tls = dialOptions({ caPem, certificatePem, keyPem }) as IClientOptions;
  const client = await connectAsync(`wss://127.0.0.1:${site.root.port}/mqtt`, {
    ...tls,
    wsOptions: tls as object,
    clientId,
    protocolVersion: 4,
    reconnectPeriod: 0,
  });
  const heard = new Heard<Message>();
  client.on('message', (topic, payload) => heard.push({ topic, payload: JSON.parse(payload.toString()) }));
  return { client, heard };
}

test('any MQTT client with the certificate of a node can watch it, and only it, and cannot speak for it', async () => {
  site = await startDeployment({ nodes: 2 });
  const { client, heard } = await watcher('root-1', 'watcher-1');
  expect(await client.subscribeAsync('tendril/v1/root-1/#', { qos: 1 })).toMatchObject([{ qos: 1 }]);
  const granted: unknown[] = [];
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'suback') granted.push(...packet.granted);
  });
  await expect(client.subscribeAsync('tendril/v1/root-2/#')).rejects.toThrow();
  expect(granted).toEqual([128]);

  await site.apply('root', 'steady', { placement: { node: 'root-1' } });
  const [instance] = await site.running('root', 'steady', 1);
  await heard.until(
    1,
    ({ topic, payload }) => topic.endsWith('/desired') && JSON.stringify(payload).includes(`"${instance?.id}"`),
  );
  const [report] = await heard.until(
    1,
    ({ topic, payload }) => topic.endsWith('/report') && JSON.stringify(payload).includes('"RUNNING"'),
  );
  expect(upMessageSchema.safeParse(report?.payload).success).toBe(true);
  expect(heard.all.every(({ topic }) => topic.startsWith('tendril/v1/root-1/'))).toBe(true);

  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  client.publish('tendril/v1/root-1/gone', '{}');
  await closed;
  await client.endAsync(true);
  const { client: again, heard: since } = await watcher('root-1', 'watcher-2');
  await again.subscribeAsync('tendril/v1/root-1/report', { qos: 1 });
  await since.until(1);
  await again.endAsync(true);
  expect((await site.api('root').child('node', 'root-1')).state).toBe('ready');
  expect(site.node('root-1').log.filter(({ connected }) => connected === false)).toEqual([]);
});
