/**
 * Requests to etcd through its JSON gateway (one for each of its gRPC services, under /v3).
 *
 *  - Of several members one is used until it fails; whoever asks again then asks the next. Nothing is sent twice here:
 *    whether that is harmless only the caller knows.
 *  - With a user, a token is fetched when it is needed, and again when etcd no longer knows it.
 *  - Every answer is read up to a limit and within a time; a watch has none, and ends when it is told to.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import * as z from 'zod/mini';
import { must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EtcdEndpoint } from './address.ts';
import { answeredError, connectionError, EtcdError, isTrouble } from './etcd-error.ts';

export interface EtcdAccess {
  readonly endpoints: readonly EtcdEndpoint[];
  /** null: without TLS. As PEM; without `ca`, the authorities that Node knows. */
  readonly tls: { readonly ca?: string; readonly certificate?: string; readonly key?: string } | null;
  readonly user: { readonly name: string; readonly password: string } | null;
}

const CONNECTIONS = 16;
/** A watch may be silent for days; this finds a host that is gone, and keeps NATs open. */
const KEEP_ALIVE_MS = 30_000;

const errorSchema = z.object({
  error: z.union([
    z.string(),
    // In a stream.
    z.object({ grpc_code: z.optional(z.number()), message: z.string() }),
  ]),
  code: z.optional(z.number()),
});
const tokenSchema = z.object({ token: z.string() });

export class EtcdGateway {
  readonly #clock: Clock;
  readonly #access: EtcdAccess;
  readonly #agent: HttpAgent;
  readonly #options: RequestOptions;
  #current = 0;
  #token: Promise<string> | null = null;
  #hasAnswered = false;

  constructor(clock: Clock, access: EtcdAccess) {
    this.#clock = clock;
    this.#access = access;
    const { tls } = access;
    const keepAlive = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, maxSockets: CONNECTIONS, maxFreeSockets: 2 };
    this.#agent =
      tls === null
        ? new HttpAgent(keepAlive)
        : new HttpsAgent({ ...keepAlive, ca: tls.ca, cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' });
    this.#options = { agent: this.#agent, method: 'POST' };
  }

  /** `signal` gives it up: then it may have been carried out. Throws `EtcdError` or `CodedError`. */
  async call<T>(path: string, body: unknown, schema: z.ZodMiniType<T>, signal?: AbortSignal): Promise<T> {
    const endpoint = this.#member;
    try {
      const answer = schema.safeParse(await this.#authorised(endpoint, path, JSON.stringify(body), signal));
      if (answer.success) return answer.data;
      throw new CodedError('unreachable', `${nameOf(endpoint)} gives an unknown answer to ${path}`);
    } catch (error) {
      if (!signal?.aborted) this.#leaveAfter(error, endpoint);
      throw error;
    }
  }

  /**
   * Calls `received` with each message of a stream. Resolves when `signal` has ended it, throws when anything else has.
   * What `received` throws ends the stream, and is thrown.
   */
  async stream<T>(path: string, body: unknown, schema: z.ZodMiniType<T>, signal: AbortSignal, received: (message: T) => void) {
    const endpoint = this.#member;
    try {
      const token = await this.#tokenOf(endpoint, signal);
      if (signal.aborted) return;
      const response = await answerTo(this.#ask(endpoint, path, JSON.stringify(body), token, signal));
      try {
        for await (const line of lines(response, nameOf(endpoint))) {
          const message = schema.safeParse(resultOf(endpoint, response, line));
          if (!message.success) throw new CodedError('unreachable', `${nameOf(endpoint)} sends what is unknown to ${path}`);
          if (signal.aborted) return;
          received(message.data);
        }
      } finally {
        response.destroy();
      }
      throw new EtcdError('away', `${nameOf(endpoint)} ended the stream`);
    } catch (error) {
      if (signal.aborted) return;
      const failure = error instanceof Error && 'code' in error ? connectionError(nameOf(endpoint), error) : error;
      if (isTrouble(failure, 'tokenGone')) this.#token = null;
      this.#leaveAfter(failure, endpoint);
      throw failure;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** One end with TLS and one without break off, and say no more. */
  get #doubt(): string {
    if (this.#hasAnswered) return '';
    return this.#access.tls === null ? 'does it want TLS, etcds://?' : 'does it speak TLS?';
  }

  get #member(): EtcdEndpoint {
    return must(this.#access.endpoints[this.#current], 'a member');
  }

  /** Unless what was said is etcd's answer, or somebody has moved on from this member already. */
  #leaveAfter(error: unknown, endpoint: EtcdEndpoint): void {
    const isAnswer = !isTrouble(error, 'away') && !(error instanceof CodedError && error.code !== 'etcd_refused');
    if (!isAnswer && this.#member === endpoint) this.#current = (this.#current + 1) % this.#access.endpoints.length;
  }

  async #authorised(endpoint: EtcdEndpoint, path: string, body: string, signal?: AbortSignal): Promise<unknown> {
    try {
      return await this.#exchange(endpoint, path, body, await this.#tokenOf(endpoint, signal), signal);
    } catch (error) {
      if (!isTrouble(error, 'tokenGone')) throw error;
      this.#token = null;
      return await this.#exchange(endpoint, path, body, await this.#tokenOf(endpoint, signal), signal);
    }
  }

  #tokenOf(endpoint: EtcdEndpoint, signal?: AbortSignal): Promise<string> | null {
    const { user } = this.#access;
    if (user === null) return null;
    if (this.#token === null) {
      const token = this.#exchange(endpoint, '/v3/auth/authenticate', JSON.stringify(user), null, signal).then((answer) => {
        const parsed = tokenSchema.safeParse(answer);
        if (parsed.success) return parsed.data.token;
        throw new CodedError('unreachable', `${nameOf(endpoint)} gives no token`);
      });
      this.#token = token;
      // The next request tries again.
      token.catch(() => {
        if (this.#token === token) this.#token = null;
      });
    }
    return this.#token;
  }

  async #exchange(
    endpoint: EtcdEndpoint,
    path: string,
    body: string,
    token: string | null,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const host = nameOf(endpoint);
    const outgoing = this.#ask(endpoint, path, body, token);
    let stopped: EtcdError | null = null;
    const stop = (why: string): void => {
      stopped ??= new EtcdError('away', `${host} ${why}`);
      outgoing.destroy(stopped);
    };
    const giveUp = (): void => stop('was not waited for');
    const cancelTimer = this.#clock.startTimer(limits.etcdRequestTimeoutMs, () =>
      stop(`did not answer within ${limits.etcdRequestTimeoutMs / 1_000} s`),
    );
    // Not AbortSignal.any: `signal` lives for as long as a leader leads, and would be left with a trace of every request.
    signal?.addEventListener('abort', giveUp);
    if (signal?.aborted) giveUp();
    try {
      const response = await answerTo(outgoing);
      this.#hasAnswered = true;
      return resultOf(endpoint, response, await textOf(response, host));
    } catch (error) {
      throw stopped ?? connectionError(host, error, this.#doubt);
    } finally {
      cancelTimer();
      signal?.removeEventListener('abort', giveUp);
    }
  }

  #ask({ host, port }: EtcdEndpoint, path: string, body: string, token: string | null, signal?: AbortSignal): ClientRequest {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(token === null ? {} : { authorization: token }),
    };
    const request = this.#access.tls === null ? httpRequest : httpsRequest;
    const outgoing = request({ ...this.#options, host, port, path, headers, ...(signal === undefined ? {} : { signal }) });
    outgoing.setNoDelay(true);
    outgoing.end(body);
    return outgoing;
  }
}

function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
  });
}

