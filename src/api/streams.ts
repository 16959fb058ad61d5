/**
 * Answers without an end: logs, events, watches, and those of a cluster that are passed on. They are counted,
 * they end when the client leaves, and all end when the API closes.
 */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyReply } from 'fastify';
import { CodedError } from '../core/model/errors.ts';

export class OpenStreams {
  readonly #max: number;
  readonly #open = new Set<AbortController>();

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#open.size;
  }

  /** A signal that aborts when the client is gone or the API closes. Throws `unavailable` when there are too many. */
  enter(reply: FastifyReply): AbortSignal {
    if (this.#open.size >= this.#max) throw new CodedError('unavailable', `${this.#max} streams are open`);
    const controller = new AbortController();
    this.#open.add(controller);
    reply.raw.once('close', () => {
      this.#open.delete(controller);
      controller.abort();
    });
    return controller.signal;
  }

  closeAll(): void {
    for (const controller of this.#open) controller.abort();
  }
}

/**
 * Answers with `source` as it comes; the head goes out at once, for a client may wait long for the first byte.
 * Ends the source when the client leaves, and cuts the connection when the source fails: after the head there
 * is no other way to say that the answer is not whole.
 */
export async function sendStream(
  reply: FastifyReply,
  status: number,
  headers: Readonly<Record<string, string | string[]>>,
  source: Readable,
  signal: AbortSignal,
): Promise<void> {
  reply.hijack();
  reply.raw.writeHead(status, headers);
  reply.raw.flushHeaders();
  try {
    await pipeline(source, reply.raw, { signal });
  } catch {
    source.destroy();
    reply.raw.destroy();
  }
}
