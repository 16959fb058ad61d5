/**
 * HTTPS to one orchestrator: its CA pinned, TLS 1.3, answers bounded, failures in words. Over `node:https`
 * and not `fetch`, whose client takes 20 MB and 40 ms before the first byte.
 *
 * A request whose answer was lost is sent again. That is safe: reads change nothing, and each write carries
 * an idempotency key by which the orchestrator knows it again.
 */
import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from 'node:tls';
import { limits } from '../../core/base/limits.ts';
import { CodedError, ERRORS, type ErrorCode, type ErrorDetail } from '../../core/model/errors.ts';
import { parseToken } from '../../core/model/token.ts';
import type { Target } from '../context/target.ts';
import { Exit } from '../exit-codes.ts';

export interface RequestOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the TLS connection showed, for `tendril doctor`. */
export interface ServerCertificate {
  readonly notAfterMs: number;
}

/** The identity in an orchestrator's certificate; addresses change at the edge, behind NAT they are unknown to it. */
const ORCHESTRATOR_URI = 'URI:tendril://orchestrator';

const CONNECT_TIMEOUT_MS = 5_000;
/** A write waits for its commit, at worst for a new leader. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Pauses before a lost request is sent again: an orchestrator restarts in about a second. */
const RETRY_PAUSES_MS = [100, 500, 1_500, 3_000];

/** The answer may have been on its way: the request arrived or not, nobody knows. */
class Lost extends Error {}

export class Transport {
  readonly #target: Target;
  readonly #ending = new AbortController();
  readonly #leave: () => void;
  #agent: Promise<Agent> | null = null;
  certificate: ServerCertificate | null = null;

  constructor(target: Target, interrupted: AbortSignal) {
    this.#target = target;
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
    return this.#target.server;
  }