function nameOf({ host, port }: EtcdEndpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What an answer says; throws when it says that something went wrong. */
function resultOf(endpoint: EtcdEndpoint, response: IncomingMessage, text: string): unknown {
  const answer = parseJson(text);
  const failure = isFailure(answer) ? errorSchema.safeParse(answer) : null;
  if (failure?.success) {
    const { error, code } = failure.data;
    throw typeof error === 'string'
      ? answeredError(nameOf(endpoint), code, error)
      : answeredError(nameOf(endpoint), error.grpc_code, error.message);
  }
  if (response.statusCode === 200 && answer !== undefined) return answer;
  if (response.statusCode === 503) throw new EtcdError('away', `${nameOf(endpoint)} answers 503`);
  throw new CodedError(
    'unreachable',
    `what answers at ${nameOf(endpoint)} is not etcd 3.4 or later (HTTP ${response.statusCode})`,
  );
}

function isFailure(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'error' in answer;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** By events: half the work of an asynchronous iterator, and there is an answer to every append. */
function textOf(response: IncomingMessage, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    response.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > limits.responseBodyBytes) response.destroy(new CodedError('unreachable', `the answer of ${host} is too large`));
    });
    response.on('end', () => resolve(Buffer.concat(chunks).toString()));
    response.on('error', reject);
  });
}

async function* lines(response: IncomingMessage, host: string): AsyncGenerator<string> {
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (let chunk of response as AsyncIterable<Buffer>) {
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10)) {
      yield Buffer.concat([...chunks, chunk.subarray(0, end)]).toString();
      chunks = [];
      bytes = 0;
      chunk = chunk.subarray(end + 1);
    }
    bytes += chunk.length;
    if (bytes > limits.responseBodyBytes) throw new CodedError('unreachable', `a message of ${host} is too large`);
    if (chunk.length > 0) chunks.push(chunk);
  }
}
