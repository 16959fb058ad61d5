/**
 * A parent's end of the uplink: an MQTT broker inside the orchestrator, behind `/mqtt` of its TLS port. Who is at
 * the other end has been settled before, by the certificate.
 *
 *  E1. A client whose id is its certificate's name is the node itself: it alone may speak, on its own topics,
 *      and its connection is the link. A second one takes the first one's place, which is told as closed (U2).
 *  E2. Other ids of the same certificate watch: they may listen to the node's topics and say nothing. Ids are
 *      kept apart by certificate, so nobody can take the place of another's client.
 *  E3. What a child says is taken in the order of its arrival, before aedes brings it to watchers (U1, U3).
 *  E4. Who does not read is cut off (limits.uplinkOutgoingBytes); others do not notice (see FanOut).
 *  E5. Nothing outlives a connection: no retained messages, no stored sessions, QoS 1 at most.
 *  E6. When its name has gone to another certificate, a connection that is still open ends before it hears or says
 *      anything more.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Aedes, type AedesPublishPacket, type Client, type ConnectPacket, type PublishPacket, type Subscription } from 'aedes';
import mqttPacket from 'mqtt-packet';
import { type WebSocket, WebSocketServer } from 'ws';
import { limits } from '../../core/base/limits.ts';
import type { Peer } from '../../core/model/membership.ts';
import { type DownMessage, upMessageSchema } from '../../core/model/messages.ts';
import type { Downlink, DownlinkListener } from '../../ports/uplink.ts';
import { ChildOrder } from './child-order.ts';
import { FanOut } from './fan-out.ts';
import { PacketLimit } from './packet-limit.ts';
import { decode, encode, newCounters, type UplinkCounters, type Warn } from './payload.ts';
import { mayListen, parseUpTopic, topicOf } from './topics.ts';
import { streamOf } from './web-socket-stream.ts';

export interface EmbeddedBrokerComponents {
  readonly warn: Warn;
  /** Whether nobody else has the name of this certificate by now: it was removed, and another has joined under its name. */
  readonly keepsName: (peer: Peer) => boolean;
}

/** Room for a topic and MQTT's own bytes around a payload. */
const PACKET_BYTES_MAX = limits.uplinkMessageBytes + 1024;
const CONNECT_TIMEOUT_MS = 10_000;
/** No client may be silent for longer than one and a half of this, in seconds (MQTT 3.1.1, section 3.1.2.10). */
const KEEPALIVE_MAX_S = 600;
/** What a child that is disconnected may take to accept what was sent before. */
const LAST_WORD_MS = 1_000;
/** aedes tells other brokers that it lives; there are none, but it cannot be asked not to. */
const AEDES_HEARTBEAT_MS = 86_400_000;

type Refusal = (error?: Error | null) => void;

export class EmbeddedBroker implements Downlink {
  readonly counters: UplinkCounters = newCounters();
  readonly #warn: Warn;
  readonly #keepsName: EmbeddedBrokerComponents['keepsName'];
  #sockets = newSocketServer();
  readonly #peers = new WeakMap<Client, Peer>();
  readonly #connections = new Map<string, number>();
  /** The nodes' own connections, by name (E1). */
  readonly #links = new Map<string, Client>();
  /** The last message to each child that aedes has not written yet. */
  readonly #sending = new Map<string, Promise<void>>();
  readonly #order = new ChildOrder();
  #watchers = 0;
  #aedes: Aedes | null = null;
  #listener: DownlinkListener | null = null;

  constructor(components: EmbeddedBrokerComponents) {
    this.#warn = components.warn;
    this.#keepsName = components.keepsName;
  }

