/**
 * HTTP/1.1 to the container engine over its unix socket. Short requests share a few kept-alive connections;
 * streams (events, logs, pulls) have one each, so that they never keep a request waiting.
 *
 * Whatever prevents an answer becomes `unavailable`; an answer of any status is an answer.
 */
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import type * as z from 'zod/mini';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import { refusalSchema } from './engine-schemas.ts';

export interface EngineCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  /** Without a byte from the engine for this long, the call fails; 0 waits for ever. */
  readonly idleTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface EngineReply {
  readonly status: number;
  readonly text: string;
}

export class EngineHttp {
  readonly socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: limits.engineConnections });
  readonly #streams = new Set<IncomingMessage>();

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  async call(call: EngineCall): Promise<EngineReply> {
    const response = await this.#send(call, this.#agent);
    try {
      return { status: response.statusCode ?? 0, text: await readBounded(response) };
    } catch (error) {
      response.destroy();
      throw error instanceof CodedError ? error : this.#silent(error);
    }
  }

  /** The response once its headers are there, whatever its status. It ends with an error when the engine goes away. */
  async stream(call: EngineCall): Promise<IncomingMessage> {
    const response = await this.#send({ idleTimeoutMs: 0, ...call }, false);
    this.#streams.add(response);
    response.once('close', () => this.#streams.delete(response));
    return response;
  }

  /** The reply to a stream that was refused. */
  async refusal(response: IncomingMessage): Promise<EngineReply> {
    return { status: response.statusCode ?? 0, text: await readBounded(response) };
  }

  close(): void {
    this.#agent.destroy();
    for (const stream of this.#streams) stream.destroy();
  }

  async #send(call: EngineCall, agent: Agent | false): Promise<IncomingMessage> {
    try {
      return await this.#sendOnce(call, agent);
    } catch (error) {
      // An idle connection that the engine closed just as it was used again: every call here may be repeated.
      if (error instanceof Reused)
        return await this.#sendOnce(call, agent).catch((again: unknown) => Promise.reject(this.#silent(again)));
      throw this.#silent(error);
    }
  }

  #sendOnce(call: EngineCall, agent: Agent | false): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
      const query = call.query === undefined ? '' : `?${new URLSearchParams(call.query)}`;
      const sent: ClientRequest = request({
        socketPath: this.socketPath,
        agent,
        method: call.method,
        path: call.path + query,
        timeout: call.idleTimeoutMs ?? limits.engineReplyTimeoutMs,
        ...(call.signal === undefined ? {} : { signal: call.signal }),
        headers:
          body === undefined
            ? { host: 'engine' }
            : { host: 'engine', 'content-type': 'application/json', 'content-length': body.length },
      });
      sent.once('response', resolve);
      sent.once('timeout', () => sent.destroy(new Error('no answer in time')));
      sent.on('error', (error) => reject(sent.reusedSocket && isReset(error) ? new Reused(error.message) : error));
      sent.end(body);
    });
  }

  #silent(cause: unknown): CodedError {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new CodedError('unavailable', `the container engine at ${this.socketPath} does not answer (${why})`, [], cause);
  }
}

class Reused extends Error {}

function isReset(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += chunk.length;
    if (bytes > limits.responseBodyBytes) throw new CodedError('runtime_failed', 'the container engine answers without end');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** `text` as what it must be; an engine that says something else is not one that Tendril can use. */
export function parseReply<T extends z.ZodMiniType>(schema: T, text: string): z.output<T> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new CodedError('runtime_failed', 'the container engine answers with something that is not JSON');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CodedError('runtime_failed', `the container engine's answer has a wrong ${issue?.path.join('.')}: ${issue?.message}`);
}

/** What the engine says when it refuses. */
export function refusalMessage(reply: EngineReply): string {
  try {
    return parseReply(refusalSchema, reply.text).message;
  } catch {
    return `status ${reply.status}`;
  }
}

/** The lines of a stream of JSON objects, parsed. */
export async function* jsonLines<T extends z.ZodMiniType>(schema: T, stream: AsyncIterable<Buffer>): AsyncGenerator<z.output<T>> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
      const line = rest.slice(start, end).trim();
      start = end + 1;
      if (line !== '') yield parseReply(schema, line);
    }
    rest = rest.slice(start);
    if (rest.length > limits.responseBodyBytes)
      throw new CodedError('runtime_failed', 'the container engine sends a line without end');
  }
  if (rest.trim() !== '') yield parseReply(schema, rest);
}
