/**
 * The small HTTP service of a worker, spoken over connections that it has dialled to its parent: no port is
 * open for it. Only the parent can ask for such a connection, and only over the uplink.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError, ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import type { LogQuery } from '../../ports/runtime.ts';

const LOGS_PATH = /^\/v1\/instances\/([a-z0-9][a-z0-9.-]{0,126})\/logs$/;
const TAIL_LINES_MAX = 1_000_000;

/** An instance's kept output. Throws a CodedError when the node does not have it. */
export type ReadInstanceLogs = (id: string, query: LogQuery) => AsyncIterable<Uint8Array>;

export class ChildHttp {
  readonly #server: Server;

  constructor(readLogs: ReadInstanceLogs) {
    this.#server = createServer((request, response) => {
      answer(readLogs, request, response).catch((error: unknown) => refuse(response, error));
    });
  }

  serve(connection: Duplex): void {
    connection.on('error', () => connection.destroy());
    this.#server.emit('connection', connection);
  }
}

async function answer(readLogs: ReadInstanceLogs, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://node');
  const id = LOGS_PATH.exec(url.pathname)?.[1];
  if (id === undefined || request.method !== 'GET') throw new CodedError('not_found', url.pathname);
  const tail = url.searchParams.get('tail');
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const logs = readLogs(id, {
    follow: url.searchParams.get('follow') === 'true',
    tailLines: tail === null ? undefined : Math.min(Math.max(Number.parseInt(tail, 10) || 0, 0), TAIL_LINES_MAX),
    signal: gone.signal,
  });
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  response.flushHeaders();
  await pipeline(Readable.from(logs), response);
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const coded = error instanceof CodedError ? error : new CodedError('internal');
  const code: ErrorCode = coded.code;
  const { status, hint } = ERRORS[code];
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: { code, message: coded.message, hint, details: coded.details } }));
}
