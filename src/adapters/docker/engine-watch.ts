/**
 * Keeps the engine's event stream open. Events that passed while it was not open are gone, so each time it
 * opens `opened` compares what is known with what there is; only then does `ensure` resolve.
 *
 * Once lost, it tries again with growing pauses as long as `wanted`; otherwise the next `ensure` does. An idle
 * node on a machine whose engine is gone does nothing at all.
 */
import { limits } from '../../core/base/limits.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EngineApi, EngineEvent, Filters } from './engine-api.ts';

export interface EngineWatchInit {
  readonly filters: Filters;
  readonly happened: (event: EngineEvent) => void;
  readonly opened: () => Promise<void>;
  readonly wanted: () => boolean;
}

export class EngineWatch {
  readonly #clock: Clock;
  readonly #engine: EngineApi;
  readonly #init: EngineWatchInit;
  #connection: Promise<void> | null = null;
  #closeStream: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;
  #pauseMs: number = limits.engineRetryMinMs;
  #closed = false;

  constructor(components: { readonly clock: Clock; readonly engine: EngineApi }, init: EngineWatchInit) {
    this.#clock = components.clock;
    this.#engine = components.engine;
    this.#init = init;
  }

  /** Resolves when nothing that happens from now on is missed. Rejects when the engine does not answer. */
  ensure(): Promise<void> {
    this.#connection ??= this.#connect().catch((error: unknown) => {
      this.#lost();
      throw error;
    });
    return this.#connection;
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
    this.#closeStream?.();
  }

  async #connect(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    const { events, close } = await this.#engine.events(this.#init.filters);
    this.#closeStream = close;
    const reading = this.#read(events);
    await this.#init.opened();
    this.#pauseMs = limits.engineRetryMinMs;
    // Only a stream that was once complete is retried from here; before, `ensure` has seen to it.
    void reading.then(() => this.#lost());
  }

  async #read(events: AsyncIterable<EngineEvent>): Promise<void> {
    try {
      for await (const event of events) if (!this.#closed) this.#init.happened(event);
    } catch {
      // Lost is lost: why does not matter, the next try tells.
    }
  }

  #lost(): void {
    this.#connection = null;
    this.#closeStream?.();
    this.#closeStream = null;
    this.#engine.forgetVersion();
    if (this.#closed || !this.#init.wanted()) return;
    this.#cancelRetry?.();
    this.#cancelRetry = this.#clock.startTimer(this.#pauseMs, () => {
      this.ensure().catch(() => undefined);
    });
    this.#pauseMs = Math.min(this.#pauseMs * 2, limits.engineRetryMaxMs);
  }
}
