/** What happened in a run, as a hash that two runs of one seed are compared by, and as text for a person. */
import { createHash } from 'node:crypto';
import type { Clock } from '../ports/clock.ts';

/** Lines kept for a report of what led to a failure, when not all are kept. */
const LAST_LINES = 200;

export class Trace {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #startMs: number;
  readonly #print: ((line: string) => void) | null;
  readonly #hash = createHash('sha256');
  readonly #last: string[] = [];
  lines = 0;

  /** `print` gets every line as it comes. */
  constructor(clock: Pick<Clock, 'nowMs'>, print: ((line: string) => void) | null) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#print = print;
  }

  add(who: string, what: string): void {
    const line = `${((this.#clock.nowMs() - this.#startMs) / 1000).toFixed(3).padStart(9)} ${who}: ${what}`;
    this.#hash.update(line);
    this.lines += 1;
    this.#last.push(line);
    if (this.#last.length > 2 * LAST_LINES) this.#last.splice(0, LAST_LINES);
    this.#print?.(line);
  }

  last(): readonly string[] {
    return this.#last.slice(-LAST_LINES);
  }

  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }
}
