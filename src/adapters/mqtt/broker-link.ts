/**
 * One client's link to a broker, opened again for as long as it is wanted. Both users of it, a child and an
 * orchestrator behind an external broker, need the same:
 *
 *  B1. It counts as opened when the broker has acknowledged the subscriptions. With TLS 1.3 a refused client
 *      sees its handshake succeed and then a close.
 *  B2. Every session is a clean one, on a connection of its own: nothing of an earlier one is sent again or
 *      received again. What was under way when a session ended is lost, and the listener knows (U2).
 *  B3. Everything travels with QoS 1, so that nothing overtakes: MQTT orders messages per QoS only (MQTT 3.1.1,
 *      section 4.6), and brokers drop QoS 0 first when they are full.
 *  B4. A session that lasted and broke is dialled again at once, where it was. After a dial that failed, a session that
 *      did not last, and one that fell silent it is the next address's turn; after all of them there is a pause, which
 *      grows (core/base/addresses.ts). Dials that fail are told round by round, not one by one.
 */
import { MqttClient } from 'mqtt';
import type { Addresses, Step } from '../../core/base/addresses.ts';
import { limits } from '../../core/base/limits.ts';
import type { Clock } from '../../ports/clock.ts';
import { openTransport, parseAddress, type TlsOptions, type Transport } from './transport.ts';

/** A session that lasted this long was a good one. */
const LASTING_MS = 20_000;
const DIAL_TIMEOUT_MS = 15_000;
const CLOSE_TIMEOUT_MS = 2_000;
const KEEPALIVE_S = 30;
/** A broker acknowledges what it takes; one that says nothing at all for this long, while something waits for that, is gone. */
const SILENCE_MS = 10_000;
/** Where there is another to turn to, a parent that has frozen is left before it is replaced and others take over the work. */
const SILENCE_OF_SEVERAL_MS = 5_000;

export interface BrokerLinkComponents {
  readonly clock: Clock;
}

export interface BrokerLinkOptions {
  readonly addresses: Addresses;
  readonly clientId: string;
  readonly subscriptions: readonly string[];
  /** Published by the broker when the link breaks, and by the link itself when it is closed in good order. */
  readonly will: { readonly topic: string; readonly payload: string; readonly retain: boolean };
  /** Asked at every dial: a renewed certificate is used from the next one on. */
  readonly tls: () => TlsOptions;
  /** Silence after which MQTT asks whether the other end is there; half as long again, and the link is dead. */
  readonly keepaliveS?: number | undefined;
}

export interface BrokerLinkListener {
  opened(): void;
  received(topic: string, payload: Buffer): void;
  /** Also after a round of dials that failed: then no `opened` came before. `silentMs`: how long the broker had said nothing. */
  closed(reason: string, silentMs: number): void;
}

interface Session {
  readonly host: string;
  readonly client: MqttClient;
  readonly transport: Transport;
  openedAtMs: number | null;
  heardAtMs: number;
  /** Messages that the broker has not acknowledged. */
  unacknowledged: number;
  cancelWatch: (() => void) | null;
  /** Why it ends, where that is known better than from the transport. */
  reason: string | null;
  /** Whether it ends because nothing was heard: whoever does not answer now will not a moment later. */
  fellSilent: boolean;
}

export class BrokerLink {
  readonly #components: BrokerLinkComponents;
  readonly #options: BrokerLinkOptions;
  readonly #listener: BrokerLinkListener;
  #session: Session | null = null;
  /** Why this round's dials have failed, by address. */
  readonly #problems = new Map<string, string>();
  #cancelTimer: () => void = () => undefined;
  #wanted = false;

  /** Throws `invalid_request` for what is no address. */
  constructor(components: BrokerLinkComponents, options: BrokerLinkOptions, listener: BrokerLinkListener) {
    parseAddress(options.addresses.present);
    this.#components = components;
    this.#options = options;
    this.#listener = listener;
  }

  open(): void {
    this.#wanted = true;
    this.#dial();
  }

  get isOpen(): boolean {
    return this.#session !== null && this.#session.openedAtMs !== null;
  }

  /** Dropped when the link is not open. */
  publish(topic: string, payload: Buffer | string, retain = false): void {
    const session = this.#session;
    if (session === null || session.openedAtMs === null) return;
    if (session.transport.stream.writableLength > limits.uplinkOutgoingBytes) {
      this.reopen('the link is too slow for what is to be said');
      return;
    }
    session.unacknowledged += 1;
    if (session.cancelWatch === null) this.#watchSilence(session, this.#components.clock.nowMs());
    session.client.publish(topic, payload, { qos: 1, retain }, (error) => {
      session.unacknowledged -= 1;
      // What ends the session ends every message under way with these words; its own reason comes after.
      if (error && error.message !== 'Connection closed') this.#fail(session, error.message);
    });
  }

  /** One timer for as long as anything is said, not one a message. */
  #watchSilence(session: Session, fromMs: number): void {
    const { clock } = this.#components;
    const silenceMs = this.#options.addresses.isOnly ? SILENCE_MS : SILENCE_OF_SEVERAL_MS;
    const leftMs = Math.max(session.heardAtMs, fromMs) + silenceMs - clock.nowMs();
    session.cancelWatch = clock.startTimer(leftMs, () => {
      session.cancelWatch = null;
      if (this.#session !== session || session.unacknowledged === 0) return;
      if (clock.nowMs() - Math.max(session.heardAtMs, fromMs) >= silenceMs) this.#fellSilent(session);
      else this.#watchSilence(session, fromMs);
    });
  }

