/**
 * One request to one replica of an orchestrator, and its answer: the CA pinned, TLS 1.3, answers bounded, failures in
 * words. Over `node:https` and not `fetch`, whose client takes 20 MB and 40 ms before the first byte.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from 'node:tls';
import { CERTIFICATE_OUT_OF_DATE, UNTRUSTED_CERTIFICATE } from '../../core/base/certificate-verdicts.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError, ERRORS, type ErrorCode, type ErrorDetail } from '../../core/model/errors.ts';
import { LEADER_HEADER } from '../../core/model/leadership.ts';
import { parseToken } from '../../core/model/token.ts';
import { Exit } from '../exit-codes.ts';

export interface RequestOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How long one try may take until there is a connection, and until there is an answer. */
export interface Bounds {
  readonly connectMs: number;
  readonly answerMs: number;
}

/** Whom it is for. */
export interface Audience {
  /** For messages: `context home`, `--server`. */
  readonly origin: string;
  readonly token: string;
  /** null: the token says by its hash which one it must be. */
  readonly caPem: string | null;
}

/** What the TLS connection showed, for `tendril doctor`. */
export interface ServerCertificate {
  readonly notAfterMs: number;
}

/** What became of a request that was not answered with 2xx. */
export class Failure extends Error {
  /**
   * `unsent`: nobody was there to hear it, or not the one that it is for. `lost`: it may have been heard, and the answer
   * may have been on its way. `refused`: that is the answer.
   */
  readonly kind: 'unsent' | 'lost' | 'refused';
  readonly error: CodedError;
  /** Who leads, in the words of a replica that refused because it does not. */
  readonly leader: string | null;

  constructor(kind: Failure['kind'], error: CodedError, leader: string | null = null) {
    super(error.message, { cause: error });
    this.kind = kind;
    this.error = error;
    this.leader = leader;
  }
}

/** A stream that was open and has broken off: it may be opened again. */
export class BrokeOff extends CodedError {}

/** The identity in an orchestrator's certificate; addresses change at the edge, behind NAT they are unknown to it. */
const ORCHESTRATOR_URI = 'URI:tendril://orchestrator';

export class Exchange {
  readonly #audience: Audience;
  readonly #ended: AbortSignal;
  #agent: Promise<Agent> | null = null;
  certificate: ServerCertificate | null = null;

  /** When `ended` aborts, whatever is under way rejects with an `Exit`. */
  constructor(audience: Audience, ended: AbortSignal) {
    this.#audience = audience;
    this.#ended = ended;
  }

