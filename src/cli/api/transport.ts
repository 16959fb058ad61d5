/**
 * HTTPS to one orchestrator, whichever of its replicas is there: any of them takes a request and passes it on to the
 * leader.
 *
 *  T1. A request that nobody heard, whose answer was lost, or that was refused for want of a leader is sent again, to
 *      each replica in turn, as long as the patience lasts. That is safe: reads change nothing, and each write carries an
 *      idempotency key, the same at every try, by which the orchestrator knows it again.
 *  T2. Where nobody at all is there, it says so at once; patience is for those that were there a moment ago.
 *  T3. Whoever waits for longer than a second is told what for, once.
 *  T4. Replicas are known from the answers of those that are known; the one that works is asked first.
 */
import { randomInt, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ADDRESS_PATTERN, Addresses } from '../../core/base/addresses.ts';
import { must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { Prng, type Random } from '../../core/base/prng.ts';
import { CodedError, ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import { REPLICAS_HEADER } from '../../core/model/leadership.ts';
import type { Target } from '../context/target.ts';
import { Exit } from '../exit-codes.ts';
import { type Bounds, Exchange, Failure, type RequestOptions, type ServerCertificate } from './exchange.ts';

export interface TransportOptions {
  /** How long a request is tried and its answer waited for. */
  readonly patienceMs?: number | undefined;
  /** Told once for a request that takes more than a second: what it waits for. */
  readonly waiting?: (what: string) => void;
}

export interface StreamOptions {
  /** It goes on with one that broke off: who is gone is expected back. */
  readonly again?: boolean | undefined;
}

/** A new leader is there in a second or two, an orchestrator that restarts as well. */
const PATIENCE_MS = 10_000;
/** Of what goes on for hours. */
const LONG_PATIENCE_MS = 30_000;
/** What is left of it has to be at least this much for another try. */
const TRY_MS = 100;
/** Of the pauses that are made for thousands of children: commands are few ... */
const PAUSE_SHARE = 0.5;
/** ... and somebody waits for them. */
const PAUSE_MAX_MS = 1_000;
const QUIET_MS = 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** A write waits for its commit, at worst for a new leader; a stream for a node that dials back ... */
const ANSWER_TIMEOUT_MS = 30_000;
/** ... but where another replica can be asked at once, one that has died without a word is not waited for. */
const ANSWER_TIMEOUT_OF_SEVERAL_MS = 5_000;

/** A stream that is quiet for so long is asked, beside it, for a sign of life (often enough for one connection to do) ... */
const QUIET_STREAM_MS = 3_000;
/** ... which takes no longer than this. */
const SIGN_OF_LIFE_MS = 3_000;
/** Holds a NAT open. */
const KEEPALIVE_MS = 30_000;

/** What is answered while there is no leader. */
const LEADERLESS: readonly ErrorCode[] = ['not_leading', 'no_quorum'];

/** One request, however often it is sent. */
interface Undertaking<T> {
  readonly attempt: (server: string, bounds: Bounds) => Promise<T>;
  readonly patienceMs: number;
  readonly answerMs: number;
  /** Also while nobody is there. */
  readonly persistent: boolean;
  /** Refusals that may pass. */
  readonly passing: readonly ErrorCode[];
}

export class Transport {
  readonly #target: Target;
  readonly #options: TransportOptions;
  readonly #exchange: Exchange;
  readonly #random: Random = new Prng(randomInt(2 ** 32));
  /** Addresses of the replicas, the one that works first. */
  #known: readonly string[];
  readonly #ending = new AbortController();
  readonly #leave: () => void;

  constructor(target: Target, interrupted: AbortSignal, options: TransportOptions = {}) {
    this.#target = target;
    this.#options = options;
    this.#exchange = new Exchange(target, this.#ending.signal);
    this.#known = target.servers ?? [target.server];
    const end = () => this.#ending.abort();
    if (interrupted.aborted) end();
    interrupted.addEventListener('abort', end, { once: true });
    this.#leave = () => interrupted.removeEventListener('abort', end);
  }

  /** Aborts when this connection is interrupted or closed: nothing is asked, awaited or tried again after. */
  get ended(): AbortSignal {
    return this.#ending.signal;
  }

  get server(): string {
    return this.#known[0] ?? this.#target.server;
  }

  get certificate(): ServerCertificate | null {
    return this.#exchange.certificate;
  }

  /** What is worth remembering: the replicas' addresses, the one that works first. null: nothing new. */
  get servers(): readonly string[] | null {
    const before = this.#target.servers ?? [this.#target.server];
    const now = this.#known;
    const same = now.length === before.length && now[0] === before[0] && now.every((server) => before.includes(server));
    return same ? null : now;
  }

  /** The parsed JSON of a 2xx answer. Throws a CodedError: the orchestrator's own, or one of this side. */
  json(method: string, path: string, options: RequestOptions = {}): Promise<unknown> {
    const isRead = method === 'GET';
    const headers = { ...(isRead ? {} : { 'idempotency-key': randomUUID() }), ...options.headers };
    return this.#anywhere({
      attempt: async (server, bounds) => {
        const { head, body } = await this.#exchange.json(server, method, path, { ...options, headers }, bounds);
        this.#learn(head);
        return body;
      },
      patienceMs: this.#options.patienceMs ?? PATIENCE_MS,
      answerMs: this.#known.length > 1 ? ANSWER_TIMEOUT_OF_SEVERAL_MS : ANSWER_TIMEOUT_MS,
      persistent: false,
      // A write may have met a leader that has just stopped to be one; what a read cannot have now, it is told.
      passing: isRead ? LEADERLESS : [...LEADERLESS, 'unavailable'],
    });
  }

  /** The bytes of a 2xx answer that goes on until it ends, is left or breaks off. */
  async *stream(path: string, accept: string, { again = false }: StreamOptions = {}): AsyncGenerator<Buffer> {
    let response: IncomingMessage | null = null;
    let stopWatching = () => {};
    let at = this.server;
    try {
      response = await this.#anywhere({
        attempt: (server, bounds) => {
          at = server;
          return this.#exchange.open(server, 'GET', path, { headers: { accept } }, bounds);
        },
        patienceMs: again ? LONG_PATIENCE_MS : (this.#options.patienceMs ?? PATIENCE_MS),
        answerMs: ANSWER_TIMEOUT_MS,
        persistent: again,
        passing: again ? [...LEADERLESS, 'unavailable'] : LEADERLESS,
      });
      // A watch has heartbeats: one that is still for long has lost its other end without being told (NAT).
      if (accept === 'text/event-stream')
        response.setTimeout(3 * limits.streamHeartbeatMs, () => response?.destroy(new Error('silent')));
      stopWatching = this.#watchOver(response, at);
      for await (const chunk of response) yield chunk as Buffer;
    } catch (error) {
      if (error instanceof CodedError || error instanceof Exit) throw error;
      if (this.ended.aborted) throw new Exit('interrupted');
      throw this.#exchange.brokeOff(at, error);
    } finally {
      stopWatching();
      response?.destroy();
    }
  }

  /** Ends a stream that is quiet because its other end has died without a word: that answers nothing else either. */
  #watchOver(response: IncomingMessage, server: string): () => void {
    const { socket } = response;
    socket.setKeepAlive(true, KEEPALIVE_MS);
    let heard = socket.bytesRead;
    let timer: NodeJS.Timeout;
    const lookLater = () => {
      timer = setTimeout(() => {
        const isQuiet = socket.bytesRead === heard;
        heard = socket.bytesRead;
        if (isQuiet) void this.#isThere(server).then((there) => (there ? lookLater() : response.destroy(new Error('silent'))));
        else lookLater();
      }, QUIET_STREAM_MS);
    };
    lookLater();
    return () => clearTimeout(timer);
  }

  async #isThere(server: string): Promise<boolean> {
    try {
      await this.#exchange.json(server, 'GET', '/v1/health', {}, { connectMs: SIGN_OF_LIFE_MS, answerMs: SIGN_OF_LIFE_MS });
      return true;
    } catch (error) {
      return error instanceof Failure && error.kind === 'refused';
    }
  }

  /** Ends streams too: whoever reads one, or waits to open it again, would keep the process alive. */
  async close(): Promise<void> {
    this.#leave();
    this.#ending.abort();
    await this.#exchange.close();
  }

  async #anywhere<T>({ attempt, patienceMs, answerMs, persistent, passing }: Undertaking<T>): Promise<T> {
    const startedMs = performance.now();
    // Its own round: requests that run side by side do not fail for one another.
    const addresses = new Addresses({ given: this.#target.server, known: this.#known, random: this.#random });
    const failures = new Map<string, Failure>();
    let someoneIsThere = persistent;
    const announcing = this.#announce(startedMs + patienceMs, () => reasonOf(failures));
    try {
      for (;;) {
        const server = addresses.present;
        try {
          const result = await attempt(server, this.#bounds(startedMs, addresses.connectMs, answerMs));
          this.#known = [server, ...this.#known.filter((other) => other !== server)];
          return result;
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          // A replica that could not reach the leader says who that was: the next one may know of another.
          const passes = passing.includes(error.error.code) || error.leader !== null;
          if (error.kind === 'refused' && !passes) throw error.error;
          failures.set(server, error);
          if (error.kind !== 'unsent') someoneIsThere = true;
          const { pauseMs, roundOver } = addresses.failed(isServer(error.leader) ? error.leader : null);
          const leftMs = startedMs + patienceMs - performance.now() - TRY_MS;
          if (leftMs <= 0 || (roundOver && !someoneIsThere)) throw must(reasonOf(failures), 'a reason for a failure');
          await delay(roundOver ? Math.min(PAUSE_SHARE * pauseMs, PAUSE_MAX_MS, leftMs) : 0, undefined, {
            signal: this.ended,
          }).catch(() => {
            throw new Exit('interrupted');
          });
        }
      }
    } finally {
      clearTimeout(announcing);
    }
  }

  /** The user's own patience holds for everything; without one, an answer that takes its time is worth more than a new try. */
  #bounds(startedMs: number, connectMs: number | null, answerMs: number): Bounds {
    const leftMs = this.#options.patienceMs === undefined ? Infinity : this.#options.patienceMs - (performance.now() - startedMs);
    const within = (ms: number) => Math.round(Math.max(1, Math.min(ms, leftMs)));
    return { connectMs: within(Math.min(connectMs ?? Infinity, CONNECT_TIMEOUT_MS)), answerMs: within(answerMs) };
  }

  #announce(untilMs: number, reason: () => CodedError | null): NodeJS.Timeout | undefined {
    const { waiting } = this.#options;
    if (waiting === undefined) return undefined;
    return setTimeout(() => {
      const error = reason();
      const leftS = Math.ceil((untilMs - performance.now()) / 1000);
      waiting(error === null ? `for the answer of ${this.server}` : `${error.message}; trying for another ${leftS} s`);
    }, QUIET_MS);
  }

  #learn({ headers }: IncomingMessage): void {
    const told = headers[REPLICAS_HEADER];
    if (typeof told !== 'string') return;
    const servers = told.split(' ').filter(isServer);
    if (servers.length > 0) this.#known = [...new Set([...servers.slice(0, limits.orchestratorAddresses), this.#target.server])];
  }
}

function isServer(text: string | null): text is string {
  return text !== null && text.length <= limits.addressLength && ADDRESS_PATTERN.test(text) && URL.canParse(text);
}

/** Why it does not succeed: what somebody answered says more than a connection that broke off, and that more than none. */
function reasonOf(failures: ReadonlyMap<string, Failure>): CodedError | null {
  const all = [...failures.values()];
  const telling =
    all.find(({ kind }) => kind === 'refused') ??
    all.find(({ kind }) => kind === 'lost') ??
    all.find(({ error }) => error.code !== 'unreachable');
  if (telling || all.length < 2) return (telling ?? all[0])?.error ?? null;
  const prefix = `${ERRORS.unreachable.message}: `;
  return new CodedError('unreachable', all.map(({ error }) => error.message.replace(prefix, '')).join('; '));
}