  async open(listener: DownlinkListener): Promise<void> {
    // The codec's table of all 65,536 numbers as buffers costs 18 MB, to save some allocations a message.
    mqttPacket.writeToStream.cacheNumbers = false;
    this.#listener = listener;
    this.#sockets = newSocketServer();
    const aedes = await Aedes.createBroker({
      mq: new FanOut(),
      concurrency: 0,
      // A slow link that moves on is not cut for being slow: E4 and MQTT's keepalive find those that do not.
      drainTimeout: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      keepaliveLimit: KEEPALIVE_MAX_S,
      heartbeatInterval: AEDES_HEARTBEAT_MS,
      maxClientsIdLength: 256,
      preConnect: (client, packet, done) => this.#connecting(client, packet, done),
      authorizePublish: (client, packet, done) => this.#publishing(client, packet, done),
      authorizeSubscribe: (client, subscription, done) => this.#subscribing(client, subscription, done),
      authorizeForward: (client, packet) => this.#forwarding(client, packet),
    });
    aedes.on('client', (client) => this.#registered(client));
    aedes.on('clientDisconnect', (client) => this.#disconnected(client));
    const failed = (client: Client, error: Error): void =>
      this.#warn('An MQTT client was cut off', {
        child: this.#peers.get(client)?.name ?? '',
        client: client.id ?? '',
        reason: error.message,
      });
    aedes.on('clientError', failed);
    aedes.on('connectionError', failed);
    this.#aedes = aedes;
  }

  /** Takes over an upgrade request whose TLS peer is `peer`. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, peer: Peer): void {
    const aedes = this.#aedes;
    const open = this.#connections.get(peer.name) ?? 0;
    if (aedes === null || open > limits.uplinkWatchers) {
      this.#warn('An MQTT connection was refused', { child: peer.name, open });
      const status = aedes === null ? '503 Service Unavailable' : '429 Too Many Requests';
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#attach(aedes, webSocket, request, peer));
  }

  send(child: string, message: DownMessage): void {
    if (this.#aedes === null || !this.#order.isOpen(child)) return;
    const payload = encode(message, this.counters);
    if (payload === null) {
      this.#warn('A message to a child is too large to be sent', { child, type: message.type });
      return;
    }
    const packet = { cmd: 'publish', topic: topicOf(child, message.type), payload, qos: 1, retain: false, dup: false } as const;
    const sent = new Promise<void>((resolve) => this.#aedes?.publish(packet, () => resolve()));
    this.#sending.set(child, sent);
    void sent.then(() => {
      if (this.#sending.get(child) === sent) this.#sending.delete(child);
    });
  }

  /** What was sent before goes out before: a child that is removed hears what it shall stop. */
  disconnect(child: string): void {
    const link = this.#links.get(child);
    if (!link) return;
    const patience = delay(LAST_WORD_MS, undefined, { ref: false });
    void Promise.race([this.#sending.get(child), patience]).then(() => link.close());
  }

  async close(): Promise<void> {
    const aedes = this.#aedes;
    this.#aedes = null;
    this.#listener = null;
    if (aedes === null) return;
    const closed = new Promise<void>((resolve) => aedes.close(resolve));
    await Promise.race([closed, delay(LAST_WORD_MS, undefined, { ref: false })]);
    // Whoever is behind a link that was cut takes no part in its end, and must not keep this one from serving again.
    for (const webSocket of this.#sockets.clients) webSocket.terminate();
    await closed;
    this.#sockets.close();
    for (const child of this.#order.endAll()) this.#links.delete(child);
  }

  #attach(aedes: Aedes, webSocket: WebSocket, request: IncomingMessage, peer: Peer): void {
    const { name } = peer;
    this.#connections.set(name, (this.#connections.get(name) ?? 0) + 1);
    webSocket.once('close', () => {
      const rest = (this.#connections.get(name) ?? 1) - 1;
      if (rest === 0) this.#connections.delete(name);
      else this.#connections.set(name, rest);
    });
    const packetLimit = new PacketLimit(PACKET_BYTES_MAX);
    webSocket.on('message', (data: Buffer) => {
      if (packetLimit.passes(data)) return;
      this.#warn('An MQTT client was cut off', { child: name, reason: `a packet of more than ${PACKET_BYTES_MAX} bytes` });
      webSocket.terminate();
    });
    this.#peers.set(aedes.handle(streamOf(webSocket), request), peer);
  }

  #peerOf(client: Client | null): Peer | undefined {
    return client ? this.#peers.get(client) : undefined;
  }

  /** The name of the node whose own connection this is. */
  #speakerOf(client: Client | null): string | null {
    const peer = this.#peerOf(client);
    return peer !== undefined && peer.name === client?.id ? peer.name : null;
  }

  #connecting(client: Client, packet: ConnectPacket, done: (error: Error | null, success: boolean) => void): void {
    const peer = this.#peerOf(client);
    if (peer === undefined) {
      done(new Error('nobody has vouched for this connection'), false);
      return;
    }
    packet.clean = true;
    if (packet.clientId !== peer.name) {
      this.#watchers += 1;
      packet.clientId = `${peer.name}/${packet.clientId || this.#watchers}`;
      delete packet.will;
    }
    done(null, true);
  }

  #registered(client: Client): void {
    const name = this.#speakerOf(client);
    if (name === null) return;
    const previous = this.#links.get(name);
    this.#links.set(name, client);
    if (previous && previous !== client) {
      previous.close();
      this.#endSession(name);
    }
  }

