/** Between one life of a stream and the next: whether there is a next, and after which pause. */
import { setTimeout as delay } from 'node:timers/promises';
import { Exit } from '../exit-codes.ts';
import { BrokeOff } from './exchange.ts';

/** With no pause, a stream that ends at once would be opened without end. */
const PAUSE_MS = 50;
const NEXT_PAUSE_MS = 500;
/** Lives that end one after the other with nothing in them: half a minute. */
const FAILURES_MAX = 60;

export class Reopening {
  readonly #ended: AbortSignal;
  readonly #lost: () => void;
  #failures = 0;

  /** `lost` is told once each time the connection is gone. */
  constructor(ended: AbortSignal, lost: () => void) {
    this.#ended = ended;
    this.#lost = lost;
  }

  /** Something came: it lives. */
  alive(): void {
    this.#failures = 0;
  }

  /** Resolves when the next may be opened; `end`, why the last one ended, if not in good order. Rejects with what does not pass. */
  async pause(end: unknown): Promise<void> {
    if (end !== null && !(end instanceof BrokeOff)) throw end;
    if (this.#ended.aborted) throw new Exit('interrupted');
    this.#failures += 1;
    if (this.#failures > FAILURES_MAX && end !== null) throw end;
    if (this.#failures === 1) this.#lost();
    const pauseMs = this.#failures === 1 ? PAUSE_MS : NEXT_PAUSE_MS;
    await delay(pauseMs, undefined, { signal: this.#ended }).catch(() => {
      throw new Exit('interrupted');
    });
  }
}
