/**
 * The one TLS port: REST API, joining, `/mqtt`, `/peer` and streams, all behind one HTTPS server.
 *
 * Children show a certificate, users a bearer token, and a stranger who wants to join has neither; so the
 * handshake asks for a certificate but takes whoever comes, and `peerOf` tells the routes whom they have.
 *
 *  S1. TLS 1.3 and nothing older; no session is resumed, so a certificate is looked at on every connection.
 *  S2. The CA goes along in the chain, for those who join and pin it by hash.
 *  S3. A new certificate takes effect for new connections; open ones live on.
 *  S4. Who has shown no valid certificate holds a limited number of connections, each for a limited time.
 */
import { constants } from 'node:crypto';
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { limits } from '../../core/base/limits.ts';
import { CodedError, ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import type { Peer } from '../../core/model/membership.ts';
import type { ServerIdentity } from './authority.ts';
import { certificateFingerprint, publicKeyFingerprint } from './fingerprint.ts';
import { childOf, type ReplicaName, replicaOf } from './identity-name.ts';
import { StrangerLimit } from './stranger-limit.ts';

export interface SecureServerOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly identity: ServerIdentity;
  readonly request: RequestListener;
  /** For the log: somebody was turned away before there was a request. */
  readonly turnedAway: (reason: string, address: string) => void;
  /** How patient it is with slow strangers; the defaults are those of `limits`. */
  readonly patience?: Patience;
}

export interface Patience {
  readonly handshakeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly strangers: number;
  readonly strangersPerAddress: number;
}

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export type PeerOutcome = Peer | { readonly refused: string } | null;

/** Whom the other end's certificate speaks for; null without one. Valid is not yet a member: see `isMember`. */
export function peerOf(socket: unknown): PeerOutcome {
  if (!(socket instanceof TLSSocket)) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  if (!socket.authorized) return { refused: refusalOf(socket) };
  const child = childOf(certificate);
  if (child === null) return { refused: 'it names no node and no cluster' };
  return {
    ...child,
    publicKeyFingerprint: publicKeyFingerprint(certificate),
    certificateFingerprint: certificateFingerprint(certificate),
  };
}

/** The replica of this orchestrator that the other end's certificate speaks for; null without one. As above: see the membership. */
export function replicaPeerOf(socket: unknown): ReplicaName | { readonly refused: string } | null {
  if (!(socket instanceof TLSSocket)) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  if (!socket.authorized) return { refused: refusalOf(socket) };
  return replicaOf(certificate.subjectAltName) ?? { refused: 'it names no replica' };
}

/** The other end has shown a valid certificate of this authority, a child's or a replica's. */
export function isCertified(socket: unknown): boolean {
  return [peerOf(socket), replicaPeerOf(socket)].some((peer) => peer !== null && !('refused' in peer));
}

function refusalOf(socket: TLSSocket): string {
  // Typed as an Error, but on a server it is OpenSSL's code as text.
  const code = String(socket.authorizationError);
  if (code === 'CERT_HAS_EXPIRED') return 'it has expired';
  if (code === 'CERT_NOT_YET_VALID') return 'it is not valid yet';
  return `another authority issued it (${code})`;
}

export class SecureServer {
  readonly server: Server;
  readonly #options: SecureServerOptions;
  readonly #upgrades = new Map<string, UpgradeHandler>();
  /** HTTP and upgraded connections alike: closing ends them all. */
  readonly #sockets = new Set<Socket>();
  readonly #strangers: StrangerLimit;

