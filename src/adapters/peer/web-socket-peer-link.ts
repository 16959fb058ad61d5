/**
 * Links to the other replicas as binary WebSockets at `/peer` of the one TLS port. One connection a pair, dialled by
 * either side: the one with the smaller id goes first, and the other one follows when nothing comes.
 *
 *  P1. A connection counts when the replica that was dialled has bid welcome: with TLS 1.3 one that is turned away sees
 *      its handshake succeed and then a close.
 *  P2. Of two connections to the same replica both sides keep the same one (dial-rank.ts).
 *  P3. Pauses between dials grow with every failure and with every connection that did not last, up to a bound that a
 *      site whose link comes back does not wait for in vain; they differ by chance.
 */
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { limits } from '../../core/base/limits.ts';
import type { Random } from '../../core/base/prng.ts';
import type { ErrorCode } from '../../core/model/errors.ts';
import type { Membership, Replica, ReplicaId } from '../../core/raft/membership.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PeerLink, PeerListener } from '../../ports/peer-link.ts';
import { type DialRank, outranks, parseDialNumber } from './dial-rank.ts';
import { hangUp, PeerSocket } from './peer-socket.ts';

const PATH = '/peer';
/** Another layout of frames would be another protocol: replicas of both can then tell. */
const PROTOCOL = 'tendril-peer-1';
const DIAL_HEADER = 'tendril-dial';
const WELCOME = 'welcome';
const PAUSES_MS = [100, 200, 400, 1_000, 2_000, 4_000, 8_000] as const;
/** The one with the greater id leaves the other this much time, so that there are seldom two connections. */
const HEAD_START_MS = 250;
/** A connection that lasted this long was a good one. */
const LASTING_MS = 20_000;
const DIAL_TIMEOUT_MS = 10_000;
const SILENCE_MS = 15_000;
/** Whoever comes back to a group that has removed it, or was made anew without it, reads here why nothing happens. */
const NOT_A_MEMBER =
  'it says that this replica is not of its group: it was removed, the group was recovered without it, or it has only just ' +
  'joined. One that was removed joins again with an empty data directory and a new token';

export interface WebSocketPeerLinkComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly warn: (message: string, details: Readonly<Record<string, string>>) => void;
}

export interface WebSocketPeerLinkInit {
  /** This replica's own. */
  readonly id: ReplicaId;
  /** Asked at every dial: own certificate and key, the authority, and how to know that it is this replica which answers (N2). */
  readonly tls: (peer: ReplicaId) => Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'checkServerIdentity' | 'minVersion'>;
  /** Silence after which a peer is asked whether it is there; default 15 s. */
  readonly patienceMs?: number;
}

interface Dial {
  readonly rank: DialRank;
  readonly webSocket: WebSocket;
}

/** Another replica, and how things stand with it. */
interface Peer {
  replica: Replica;
  socket: PeerSocket | null;
  connectedAtMs: number;
  dial: Dial | null;
  cancelPause: () => void;
  failures: number;
  /** The highest number of a dial between the two that was seen. */
  seen: number;
  /** The last problem that was warned of. */
  told: string;
}

/**
 * The mask of zeros. Masks keep what a page's script sends from passing for HTTP at a proxy on the way (RFC 6455, section
 * 10.3); within TLS from replica to replica there is none, and masking goes over each byte at both ends.
 */
function noMask(mask: Buffer): void {
  mask.fill(0);
}