  #fellSilent(session: Session): void {
    session.fellSilent = true;
    this.#fail(session, `${session.host} stopped answering`);
  }

  /** Ends this session; the next dial follows. */
  reopen(reason: string): void {
    if (this.#session) this.#fail(this.#session, reason);
  }

  /** The listener hears nothing more. */
  async close(): Promise<void> {
    this.#wanted = false;
    this.#cancelTimer();
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    const { client, transport } = session;
    const closed = new Promise<void>((resolve) => {
      transport.stream.once('close', resolve);
    });
    const cancelTimer = this.#components.clock.startTimer(CLOSE_TIMEOUT_MS, () => transport.stream.destroy());
    if (session.openedAtMs === null) transport.stream.destroy();
    else {
      const { topic, payload, retain } = this.#options.will;
      client.publish(topic, payload, { qos: 1, retain }, () => client.end(false));
    }
    await closed;
    cancelTimer();
    session.cancelWatch?.();
  }

  #dial(): void {
    const { addresses, clientId, will, tls, keepaliveS } = this.#options;
    const url = parseAddress(addresses.present);
    const transport = openTransport(url, tls());
    const client = new MqttClient(() => transport.stream, {
      clientId,
      protocolVersion: 4,
      clean: true,
      keepalive: keepaliveS ?? KEEPALIVE_S,
      // Sending proves nothing about the other end: without this, heartbeats would put off the ping for ever.
      reschedulePings: false,
      reconnectPeriod: 0,
      connectTimeout: 2 * DIAL_TIMEOUT_MS,
      will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: will.retain },
      // The library's table of all 65,536 numbers as buffers costs 18 MB, to save some allocations a message.
      writeCache: false,
      timerVariant: 'native',
    });
    const session: Session = {
      host: url.host,
      client,
      transport,
      openedAtMs: null,
      heardAtMs: this.#components.clock.nowMs(),
      unacknowledged: 0,
      cancelWatch: null,
      reason: null,
      fellSilent: false,
    };
    this.#session = session;
    transport.stream.on('data', () => {
      session.heardAtMs = this.#components.clock.nowMs();
    });
    this.#watchDial(session, addresses.connectMs);
    client.on('connect', () => this.#subscribe(session));
    client.on('message', (topic, payload, packet) => {
      // Within a clean session a repetition always follows its original.
      if (this.#session === session && !packet.dup) this.#listener.received(topic, payload);
    });
    client.on('error', (error) => {
      const refused = /^Connection refused: /.test(error.message);
      if (refused) session.reason ??= `${url.host} refused the session: ${error.message.replace('Connection refused: ', '')}`;
      else if (error.message === 'Keepalive timeout') this.#fellSilent(session);
      else if (!('code' in error)) session.reason ??= error.message;
      transport.stream.destroy();
    });
    client.on('close', () => this.#ended(session));
  }

  /** `connectMs`: by when there has to be somebody at all, where there are others to turn to. */
  #watchDial(session: Session, connectMs: number | null): void {
    const { clock } = this.#components;
    const giveUp = (afterMs: number) => this.#fail(session, `${session.host} did not answer within ${afterMs / 1000} s`);
    this.#cancelTimer = clock.startTimer(connectMs ?? DIAL_TIMEOUT_MS, () => {
      if (connectMs === null) giveUp(DIAL_TIMEOUT_MS);
      else if (!session.transport.reached()) giveUp(connectMs);
      else this.#cancelTimer = clock.startTimer(DIAL_TIMEOUT_MS - connectMs, () => giveUp(DIAL_TIMEOUT_MS));
    });
  }

  #subscribe(session: Session): void {
    session.client.subscribe([...this.#options.subscriptions], { qos: 1 }, (error, granted) => {
      if (this.#session !== session) return;
      if (error || granted?.some(({ qos }) => qos > 2)) {
        this.#fail(session, `${session.host} refused the subscription`);
        return;
      }
      this.#cancelTimer();
      session.openedAtMs = this.#components.clock.nowMs();
      this.#problems.clear();
      this.#options.addresses.serves();
      this.#listener.opened();
    });
  }

  #fail(session: Session, reason: string): void {
    if (this.#session !== session) return;
    session.reason ??= reason;
    session.transport.stream.destroy();
  }

  #ended(session: Session): void {
    if (this.#session !== session) return;
    this.#session = null;
    this.#cancelTimer();
    session.cancelWatch?.();
    const { clock } = this.#components;
    const { addresses } = this.#options;
    const reason = session.reason ?? this.#explain(session);
    if (session.openedAtMs === null) this.#problems.set(addresses.present, reason);
    const next = this.#nextStep(session);
    session.client.end(true);
    if (this.#wanted) this.#cancelTimer = clock.startTimer(next.pauseMs, () => this.#dial());
    const silentMs = clock.nowMs() - session.heardAtMs;
    if (session.openedAtMs !== null) this.#listener.closed(reason, silentMs);
    else if (next.roundOver) this.#roundFailed(silentMs);
  }

  #nextStep({ openedAtMs, fellSilent, transport }: Session): Step {
    const { addresses } = this.#options;
    if (openedAtMs === null) return addresses.failed(transport.leader());
    if (this.#components.clock.nowMs() - openedAtMs < LASTING_MS) return addresses.relapsed();
    return fellSilent ? addresses.fellSilent() : addresses.broke();
  }

  /** In the order of the addresses, so that it reads the same as after the last round, if it is. */
  #roundFailed(silentMs: number): void {
    const reasons = [...this.#problems].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reason]) => reason);
    this.#problems.clear();
    this.#listener.closed(reasons.join('; '), silentMs);
  }

  #explain(session: Session): string {
    const why = session.transport.explain();
    const early = session.openedAtMs === null && why.includes('closed the connection');
    return early ? `${why} before the session began; most likely it does not accept this certificate` : why;
  }
}
