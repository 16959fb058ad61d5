/**
 * A child's end of the uplink, over MQTT: to the broker inside that replica of its orchestrator which leads
 * (`https://`), or to one that the operator runs (`mqtts://`). An orchestrator's own broker is there exactly when the
 * orchestrator is; with another one the link counts as open only while the orchestrator has said that it listens.
 */
import * as z from 'zod/mini';
import type { Addresses } from '../../core/base/addresses.ts';
import { type DownMessage, downMessageSchema, type UpMessage } from '../../core/model/messages.ts';
import type { Uplink, UplinkListener } from '../../ports/uplink.ts';
import { BrokerLink, type BrokerLinkComponents } from './broker-link.ts';
import { decode, encode, newCounters, type UplinkCounters, type Warn } from './payload.ts';
import { PARENT_TOPIC, topicOf } from './topics.ts';
import { parseAddress, type TlsOptions } from './transport.ts';

export interface MqttUplinkComponents extends BrokerLinkComponents {
  readonly warn: Warn;
}

export interface MqttUplinkOptions {
  /** `https://host:port` of the orchestrator's replicas, or `mqtts://host:port`. */
  readonly addresses: Addresses;
  /** The child's name: the common name of its certificate. */
  readonly name: string;
  /** Asked at every dial. */
  readonly tls: () => TlsOptions;
  readonly keepaliveS?: number | undefined;
}

/** What an orchestrator says of itself on an external broker: a new id each time it begins to listen, null when it is gone. */
export const presenceSchema = z.object({ parent: z.nullable(z.string().check(z.maxLength(64))) });

export class MqttUplink implements Uplink {
  readonly counters: UplinkCounters = newCounters();
  readonly #name: string;
  readonly #link: BrokerLink;
  readonly #warn: Warn;
  readonly #external: boolean;
  #listener: UplinkListener | null = null;
  #subscribed = false;
  #parent: string | null = null;
  #open = false;

  constructor(components: MqttUplinkComponents, options: MqttUplinkOptions) {
    const { addresses, name, tls, keepaliveS } = options;
    this.#name = name;
    this.#warn = components.warn;
    this.#external = parseAddress(addresses.present).protocol === 'mqtts:';
    const topics = [topicOf(name, 'desired'), topicOf(name, 'stream'), topicOf(name, 'close')];
    this.#link = new BrokerLink(
      components,
      {
        addresses,
        tls,
        keepaliveS,
        clientId: name,
        subscriptions: this.#external ? [...topics, PARENT_TOPIC] : topics,
        will: { topic: topicOf(name, 'gone'), payload: '{}', retain: false },
      },
      {
        opened: () => {
          this.#subscribed = true;
          this.#settle();
        },
        received: (topic, payload) => this.#received(topic, payload),
        closed: (reason, silentMs) => this.#linkClosed(reason, silentMs),
      },
    );
  }

  open(listener: UplinkListener): void {
    this.#listener = listener;
    this.#link.open();
  }

  send(message: UpMessage): void {
    if (!this.#open) return;
    const payload = encode(message, this.counters);
    if (payload) this.#link.publish(topicOf(this.#name, message.type), payload);
    else this.#warn('A message to the parent is too large to be sent', { type: message.type });
  }

  reopen(reason: string): void {
    this.#link.reopen(reason);
  }

  close(): Promise<void> {
    this.#listener = null;
    this.#open = false;
    return this.#link.close();
  }

  #received(topic: string, payload: Buffer): void {
    if (topic === PARENT_TOPIC) this.#presence(payload);
    else if (topic === topicOf(this.#name, 'close')) this.#link.reopen('the parent ended the session');
    else this.#message(topic.slice(topic.lastIndexOf('/') + 1), payload);
  }

  #message(type: string, payload: Buffer): void {
    const message: DownMessage | null = decode(downMessageSchema, type, payload, this.counters, (problem) =>
      this.#warn('A message from the parent is not valid', { type, problem }),
    );
    if (message && this.#open) this.#listener?.received(message);
  }

  #presence(payload: Buffer): void {
    let parent: string | null = null;
    try {
      const parsed = presenceSchema.safeParse(JSON.parse(payload.toString('utf8')));
      if (parsed.success) parent = parsed.data.parent;
    } catch {
      // Whatever it is, it does not say that an orchestrator is there.
    }
    if (parent === null) {
      this.#parent = null;
      this.#end('no orchestrator is at the broker');
      return;
    }
    if (parent === this.#parent) return;
    if (this.#open) this.#end('the orchestrator began anew');
    this.#parent = parent;
    this.#settle();
  }

  #settle(): void {
    if (this.#open || !this.#subscribed || (this.#external && this.#parent === null)) return;
    this.#open = true;
    this.#listener?.opened();
  }

  #linkClosed(reason: string, silentMs: number): void {
    this.#subscribed = false;
    this.#parent = null;
    this.#end(reason, silentMs);
  }

  #end(reason: string, silentMs = 0): void {
    this.#open = false;
    this.#listener?.closed(reason, silentMs);
  }
}
