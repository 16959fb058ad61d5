/**
 * A parent's end of the uplink behind a broker that the operator runs (docs/external-broker.md). One broker
 * serves one orchestrator, as a client of it; which child may say what is up to the broker's access rules (U3).
 *
 * Whether the orchestrator is there is a retained message and its last will, so that no child takes a broker
 * without orchestrator for an open link. When its own link breaks, messages may be lost in either direction;
 * coming back it names itself anew, and every child begins a new session.
 */
import { Addresses } from '../../core/base/addresses.ts';
import type { Random } from '../../core/base/prng.ts';
import { type DownMessage, type UpMessage, upMessageSchema } from '../../core/model/messages.ts';
import type { Downlink, DownlinkListener } from '../../ports/uplink.ts';
import { BrokerLink, type BrokerLinkComponents } from './broker-link.ts';
import { ChildOrder } from './child-order.ts';
import { decode, encode, newCounters, type UplinkCounters, type Warn } from './payload.ts';
import { PARENT_TOPIC, parseUpTopic, topicOf, topicOfAll, UP_TOPICS } from './topics.ts';
import type { TlsOptions } from './transport.ts';

export interface ExternalDownlinkComponents extends BrokerLinkComponents {
  readonly random: Random;
  readonly warn: Warn;
}

export interface ExternalDownlinkOptions {
  /** `mqtts://host:port` */
  readonly url: string;
  /** The orchestrator's, which is its client id at the broker. */
  readonly name: string;
  /** Asked at every dial. */
  readonly tls: () => TlsOptions;
  readonly keepaliveS?: number | undefined;
}

export class ExternalDownlink implements Downlink {
  readonly counters: UplinkCounters = newCounters();
  readonly #components: ExternalDownlinkComponents;
  readonly #link: BrokerLink;
  readonly #order = new ChildOrder();
  readonly #warn: Warn;
  #listener: DownlinkListener | null = null;
  #firstDialDone: () => void = () => undefined;

  constructor(components: ExternalDownlinkComponents, options: ExternalDownlinkOptions) {
    const { url, name, tls, keepaliveS } = options;
    this.#components = components;
    this.#warn = components.warn;
    this.#link = new BrokerLink(
      components,
      {
        addresses: new Addresses({ given: url, random: components.random }),
        tls,
        keepaliveS,
        clientId: name,
        subscriptions: UP_TOPICS.map(topicOfAll),
        will: { topic: PARENT_TOPIC, payload: JSON.stringify({ parent: null }), retain: true },
      },
      {
        opened: () => this.#opened(),
        received: (topic, payload) => this.#received(topic, payload),
        closed: (reason) => this.#closed(reason),
      },
    );
  }

  /** Resolves after the first dial, whatever came of it: an orchestrator starts without its broker, too. */
  open(listener: DownlinkListener): Promise<void> {
    this.#listener = listener;
    return new Promise((resolve) => {
      this.#firstDialDone = resolve;
      this.#link.open();
    });
  }

  send(child: string, message: DownMessage): void {
    if (!this.#order.isOpen(child)) return;
    const payload = encode(message, this.counters);
    if (payload) this.#link.publish(topicOf(child, message.type), payload);
    else this.#warn('A message to a child is too large to be sent', { child, type: message.type });
  }

  disconnect(child: string): void {
    this.#link.publish(topicOf(child, 'close'), '{}');
    queueMicrotask(() => this.#end(child));
  }

  close(): Promise<void> {
    this.#listener = null;
    this.#order.endAll();
    this.#firstDialDone();
    return this.#link.close();
  }

  #opened(): void {
    const id = Math.floor(this.#components.random.next() * 2 ** 48).toString(36);
    this.#link.publish(PARENT_TOPIC, JSON.stringify({ parent: `${this.#components.clock.nowMs()}-${id}` }), true);
    this.#firstDialDone();
  }

  #received(topic: string, payload: Buffer): void {
    const origin = parseUpTopic(topic);
    if (origin === null) return;
    const { child, leaf } = origin;
    if (leaf === 'gone') {
      this.#end(child);
      return;
    }
    const message: UpMessage | null = decode(upMessageSchema, leaf, payload, this.counters, (problem) =>
      this.#warn('A message from a child is not valid', { child, type: leaf, problem }),
    );
    if (message) this.#judge(child, message);
  }

  #judge(child: string, message: UpMessage): void {
    const wasOpen = this.#order.isOpen(child);
    const verdict = this.#order.judge(child, message);
    if (verdict === 'broken') this.disconnect(child);
    if (verdict === 'begins' && wasOpen) this.#listener?.closed(child);
    if (verdict === 'begins' || verdict === 'follows') this.#listener?.received(child, message);
  }

  #end(child: string): void {
    if (this.#order.end(child)) this.#listener?.closed(child);
  }

  #closed(reason: string): void {
    this.#warn('No link to the broker', { reason });
    this.#firstDialDone();
    for (const child of this.#order.endAll()) this.#listener?.closed(child);
  }
}