  /** The parsed JSON of a 2xx answer, and its head. Rejects with a `Failure`. */
  async json(server: string, method: string, path: string, options: RequestOptions, bounds: Bounds) {
    const head = await this.open(server, method, path, options, bounds);
    return { head, body: await this.#readJson(server, head) };
  }

  /** The head of a 2xx answer, whose body is the caller's. Rejects with a `Failure`. */
  async open(server: string, method: string, path: string, options: RequestOptions, bounds: Bounds): Promise<IncomingMessage> {
    const agent = await this.#agentFor(server, bounds);
    const response = await this.#send(agent, server, method, path, options, bounds);
    if (!isSuccess(response)) throw await this.#refusal(server, response);
    return response;
  }

  async close(): Promise<void> {
    (await this.#agent?.catch(() => null))?.destroy();
  }

  /** One for all replicas: they have one authority. */
  #agentFor(server: string, bounds: Bounds): Promise<Agent> {
    this.#agent ??= this.#makeAgent(server, bounds).catch((error: unknown) => {
      this.#agent = null; // the next replica may say what the CA is
      throw error;
    });
    return this.#agent;
  }

  async #makeAgent(server: string, bounds: Bounds): Promise<Agent> {
    const { caPem, token } = this.#audience;
    const ca = caPem ?? (await this.#fetchPinnedCa(server, token, bounds));
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
  async #fetchPinnedCa(server: string, tokenText: string, bounds: Bounds): Promise<string | null> {
    const token = parseToken(tokenText);
    if (!token.ok) return null;
    const stranger = new Agent({ minVersion: 'TLSv1.3', rejectUnauthorized: false });
    try {
      const response = await this.#send(stranger, server, 'GET', '/v1/ca', {}, bounds, true);
      if (!isSuccess(response)) throw await this.#refusal(server, response);
      const answer = await this.#readJson(server, response);
      const caPem = isRecord(answer) && typeof answer.caPem === 'string' ? answer.caPem : '';
      if (fingerprintOf(caPem) !== token.value.caFingerprint)
        throw new Failure('unsent', new CodedError('wrong_ca', this.#where(server)));
      return caPem;
    } finally {
      stranger.destroy();
    }
  }

  #send(
    agent: Agent,
    server: string,
    method: string,
    path: string,
    options: RequestOptions,
    { connectMs, answerMs }: Bounds,
    anonymous = false,
  ): Promise<IncomingMessage> {
    if (this.#ended.aborted) return Promise.reject(new Exit('interrupted'));
    const { token } = this.#audience;
    const body = options.body === undefined ? null : Buffer.from(JSON.stringify(options.body));
    if (body && body.length > limits.requestBodyBytes)
      return Promise.reject(
        new CodedError('too_large', 'the request would be larger than the orchestrator takes; apply fewer files at once'),
      );
    return new Promise((resolve, reject) => {
      let answered = false;
      const request = httpsRequest(new URL(path, server), {
        agent,
        method,
        signal: this.#ended,
        headers: {
          accept: 'application/json',
          ...(token !== '' && !anonymous && { authorization: `Bearer ${token}` }),
          ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
          ...options.headers,
        },
      });
      let established = false;
      let late = '';
      const after = (ms: number, what: string) =>
        setTimeout(() => {
          late = `no ${what} within ${ms / 1000} s`;
          request.destroy(new Error(late));
        }, ms);
      const connecting = after(connectMs, 'connection');
      const waiting = after(answerMs, 'answer');
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
        if (!answered) reject(this.#ended.aborted ? new Exit('interrupted') : this.#explain(server, error, established, late));
      });
      request.on('close', () => {
        clearTimeout(connecting);
        clearTimeout(waiting);
      });
      request.end(body ?? undefined);
    });
  }

  async #readJson(server: string, response: IncomingMessage): Promise<unknown> {
    const text = await this.#readText(server, response);
    if (text === '') return null;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Failure('refused', this.#unreachable(server, 'what answers there is no tendril API', error));
    }
  }

  async #readText(server: string, response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of response) {
        const bytes = chunk as Buffer;
        size += bytes.length;
        if (size > limits.responseBodyBytes)
          throw new Failure('refused', new CodedError('too_large', `the answer of ${this.#where(server)}`));
        chunks.push(bytes);
      }
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (this.#ended.aborted) throw new Exit('interrupted');
      throw new Failure('lost', this.brokeOff(server, error));
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /** The error that the API answered: `{error: {code, message, hint, details}}`. */
  async #refusal(server: string, response: IncomingMessage): Promise<Failure> {
    const text = await this.#readText(server, response);
    try {
      const answer: unknown = JSON.parse(text);
      const error = isRecord(answer) && isRecord(answer.error) ? answer.error : null;
      if (error && typeof error.code === 'string' && typeof error.message === 'string') {
        const code = isErrorCode(error.code) ? error.code : codeOfStatus(response.statusCode ?? 500);
        const details = Array.isArray(error.details) ? error.details.filter(isDetail) : [];
        const leader = response.headers[LEADER_HEADER];
        return new Failure(
          'refused',
          new CodedError(code, withoutPrefix(error.message, ERRORS[code].message), details),
          typeof leader === 'string' ? leader : null,
        );
      }
    } catch {
      // Not JSON: a proxy's page, say. What it says helps nobody; the status does.
    }
    return new Failure(
      'refused',
      this.#unreachable(server, `what answers there is no tendril API (HTTP ${response.statusCode})`),
    );
  }

  #explain(server: string, error: NodeJS.ErrnoException, established: boolean, late: string): Failure {
    const code = error.code ?? error.message;
    const where = this.#where(server);
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
      return unsent(
        new CodedError('certificate_refused', `${where} shows a certificate that is not an orchestrator's`, [], error),
      );
    if (CERTIFICATE_OUT_OF_DATE.has(code)) {
      const what = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
      return unsent(new CodedError('certificate_refused', `that of ${where} ${what}, by this machine's clock`, [], error));
    }
    if (UNTRUSTED_CERTIFICATE.has(code)) return unsent(new CodedError('wrong_ca', where, [], error));
    if (established)
      return new Failure('lost', late === '' ? this.brokeOff(server, error) : this.#unreachable(server, late, error));
    return unsent(this.#unreachable(server, late || (REASONS[code] ?? `the connection failed (${code})`), error));
  }

  brokeOff(server: string, cause: unknown): BrokeOff {
    return new BrokeOff('unreachable', `${this.#where(server)}: the connection broke off`, [], cause);
  }

  #unreachable(server: string, why: string, cause?: unknown): CodedError {
    return new CodedError('unreachable', `${this.#where(server)}: ${why}`, [], cause);
  }

  #where(server: string): string {
    return `${server} (${this.#audience.origin})`;
  }
}

function unsent(error: CodedError): Failure {
  return new Failure('unsent', error);
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ETIMEDOUT: 'the host does not answer',
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
