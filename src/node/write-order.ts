/**
 * The order that a Raft core asks of its driver: what a message promises is durable before it leaves, and that a write is
 * durable is told in the order of the writes, whatever the disk finishes at once. So a snapshot is restored before the
 * entries that follow it are delivered.
 */
import type { RaftEffect } from '../core/raft/contract.ts';

type Send = Extract<RaftEffect, { type: 'send' }>;

export interface WriteOrderComponents {
  readonly send: (to: Send['to'], message: Send['message']) => void;
  /** All up to this write is durable. */
  readonly durable: (write: number) => void;
  readonly failed: (error: unknown) => void;
}

export class WriteOrder {
  readonly #components: WriteOrderComponents;
  #asked = 0;
  #durable = 0;
  /** Messages that wait for a write, in the order of their writes. */
  #held: Send[] = [];
  readonly #writing = new Set<Promise<void>>();
  #lastTold: Promise<void> = Promise.resolve();

  constructor(components: WriteOrderComponents) {
    this.#components = components;
  }

  /** The last write that was asked for ... */
  get asked(): number {
    return this.#asked;
  }

  /** ... and the last that is durable. */
  get durable(): number {
    return this.#durable;
  }

  send(effect: Send): void {
    if (effect.after <= this.#durable) this.#components.send(effect.to, effect.message);
    else this.#held.push(effect);
  }

  /** One of the core's. */
  write(number: number, work: () => Promise<void>): void {
    this.#asked = number;
    const written = this.also(work);
    this.#lastTold = this.#lastTold
      .then(() => written)
      .then(
        () => this.#isDurable(number),
        () => undefined, // `failed` has been told
      );
  }

  /** One that the core does not count. The storage keeps the order (T1), and lets writes that wait share a sync. */
  also(work: () => Promise<void>): Promise<void> {
    const written = work();
    this.#writing.add(written);
    written.catch((error: unknown) => this.#components.failed(error)).finally(() => this.#writing.delete(written));
    return written;
  }

  /** Resolves when what was asked for is written and told of, or has failed. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#writing);
    await this.#lastTold;
  }

  #isDurable(write: number): void {
    this.#durable = write;
    const ready = this.#held.filter(({ after }) => after <= write);
    this.#held = this.#held.filter(({ after }) => after > write);
    for (const { to, message } of ready) this.#components.send(to, message);
    this.#components.durable(write);
  }
}