  #disconnected(client: Client): void {
    const name = this.#speakerOf(client);
    if (name === null || this.#links.get(name) !== client) return;
    this.#links.delete(name);
    this.#endSession(name);
  }

  #endSession(child: string): void {
    if (this.#order.end(child)) this.#listener?.closed(child);
  }

  #publishing(client: Client | null, packet: PublishPacket, done: Refusal): void {
    const peer = this.#peerOf(client);
    if (peer && !this.#keepsName(peer)) {
      done(new Error('its name belongs to another certificate'));
      return;
    }
    const name = this.#speakerOf(client);
    const target = parseUpTopic(packet.topic);
    if (name === null || target?.child !== name || packet.qos > 1) {
      done(new Error(`may not publish on ${packet.topic.slice(0, 128)} with QoS ${packet.qos}`));
      return;
    }
    packet.retain = false;
    if (target.leaf === 'gone' || this.#received(name, target.leaf, packet.payload)) done(null);
    else done(new Error('the session skips a report'));
  }

  /** false: the session is broken. */
  #received(child: string, leaf: 'hello' | 'report', payload: Buffer | string): boolean {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const message = decode(upMessageSchema, leaf, bytes, this.counters, (problem) =>
      this.#warn('A message from a child is not valid', { child, type: leaf, problem }),
    );
    if (message === null) return true;
    const wasOpen = this.#order.isOpen(child);
    const verdict = this.#order.judge(child, message);
    if (verdict === 'begins' && wasOpen) this.#listener?.closed(child);
    if (verdict === 'begins' || verdict === 'follows') this.#listener?.received(child, message);
    return verdict !== 'broken';
  }

  #subscribing(client: Client, wanted: Subscription, done: (error: Error | null, granted?: Subscription | null) => void): void {
    const peer = this.#peerOf(client);
    const allowed = peer !== undefined && mayListen(peer.name, wanted.topic);
    if (wanted.qos > 1) wanted.qos = 1;
    done(null, allowed ? wanted : null);
  }

  #forwarding(client: Client, packet: AedesPublishPacket): AedesPublishPacket | null {
    const peer = this.#peerOf(client);
    if (peer && !this.#keepsName(peer)) {
      client.conn.destroy(new Error('its name belongs to another certificate'));
      return null;
    }
    if (client.conn.writableLength <= limits.uplinkOutgoingBytes) return packet;
    client.conn.destroy(new Error('it does not read what is sent to it'));
    return null;
  }
}

function newSocketServer(): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    clientTracking: true,
    perMessageDeflate: false,
    maxPayload: PACKET_BYTES_MAX,
  });
}
