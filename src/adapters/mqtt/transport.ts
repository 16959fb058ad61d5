/**
 * A TLS connection as a byte stream for MQTT: to an orchestrator (`https://host:port`, where its broker is at `/mqtt`,
 * or that as `wss://host:port/mqtt`), or to a broker that the operator runs (`mqtts://host:port`). Turns what goes
 * wrong on it into words for a person.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { ADDRESS_PATTERN } from '../../core/base/addresses.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError, ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import { LEADER_HEADER } from '../../core/model/leadership.ts';
import { streamOf } from './web-socket-stream.ts';

/** What the composer gives for a dial: authority, own certificate and key, and how to know the other end. */
export type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'checkServerIdentity'>;

export interface Transport {
  readonly stream: Duplex;
  /** Whether there is a machine that has taken the connection. */
  reached(): boolean;
  /** Who leads, in the words of a replica that does not. */
  leader(): string | null;
  /** Why it ended or never came about, as far as known by now. */
  explain(): string;
}

const PROTOCOLS: readonly string[] = ['https:', 'wss:', 'mqtts:'];

/** Where to dial. Throws `invalid_request` for what is no such address. */
export function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !PROTOCOLS.includes(url.protocol) || url.hostname === '')
    throw new CodedError('invalid_request', `${text} is not an address such as https://host:7443 or mqtts://host:8883`);
  return url.protocol === 'https:' ? new URL(`wss://${url.host}/mqtt`) : url;
}

export function openTransport(url: URL, tls: TlsOptions): Transport {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const webSocket = url.protocol === 'wss:';
  const socket = connect({
    ...tls,
    host,
    port: Number(url.port || (webSocket ? 443 : 8883)),
    ...(isIP(host) ? {} : { servername: host }),
    minVersion: 'TLSv1.3',
  });
  // Small messages go at once: with Nagle's algorithm one waits for the acknowledgement of another, up to 40 ms.
  socket.setNoDelay();
  const faults = new Faults(url.host, socket);
  const stream = webSocket ? overWebSocket(url, socket, faults) : socket;
  stream.on('error', (error) => faults.note(error));
  return { stream, reached: () => faults.reached, leader: () => faults.leader, explain: () => faults.explain() };
}

function overWebSocket(url: URL, socket: TLSSocket, faults: Faults): Duplex {
  const webSocket = new WebSocket(url, ['mqtt'], {
    createConnection: () => socket,
    perMessageDeflate: false,
    maxPayload: limits.uplinkMessageBytes + 1024,
  });
  webSocket.once('unexpected-response', (_request, response) => {
    readRefusal(response, (code) => {
      faults.refused(response.statusCode ?? 0, code, code === 'not_leading' ? leaderIn(response) : null);
      webSocket.terminate();
    });
  });
  const stream = streamOf(webSocket);
  // The stream alone stays half open when the other end goes, and waits to be ended by its user.
  webSocket.once('close', () => stream.destroy());
  return stream;
}

/** An orchestrator's answer to a link that it does not grant is a few hundred bytes. */
const REFUSAL_BYTES = 4096;

/** Calls back once, with the code of the error table if the answer has one; it may break off at any place. */
function readRefusal(response: IncomingMessage, done: (code: ErrorCode | null) => void): void {
  let text = '';
  response.setEncoding('utf8');
  response.on('error', () => undefined);
  response.on('data', (part: string) => {
    text += part;
    if (text.length > REFUSAL_BYTES) response.destroy();
  });
  response.once('close', () => done(codeOf(text)));
}

function codeOf(text: string): ErrorCode | null {
  const code = /"code": ?"([a-z_]+)"/.exec(text)?.[1] ?? '';
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : null;
}

function leaderIn({ headers }: IncomingMessage): string | null {
  const leader = headers[LEADER_HEADER];
  if (typeof leader !== 'string' || leader.length > limits.addressLength) return null;
  return ADDRESS_PATTERN.test(leader) && URL.canParse(leader) ? leader : null;
}

/** Alerts by which a TLS peer says that it does not take our certificate (RFC 8446, section 6.2). */
const REFUSAL_ALERT =
  /ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR)|CERTIFICATE_REQUIRED/;
const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name is unknown',
  EAI_AGAIN: 'the name cannot be looked up right now',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no network',
  ETIMEDOUT: 'it does not answer',
};

class Faults {
  readonly #where: string;
  readonly #socket: TLSSocket;
  reached = false;
  leader: string | null = null;
  #secured = false;
  #first: NodeJS.ErrnoException | null = null;
  #refusal = '';

  constructor(where: string, socket: TLSSocket) {
    this.#where = where;
    this.#socket = socket;
    socket.once('connect', () => {
      this.reached = true;
    });
    socket.once('secureConnect', () => {
      this.#secured = true;
    });
    socket.on('error', (error) => this.note(error));
  }

  note(error: NodeJS.ErrnoException): void {
    this.#first ??= error;
  }

  /** The other end answered, and did not grant the link. */
  refused(status: number, code: ErrorCode | null, leader: string | null): void {
    this.leader = leader;
    const reason = code === null ? '' : ` (${code}): ${ERRORS[code].message}. ${ERRORS[code].hint}`;
    this.#refusal = `with HTTP status ${status}${reason}`;
  }

  explain(): string {
    if (this.#refusal) return `${this.#where} refused the link ${this.#refusal}`;
    const code = this.#first?.code ?? '';
    const message = this.#first?.message ?? '';
    const unreachable = UNREACHABLE[code];
    if (unreachable !== undefined && !this.#secured) return `${this.#where} cannot be reached: ${unreachable} (${code})`;
    if (REFUSAL_ALERT.test(code)) return `${this.#where} refused this node's certificate (${code})`;
    // Node sets this when it refuses the other end, whatever the error is called.
    const untrusted = this.#socket.authorizationError;
    if (!this.#secured && untrusted)
      return `the certificate of ${this.#where} is not to be trusted: ${message || String(untrusted)}`;
    // With TLS 1.3 the client is done before the server has looked at its certificate: a refusal is only a close.
    if (this.#secured) return `${this.#where} closed the connection${code ? ` (${code})` : ''}`;
    return `no TLS connection to ${this.#where}${code || message ? `: ${message} (${code})` : ''}`;
  }
}