  /** The parsed JSON of a 2xx answer. Throws a CodedError: the orchestrator's own, or one of this side. */
  async json(method: string, path: string, options: RequestOptions = {}): Promise<unknown> {
    const headers = method === 'GET' ? {} : { 'idempotency-key': randomUUID() };
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await this.#send(method, path, { ...options, headers: { ...headers, ...options.headers } });
        return await this.#readJson(response);
      } catch (error) {
        const pauseMs = RETRY_PAUSES_MS[attempt];
        const refusedAfterLoss = attempt > 0 && error instanceof CodedError && error.code === 'unreachable';
        if (!(error instanceof Lost) && !refusedAfterLoss) throw error;
        if (pauseMs === undefined) throw error instanceof Lost ? this.#unreachable('the connection broke off', error) : error;
        await delay(pauseMs, undefined, { signal: this.ended }).catch(() => {
          throw new Exit('interrupted');
        });
      }
    }
  }

  /** The bytes of a 2xx answer that goes on until it ends, is left or breaks off. */
  async *stream(path: string, accept: string): AsyncGenerator<Buffer> {
    let response: IncomingMessage | null = null;
    try {
      response = await this.#send('GET', path, { headers: { accept } });
      if (!isSuccess(response)) throw await this.#refusal(response);
      // A watch has heartbeats: one that is still for long has lost its other end without being told (NAT).
      if (accept === 'text/event-stream')
        response.setTimeout(3 * limits.streamHeartbeatMs, () => response?.destroy(new Error('silent')));
      for await (const chunk of response) yield chunk as Buffer;
    } catch (error) {
      if (error instanceof CodedError || error instanceof Exit) throw error;
      if (this.ended.aborted) throw new Exit('interrupted');
      throw this.#unreachable('the connection broke off', error);
    } finally {
      response?.destroy();
    }
  }

  /** Ends streams too: whoever reads one, or waits to open it again, would keep the process alive. */
  async close(): Promise<void> {
    this.#leave();
    this.#ending.abort();
    (await this.#agent?.catch(() => null))?.destroy();
  }

  async #send(method: string, path: string, options: RequestOptions): Promise<IncomingMessage> {
    this.#agent ??= this.#makeAgent();
    return this.#exchange(await this.#agent, method, path, options);
  }

  async #makeAgent(): Promise<Agent> {
    const { caPem, token } = this.#target;
    const ca = caPem ?? (await this.#fetchPinnedCa(token));
    return new Agent({
      keepAlive: true,
      minVersion: 'TLSv1.3',
      ...(ca !== null && { ca }),
      checkServerIdentity: (host, certificate) => this.#checkIdentity(host, certificate),
    });
  }

  #checkIdentity(host: string, certificate: PeerCertificate): Error | undefined {
    this.certificate = { notAfterMs: Date.parse(certificate.valid_to) };
    // Node quotes unusual values (CVE-2021-44532); in a quoted list a separator proves nothing.
    const names = certificate.subjectaltname ?? '';
    if (!names.includes('"') && names.split(', ').includes(ORCHESTRATOR_URI)) return undefined;
    return checkServerIdentity(host, certificate);
  }

  /**
   * With a token and no CA: any stranger may ask an orchestrator for its CA, and the token says by its hash
   * which one it must be. Nothing secret is said before that is checked.
   */
  async #fetchPinnedCa(tokenText: string): Promise<string | null> {
    const token = parseToken(tokenText);
    if (!token.ok) return null;
    const stranger = new Agent({ minVersion: 'TLSv1.3', rejectUnauthorized: false });
    try {
      const answer = await this.#readJson(await this.#exchange(stranger, 'GET', '/v1/ca', {}, true));
      const caPem = isRecord(answer) && typeof answer.caPem === 'string' ? answer.caPem : '';
      if (fingerprintOf(caPem) !== token.value.caFingerprint) throw new CodedError('wrong_ca', this.#where());
      return caPem;
    } catch (error) {
      throw error instanceof Lost ? this.#unreachable('the connection broke off', error) : error;
    } finally {
      stranger.destroy();
    }
  }

  #exchange(agent: Agent, method: string, path: string, options: RequestOptions, anonymous = false): Promise<IncomingMessage> {
    if (this.ended.aborted) return Promise.reject(new Exit('interrupted'));
    const body = options.body === undefined ? null : Buffer.from(JSON.stringify(options.body));
    if (body && body.length > limits.requestBodyBytes)
      return Promise.reject(
        new CodedError('too_large', 'the request would be larger than the orchestrator takes; apply fewer files at once'),
      );
    return new Promise((resolve, reject) => {
      let answered = false;
      const request = httpsRequest(new URL(path, this.#target.server), {
        agent,
        method,
        signal: this.ended,
        headers: {
          accept: 'application/json',
          ...(this.#target.token !== '' && !anonymous && { authorization: `Bearer ${this.#target.token}` }),
          ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
          ...options.headers,
        },
      });
      let established = false;
      const connecting = setTimeout(() => request.destroy(new Error('CONNECT_TIMEOUT')), CONNECT_TIMEOUT_MS);
      const waiting = setTimeout(() => request.destroy(new Error('ANSWER_TIMEOUT')), ANSWER_TIMEOUT_MS);
      request.on('socket', (socket) => {
        const ready = () => {
          established = true;
          clearTimeout(connecting);
        };
        if ((socket as TLSSocket).connecting || !request.reusedSocket) socket.once('secureConnect', ready);
        else ready();
      });
      request.on('response', (response) => {
        answered = true;
        clearTimeout(waiting);
        resolve(response);
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        // Once there is an answer, its reader hears of what becomes of it.
        if (!answered) reject(this.ended.aborted ? new Exit('interrupted') : this.#explain(error, established));
      });
      request.on('close', () => {
        clearTimeout(connecting);
        clearTimeout(waiting);
      });
      request.end(body ?? undefined);
    });
  }

  async #readJson(response: IncomingMessage): Promise<unknown> {
    if (!isSuccess(response)) throw await this.#refusal(response);
    const text = await this.#readText(response);
    if (text === '') return null;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw this.#unreachable('what answers there is no tendril API', error);
    }
  }

  async #readText(response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of response) {
        const bytes = chunk as Buffer;
        size += bytes.length;
        if (size > limits.responseBodyBytes) throw new CodedError('too_large', `the answer of ${this.#where()}`);
        chunks.push(bytes);
      }
    } catch (error) {
      if (error instanceof CodedError) throw error;
      if (this.ended.aborted) throw new Exit('interrupted');
      throw new Lost('the answer broke off', { cause: error });
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /** The error that the API answered: `{error: {code, message, hint, details}}`. */
  async #refusal(response: IncomingMessage): Promise<CodedError> {
    const text = await this.#readText(response);
    try {
      const answer: unknown = JSON.parse(text);
      const error = isRecord(answer) && isRecord(answer.error) ? answer.error : null;
      if (error && typeof error.code === 'string' && typeof error.message === 'string') {
        const code = isErrorCode(error.code) ? error.code : codeOfStatus(response.statusCode ?? 500);
        const details = Array.isArray(error.details) ? error.details.filter(isDetail) : [];
        return new CodedError(code, withoutPrefix(error.message, ERRORS[code].message), details);
      }
    } catch {
      // Not JSON: a proxy's page, say. What it says helps nobody; the status does.
    }
    return this.#unreachable(`what answers there is no tendril API (HTTP ${response.statusCode})`);
  }

  #explain(error: NodeJS.ErrnoException, established: boolean): Error {
    const code = error.code ?? error.message;
    const where = this.#where();
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
      return new CodedError('certificate_refused', `${where} shows a certificate that is not an orchestrator's`, [], error);
    if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
      const what = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
      return new CodedError('certificate_refused', `that of ${where} ${what}, by this machine's clock`, [], error);
    }
    if (UNTRUSTED.has(code)) return new CodedError('wrong_ca', where, [], error);
    if (established && code !== 'ANSWER_TIMEOUT') return new Lost(code, { cause: error });
    return this.#unreachable(REASONS[code] ?? `the connection failed (${code})`, error);
  }

  #unreachable(why: string, cause?: unknown): CodedError {
    return new CodedError('unreachable', `${this.#where()}: ${why}`, [], cause);
  }

  #where(): string {
    return `${this.#target.server} (${this.#target.origin})`;
  }
}

const UNTRUSTED = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
]);

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ETIMEDOUT: 'the host does not answer',
  CONNECT_TIMEOUT: `no connection within ${CONNECT_TIMEOUT_MS / 1000} s`,
  ANSWER_TIMEOUT: `no answer within ${ANSWER_TIMEOUT_MS / 1000} s`,
  EPROTO: 'what listens there does not speak TLS 1.3',
  ECONNRESET: 'it closed the connection before TLS was established',
};

function isSuccess(response: IncomingMessage): boolean {
  return response.statusCode !== undefined && response.statusCode >= 200 && response.statusCode < 300;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

function isDetail(value: unknown): value is ErrorDetail {
  return isRecord(value) && typeof value.field === 'string' && typeof value.message === 'string';
}

/** For a code of a newer orchestrator. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 404) return 'not_found';
  if (status === 403) return 'forbidden';
  if (status === 409) return 'conflict';
  if (status >= 500) return 'unavailable';
  return 'invalid_request';
}

function withoutPrefix(message: string, prefix: string): string {
  if (message === prefix) return '';
  return message.startsWith(`${prefix}: `) ? message.slice(prefix.length + 2) : message;
}

function fingerprintOf(caPem: string): string | null {
  try {
    return createHash('sha256').update(new X509Certificate(caPem).raw).digest('hex');
  } catch {
    return null;
  }
}
