/**
 * Bodies that are too large, or never end, are refused without reading them to the end, and the refusal
 * arrives: an answer sent on a connection that is then closed with unread data in it is lost (TCP resets),
 * so the connection stays open, unread, until the client has gone or `lingerMs` have passed.
 */
import { type Readable, Transform, type TransformCallback } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { findJsonFault } from '../core/base/json-place.ts';
import { CodedError } from '../core/model/errors.ts';
import type { Clock } from '../ports/clock.ts';
import { errorBody, statusOf } from './errors.ts';

export interface BodyLimits {
  readonly requestBodyBytes: number;
  readonly requestTimeoutMs: number;
  readonly lingerMs: number;
}

/** Passes a body on up to its limits; past them it fails with `too_large` or `too_slow`. */
export function limitBody(request: FastifyRequest, payload: Readable, limits: BodyLimits, clock: Clock): Readable {
  const tooLarge = () => new CodedError('too_large', `a request body may have ${limits.requestBodyBytes} bytes`);
  const brokenOff = () => new CodedError('invalid_request', 'the body broke off');
  if (Number(request.headers['content-length']) > limits.requestBodyBytes) throw tooLarge();
  // The client has left before it was its turn: no event tells of that any more.
  if (payload.destroyed) throw brokenOff();
  let bytes = 0;
  const limited = new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      bytes += chunk.length;
      if (bytes > limits.requestBodyBytes) done(tooLarge());
      else done(null, chunk);
    },
  });
  const cancelTimer = clock.startTimer(limits.requestTimeoutMs, () => {
    limited.destroy(new CodedError('too_slow', `the body did not end within ${limits.requestTimeoutMs} ms`));
  });
  const stop = () => {
    cancelTimer();
    payload.unpipe(limited);
    payload.pause();
  };
  limited.once('error', stop);
  limited.once('end', cancelTimer);
  // A client that leaves in the middle: nobody waits for the rest.
  payload.once('close', () => {
    cancelTimer();
    if (!limited.writableEnded) limited.destroy(brokenOff());
  });
  return payload.pipe(limited);
}

/** Throws `invalid_request` that names the place. An empty body is no body. */
export function parseJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    const fault = findJsonFault(text);
    if (fault === null) throw new CodedError('invalid_request', 'the body is not JSON');
    const { line, column, offset } = fault;
    const found = text[offset] === undefined ? 'it ends too early' : `unexpected ${JSON.stringify(text[offset])}`;
    throw new CodedError('invalid_request', 'the body is not JSON', [
      { field: '', message: `${found} at line ${line}, column ${column}`, line, column },
    ]);
  }
}

/** Whether more is coming than is worth reading to keep the connection. */
export function hasUnreadBody(request: FastifyRequest, limits: BodyLimits): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return !request.raw.complete && (encoding !== undefined || Number(length) > limits.requestBodyBytes);
}

/** Answers while the client is still sending, reads nothing more, and closes when the answer can have been read. */
export function refuseUnread(
  request: FastifyRequest,
  reply: FastifyReply,
  error: CodedError,
  lingerMs: number,
  clock: Clock,
): void {
  reply.hijack();
  const text = JSON.stringify(errorBody(error));
  const { socket } = request.raw;
  request.raw.pause();
  reply.raw.writeHead(statusOf(error), {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  });
  // Complete for the client by its length, but not ended: node would begin to read the rest.
  reply.raw.write(text);
  const cancelTimer = clock.startTimer(lingerMs, () => socket.destroy());
  socket.once('close', cancelTimer);
}
