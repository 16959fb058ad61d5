/**
 * Speaks to the API of a cluster below, over a connection that the cluster has dialled. One request, one
 * connection: such a connection is a stream of a link that is there anyway.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { limits } from '../core/base/limits.ts';
import { CodedError } from '../core/model/errors.ts';

/** Resolves with a connection to the child. Rejects with a CodedError. */
export type DialChild = (child: string) => Promise<Duplex>;

export interface ChildCall {
  readonly child: string;
  readonly method: string;
  /** `/v1/nodes?recursive=true` */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Passed on as it comes. */
  readonly body?: Readable | string | undefined;
  /** Ends the call, also while the answer's body is still coming. */
  readonly signal: AbortSignal;
}

/** Resolves when the head of the answer is there. Rejects with `unreachable`, or as dialling does. */
export async function callChild(dial: DialChild, call: ChildCall): Promise<IncomingMessage> {
  const connection = await dial(call.child);
  if (call.signal.aborted) {
    connection.destroy();
    throw silent(call);
  }
  return new Promise((resolve, reject) => {
    const end = () => connection.destroy();
    call.signal.addEventListener('abort', end, { once: true });
    connection.once('close', () => call.signal.removeEventListener('abort', end));
    const outgoing = httpRequest({
      method: call.method,
      path: call.path,
      headers: { host: call.child, ...call.headers },
      createConnection: () => connection,
    });
    outgoing.once('response', resolve);
    outgoing.once('error', (error) => {
      connection.destroy();
      reject(call.signal.aborted ? silent(call) : new CodedError('unreachable', `cluster ${call.child} hung up`, [], error));
    });
    if (typeof call.body === 'object') {
      call.body.once('error', (error) => outgoing.destroy(error));
      call.body.pipe(outgoing);
    } else outgoing.end(call.body);
  });
}

function silent(call: ChildCall): CodedError {
  return new CodedError('unreachable', `cluster ${call.child} did not answer in time`);
}

/** The whole answer as JSON, at most `limits.responseBodyBytes`. */
export async function readAnswer(answer: IncomingMessage, child: string): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limits.responseBodyBytes) break;
      chunks.push(chunk);
    }
    if (bytes <= limits.responseBodyBytes) return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new CodedError('unreachable', `the answer of cluster ${child} broke off`, [], error);
  }
  throw new CodedError('too_large', `the answer of cluster ${child}`);
}