  constructor(options: SecureServerOptions) {
    const patience = options.patience ?? limits;
    this.#options = options;
    this.#strangers = new StrangerLimit(patience.strangers, patience.strangersPerAddress);
    this.server = createServer(
      {
        ...contextOf(options.identity),
        requestCert: true,
        rejectUnauthorized: false,
        handshakeTimeout: patience.handshakeTimeoutMs,
        headersTimeout: patience.requestTimeoutMs,
        requestTimeout: patience.requestTimeoutMs,
        connectionsCheckingInterval: Math.ceil(patience.requestTimeoutMs / 4),
      },
      options.request,
    );
    this.server.maxConnections = limits.connections;
    this.server.on('connection', (socket: Socket) => this.#accepted(socket));
    this.server.on('secureConnection', (socket) => this.#handshakeDone(socket));
    this.server.on('tlsClientError', (error, socket) => {
      options.turnedAway(handshakeFailure(error), socket.remoteAddress ?? 'unknown');
      socket.destroy();
    });
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseRequest(error, socket));
    this.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#route(request, socket, head));
  }

  /** Rejects with `port_in_use`, or with `unavailable` when the address is not this machine's. */
  open(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => {
        const code: ErrorCode = error.code === 'EADDRINUSE' ? 'port_in_use' : 'unavailable';
        reject(new CodedError(code, `cannot listen on ${host}:${port} (${reasonOf(error)})`, [], error));
      };
      this.server.once('error', failed);
      this.server.listen({ host, port }, () => {
        this.server.off('error', failed);
        this.server.on('error', (error) => this.#options.turnedAway(`accept failed: ${reasonOf(error)}`, 'unknown'));
        resolve();
      });
    });
  }

  /** Open connections of those without a valid certificate. */
  get strangers(): number {
    return this.#strangers.count;
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /**
   * `path` is taken exactly, or, when it ends in `/`, with one more segment below it. The handler asks `peerOf`
   * whom it has, and grants the upgrade or answers with `refuseUpgrade`.
   */
  onUpgrade(path: string, handler: UpgradeHandler): void {
    this.#upgrades.set(path, handler);
  }

  /** From the next connection on (S3). */
  replaceIdentity(identity: ServerIdentity): void {
    this.server.setSecureContext(contextOf(identity));
  }

  /** Ends every connection, upgraded ones included. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accepted(socket: Socket): void {
    const { remoteAddress: address = 'unknown', remotePort: port = 0 } = socket;
    if (!this.#strangers.admit(address, port)) {
      this.#options.turnedAway('too many connections without a certificate', address);
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#strangers.release(address, port);
    });
  }

  #handshakeDone(socket: TLSSocket): void {
    // An upgraded or broken connection without a listener of its own must not end the process.
    socket.on('error', () => socket.destroy());
    if (!isCertified(socket)) return;
    this.#strangers.release(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0);
  }

  #route(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const handler = this.#upgrades.get(path) ?? this.#upgrades.get(path.slice(0, path.lastIndexOf('/') + 1));
    if (handler) handler(request, socket, head);
    else refuseUpgrade(socket, 'not_found');
  }
}

function contextOf(identity: ServerIdentity) {
  return {
    key: identity.keyPem,
    cert: identity.certificatePem + identity.caPem,
    ca: identity.caPem,
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const;
}

function refuseRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
  else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') refuseUpgrade(socket, 'too_slow');
  else if (error.code === 'HPE_HEADER_OVERFLOW') refuseUpgrade(socket, 'too_large');
  else refuseUpgrade(socket, 'invalid_request');
}

/** The answer to an upgrade that is not granted. Whoever does not read it is cut off all the same. `headers`: besides, as `LEADER_HEADER`. */
export function refuseUpgrade(socket: Duplex, code: ErrorCode, headers: Readonly<Record<string, string>> = {}): void {
  const { status, message, hint } = ERRORS[code];
  const body = JSON.stringify({ error: { code, message, hint, details: [] } });
  const own = { Connection: 'close', 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)) };
  const lines = Object.entries({ ...headers, ...own }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${code}\r\n${lines.join('')}\r\n${body}`, () => socket.destroy());
}

/** A child that was pinned to another authority does not say so: it hangs up. */
function handshakeFailure(error: NodeJS.ErrnoException): string {
  return error.code === 'ECONNRESET'
    ? 'hung up during the TLS handshake, perhaps because it trusts another authority'
    : `TLS handshake failed: ${reasonOf(error)}`;
}

function reasonOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}
