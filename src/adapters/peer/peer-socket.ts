/**
 * One WebSocket to a replica, from the moment it counts as the connection until it ends.
 *
 *  K1. Ends are told once, and nothing is received after one.
 *  K2. Silence is only looked for while something that was sent is not followed by any sign of life: then one ping asks,
 *      and if that stays without an answer, too, the connection is over. TCP alone would try for a quarter of an hour,
 *      and after a broken link is whole again wait for up to two minutes with its next try. Where nothing is said nothing
 *      is asked: a paused group exchanges no messages.
 *  K3. TCP's own keep-alive holds the way through a NAT open meanwhile, without waking a process, and finds a machine that
 *      is gone without a word.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { limits } from '../../core/base/limits.ts';
import { ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import type { ReplicaId } from '../../core/raft/membership.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DialRank } from './dial-rank.ts';

/**
 * Many NATs forget a quiet connection after two to five minutes, and what ran on a machine that is gone waits for this,
 * and for the ten tries a second apart that follow (libuv): half a minute, for a packet three times a minute.
 */
const KEEPALIVE_MS = 20_000;
/** What the other end may take to answer a close before the connection is cut. */
const LAST_WORD_MS = 1_000;

export interface PeerSocketEvents {
  received(frame: Uint8Array): void;
  /** For the log. */
  ended(reason: string): void;
}

export interface PeerSocketInit {
  readonly webSocket: WebSocket;
  readonly socket: Socket | null;
  readonly peer: ReplicaId;
  readonly rank: DialRank;
  /** Silence after which it is asked, and after as much again given up. */
  readonly patienceMs: number;
}

export class PeerSocket {
  readonly rank: DialRank;
  readonly #clock: Clock;
  readonly #webSocket: WebSocket;
  readonly #events: PeerSocketEvents;
  readonly #patienceMs: number;
  #isEnded = false;
  /** When something was sent that no sign of life has followed. */
  #unheardSinceMs: number | null = null;
  #cancelWatch: (() => void) | null = null;
  #isAsked = false;
  #sentBytes = 0;
  #takenBytes = 0;

  constructor(clock: Clock, { webSocket, socket, rank, patienceMs }: PeerSocketInit, events: PeerSocketEvents) {
    this.rank = rank;
    this.#clock = clock;
    this.#webSocket = webSocket;
    this.#events = events;
    this.#patienceMs = patienceMs;
    // A heartbeat or an agreement is some thirty bytes: it does not wait for the acknowledgement of the one before.
    socket?.setNoDelay();
    socket?.setKeepAlive(true, KEEPALIVE_MS);
    webSocket.on('message', (data, isBinary) => {
      this.#heard();
      if (this.#isEnded) return;
      if (isBinary && data instanceof Uint8Array) events.received(data);
      else this.#fail('it says what no replica says', 'invalid_request');
    });
    webSocket.on('ping', () => this.#heard());
    webSocket.on('pong', () => this.#heard());
    webSocket.on('close', (code, reason) => this.#ended(`closed by the other end (${code} ${reason.toString()})`));
    webSocket.on('error', (error) => this.#ended(error.message));
  }

  /** N3. */
  send(frame: Uint8Array): void {
    const webSocket = this.#webSocket;
    if (this.#isEnded || webSocket.bufferedAmount + frame.length > limits.peerOutgoingBytes) return;
    webSocket.send(frame);
    this.#sentBytes += frame.length;
    this.#unheardSinceMs ??= this.#clock.elapsedMs();
    if (this.#cancelWatch === null) this.#watch(this.#patienceMs);
  }

  /** Tells nobody here; the other end is told why, as far as it still listens. */
  end(code: ErrorCode): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#cancelWatch?.();
    hangUp(this.#clock, this.#webSocket, code);
  }

  #watch(delayMs: number): void {
    this.#cancelWatch = this.#clock.startTimer(delayMs, () => {
      this.#cancelWatch = null;
      this.#lookForSilence();
    });
  }

  #lookForSilence(): void {
    // What the other end's TCP takes is a sign of life: a large batch over a slow link is answered late.
    const takenBytes = this.#sentBytes - this.#webSocket.bufferedAmount;
    const isMoving = this.#webSocket.bufferedAmount > 0 && takenBytes > this.#takenBytes;
    this.#takenBytes = takenBytes;
    if (isMoving) {
      this.#isAsked = false;
      this.#unheardSinceMs = this.#clock.elapsedMs();
    }
    if (this.#unheardSinceMs === null) return;
    const silentMs = this.#clock.elapsedMs() - this.#unheardSinceMs;
    if (silentMs < this.#patienceMs) {
      this.#watch(this.#patienceMs - silentMs);
    } else if (!this.#isAsked) {
      this.#isAsked = true;
      this.#webSocket.ping();
      this.#watch(this.#patienceMs);
    } else this.#fail('it stopped answering', 'timed_out');
  }

  #heard(): void {
    this.#unheardSinceMs = null;
    this.#isAsked = false;
  }

  #fail(reason: string, code: ErrorCode): void {
    if (this.#isEnded) return;
    this.end(code);
    this.#events.ended(reason);
  }

  #ended(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#cancelWatch?.();
    this.#webSocket.terminate();
    this.#events.ended(reason);
  }
}

/** With a code of the error table: a WebSocket has the numbers from 4000 on for its users (RFC 6455, section 7.4.2). */
export function hangUp(clock: Clock, webSocket: WebSocket, code: ErrorCode, detail = ''): void {
  const cancel = clock.startTimer(LAST_WORD_MS, () => webSocket.terminate());
  webSocket.once('close', cancel);
  webSocket.close(4000 + ERRORS[code].status, `${code}${detail}`);
}