export class WebSocketPeerLink implements PeerLink {
  readonly #components: WebSocketPeerLinkComponents;
  readonly #init: WebSocketPeerLinkInit;
  readonly #peers = new Map<ReplicaId, Peer>();
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: limits.peerFrameBytes,
    handleProtocols: (offered) => offered.has(PROTOCOL) && PROTOCOL,
  });
  /** Every WebSocket that is not closed yet: closing waits for them. */
  readonly #open = new Set<WebSocket>();
  readonly #strangers = new Set<ReplicaId>();
  #listener: PeerListener | null = null;

  constructor(components: WebSocketPeerLinkComponents, init: WebSocketPeerLinkInit) {
    this.#components = components;
    this.#init = init;
  }

  open(listener: PeerListener): void {
    this.#listener = listener;
    for (const peer of this.#peers.values()) this.#dialLater(peer, 0);
  }

  setPeers(membership: Membership): void {
    if (membership.length === 0) return;
    for (const [id, peer] of this.#peers) if (!membership.some((replica) => replica.id === id)) this.#forget(peer);
    for (const replica of membership) {
      if (replica.id === this.#init.id) continue;
      const known = this.#peers.get(replica.id);
      const isNews = known?.replica.url !== replica.url;
      const peer = known ?? newPeer(replica);
      peer.replica = replica;
      this.#peers.set(replica.id, peer);
      this.#strangers.delete(replica.id);
      if (isNews && peer.socket === null) this.#dialLater(peer, 0);
    }
  }

  send(peer: ReplicaId, frame: Uint8Array): void {
    this.#peers.get(peer)?.socket?.send(frame);
  }

  refuse(peer: ReplicaId): void {
    const known = this.#peers.get(peer);
    if (known?.socket) this.#end(known, 'invalid_request', 'it says what no replica says');
  }

  async close(): Promise<void> {
    this.#listener = null;
    for (const peer of this.#peers.values()) this.#drop(peer, 'unavailable');
    this.#peers.clear();
    const closed = [...this.#open].map((webSocket) => new Promise((resolve) => webSocket.once('close', resolve)));
    await Promise.all(closed);
    this.#server.close();
  }

  /** An upgrade at `/peer` from a replica whose certificate of this authority says that it is `id`. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, id: ReplicaId): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#track(webSocket);
      const number = parseDialNumber(request.headers[DIAL_HEADER]);
      const peer = this.#peers.get(id);
      const refuse = (code: ErrorCode, detail = '') => hangUp(this.#components.clock, webSocket, code, detail);
      if (this.#listener === null) refuse('unavailable');
      else if (peer === undefined) {
        this.#strangerCame(id);
        refuse('not_a_member');
      } else if (number === null) refuse('invalid_request');
      else {
        const rank = { number, dialler: id };
        if (peer.socket !== null && !outranks(rank, peer.socket.rank)) refuse('conflict', ` ${peer.socket.rank.number}`);
        else {
          webSocket.send(WELCOME);
          this.#connected(peer, webSocket, socket, rank);
        }
      }
    });
  }

  /** It comes again and again: told once, until it is a member. */
  #strangerCame(id: ReplicaId): void {
    if (this.#strangers.has(id)) return;
    if (this.#strangers.size >= limits.orchestratorReplicas) this.#strangers.clear();
    this.#strangers.add(id);
    this.#components.warn('A replica that is no member was turned away', { replica: id });
  }

  #track(webSocket: WebSocket): void {
    this.#open.add(webSocket);
    webSocket.once('close', () => this.#open.delete(webSocket));
    // Whatever goes wrong ends in a close, and a WebSocket without a listener would end the process.
    webSocket.on('error', () => undefined);
  }

  #connected(peer: Peer, webSocket: WebSocket, socket: Duplex | null, rank: DialRank): void {
    const { clock } = this.#components;
    const { id } = peer.replica;
    peer.seen = Math.max(peer.seen, rank.number);
    peer.cancelPause();
    if (peer.socket !== null) {
      peer.socket.end('conflict');
      this.#tell((listener) => listener.disconnected(id));
    }
    if (peer.dial !== null && outranks(rank, peer.dial.rank)) stop(peer);
    const init = { webSocket, socket: socket instanceof Socket ? socket : null, peer: id, rank };
    const connection = new PeerSocket(
      clock,
      { ...init, patienceMs: this.#init.patienceMs ?? SILENCE_MS },
      {
        received: (frame) => {
          if (peer.socket === connection) this.#tell((listener) => listener.received(id, frame));
        },
        ended: (reason) => {
          if (peer.socket === connection) this.#lost(peer, reason);
        },
      },
    );
    peer.socket = connection;
    peer.connectedAtMs = clock.elapsedMs();
    peer.told = '';
    this.#tell((listener) => listener.connected(id));
  }

  #end(peer: Peer, code: ErrorCode, reason: string): void {
    peer.socket?.end(code);
    this.#lost(peer, reason);
  }

  #lost(peer: Peer, reason: string): void {
    const lastedMs = this.#components.clock.elapsedMs() - peer.connectedAtMs;
    peer.socket = null;
    peer.failures = lastedMs >= LASTING_MS ? 0 : peer.failures;
    this.#tell((listener) => listener.disconnected(peer.replica.id));
    this.#failed(peer, reason);
  }

  #failed(peer: Peer, problem: string): void {
    const reason = problem.includes('not_a_member') ? NOT_A_MEMBER : problem;
    if (peer.told !== reason)
      this.#components.warn('No connection to a replica', { replica: peer.replica.name, url: peer.replica.url, reason });
    peer.told = reason;
    const { random } = this.#components;
    const pauseMs = PAUSES_MS[Math.min(peer.failures, PAUSES_MS.length - 1)] ?? 0;
    peer.failures += 1;
    this.#dialLater(peer, pauseMs * (1 + random.next() / 2));
  }

  #dialLater(peer: Peer, pauseMs: number): void {
    peer.cancelPause();
    if (this.#listener === null || peer.dial !== null) return;
    const waitMs = pauseMs + (this.#init.id < peer.replica.id ? 0 : HEAD_START_MS);
    peer.cancelPause = this.#components.clock.startTimer(waitMs, () => this.#dial(peer));
  }

  #dial(peer: Peer): void {
    if (this.#listener === null || peer.socket !== null || peer.dial !== null) return;
    peer.seen += 1;
    const rank = { number: peer.seen, dialler: this.#init.id };
    const { id, url } = peer.replica;
    const webSocket = new WebSocket(`${url.replace(/^https:/, 'wss:')}${PATH}`, [PROTOCOL], {
      ...this.#init.tls(id),
      headers: { [DIAL_HEADER]: String(rank.number) },
      perMessageDeflate: false,
      generateMask: noMask,
      maxPayload: limits.peerFrameBytes,
      handshakeTimeout: DIAL_TIMEOUT_MS,
    });
    this.#track(webSocket);
    const dial: Dial = { rank, webSocket };
    peer.dial = dial;
    let socket: Socket | null = null;
    let problem = 'it does not answer';
    const cancelTimer = this.#components.clock.startTimer(DIAL_TIMEOUT_MS, () => webSocket.terminate());
    webSocket.once('upgrade', (response) => {
      socket = response.socket;
    });
    webSocket.once('error', (error) => {
      problem = error.message;
    });
    webSocket.once('message', (data) => {
      webSocket.off('close', failed);
      cancelTimer();
      if (peer.dial !== dial) return;
      peer.dial = null;
      if (data.toString() !== WELCOME || (peer.socket !== null && !outranks(rank, peer.socket.rank))) {
        hangUp(this.#components.clock, webSocket, 'conflict');
        if (peer.socket === null) this.#failed(peer, 'it bids no welcome');
      } else this.#connected(peer, webSocket, socket, rank);
    });
    const failed = (code: number, reason: Buffer) => {
      cancelTimer();
      if (peer.dial !== dial) return;
      peer.dial = null;
      const [, seen] = /^conflict ([0-9]+)$/.exec(reason.toString()) ?? [];
      peer.seen = Math.max(peer.seen, parseDialNumber(seen) ?? 0);
      if (peer.socket === null) this.#failed(peer, reason.length > 0 ? `refused: ${code} ${reason}` : problem);
    };
    webSocket.once('close', failed);
  }

  #forget(peer: Peer): void {
    this.#peers.delete(peer.replica.id);
    const { id } = peer.replica;
    if (peer.socket !== null) this.#tell((listener) => listener.disconnected(id));
    this.#drop(peer, 'not_a_member');
  }

  #drop(peer: Peer, code: ErrorCode): void {
    peer.cancelPause();
    stop(peer);
    peer.socket?.end(code);
    peer.socket = null;
  }

  /** N4: later, and in the order in which things happened. */
  #tell(event: (listener: PeerListener) => void): void {
    queueMicrotask(() => {
      if (this.#listener !== null) event(this.#listener);
    });
  }
}

function newPeer(replica: Replica): Peer {
  return {
    replica,
    socket: null,
    connectedAtMs: 0,
    dial: null,
    cancelPause: () => undefined,
    failures: 0,
    seen: 0,
    told: '',
  };
}

/** What comes of the dial is of no interest any more. */
function stop(peer: Peer): void {
  const { dial } = peer;
  peer.dial = null;
  dial?.webSocket.terminate();
}
