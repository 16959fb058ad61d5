/**
 * Server-sent events (WHATWG HTML, "Server-sent events") to one reader, whose pace decides.
 *
 * What it has not read waits here by key, the last of each: a reader that falls behind skips states, never the
 * newest. So memory is bounded by how many different things changed, and past `backlogMax` of them, or when
 * two heartbeats in a row went unread, the reader is cut off with a last event `error`.
 */
import type { FastifyReply } from 'fastify';
import { CodedError } from '../core/model/errors.ts';
import type { Clock } from '../ports/clock.ts';
import { errorBody } from './errors.ts';

export interface ServerSentEvent {
  readonly event: string;
  readonly id?: number | undefined;
  readonly data: unknown;
}

export interface EventStreamLimits {
  readonly watchBacklog: number;
  readonly streamHeartbeatMs: number;
  readonly lingerMs: number;
}

export class EventStream {
  readonly #reply: FastifyReply;
  readonly #clock: Clock;
  readonly #limits: EventStreamLimits;
  /** In order of first change. */
  readonly #waiting = new Map<string, ServerSentEvent>();
  #start: Iterator<ServerSentEvent> | null;
  #unreadHeartbeats = 0;
  #ended = false;
  #cancelTimer: () => void = () => {};

  /** `start` is told first, at the reader's pace; what is `put` meanwhile comes after it. */
  constructor(
    reply: FastifyReply,
    signal: AbortSignal,
    start: Iterable<ServerSentEvent>,
    components: { readonly clock: Clock; readonly limits: EventStreamLimits },
  ) {
    this.#reply = reply;
    this.#clock = components.clock;
    this.#limits = components.limits;
    this.#start = start[Symbol.iterator]();
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx and its like would hold events back.
      'x-accel-buffering': 'no',
    });
    reply.raw.flushHeaders();
    reply.raw.on('drain', () => this.#flush());
    reply.raw.on('error', () => {});
    signal.addEventListener('abort', () => this.#end(), { once: true });
    this.#scheduleHeartbeat();
  }

  /** Begins; apart from the constructor so that a listener can be in place before. */
  open(): void {
    this.#flush();
  }

  /** `key`: what the event is about; a newer one replaces it while it waits. */
  put(key: string, event: ServerSentEvent): void {
    if (this.#ended) return;
    this.#waiting.set(key, event);
    if (this.#waiting.size > this.#limits.watchBacklog) this.#cutOff();
    else this.#flush();
  }

  #flush(): void {
    while (!this.#ended && !this.#reply.raw.writableNeedDrain) {
      const event = this.#next();
      if (event === null) return;
      this.#unreadHeartbeats = 0;
      this.#write(event);
    }
  }

  #next(): ServerSentEvent | null {
    if (this.#start !== null) {
      const first = this.#start.next();
      if (!first.done) return first.value;
      this.#start = null;
    }
    for (const [key, event] of this.#waiting) {
      this.#waiting.delete(key);
      return event;
    }
    return null;
  }

  #write({ event, id, data }: ServerSentEvent): void {
    const head = id === undefined ? '' : `id: ${id}\n`;
    // JSON has no line ends of its own, so one data line holds it.
    this.#reply.raw.write(`${head}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  #scheduleHeartbeat(): void {
    this.#cancelTimer = this.#clock.startTimer(this.#limits.streamHeartbeatMs, () => {
      if (this.#reply.raw.writableNeedDrain) this.#unreadHeartbeats++;
      else this.#reply.raw.write(':\n\n');
      if (this.#unreadHeartbeats >= 2) this.#cutOff();
      else this.#scheduleHeartbeat();
    });
  }

  #cutOff(): void {
    this.#write({ event: 'error', data: errorBody(new CodedError('slow_reader')) });
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTimer();
    this.#waiting.clear();
    this.#start = null;
    this.#reply.raw.end();
    // What is written may still be read; a reader that does not is not waited for.
    const cancel = this.#clock.startTimer(this.#limits.lingerMs, () => this.#reply.raw.destroy());
    this.#reply.raw.once('close', cancel);
  }
}
