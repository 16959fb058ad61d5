/** A listener that keeps what it is told, checks what holds at every call, and can be waited on. */
import { expect } from 'vitest';
import type { Leadership, ProposalFate } from '../../src/core/model/leadership.ts';
import type { LogEntry, LogListener } from '../../src/ports/log.ts';

export interface Hooks {
  committed?: (entries: readonly LogEntry[]) => void;
  restored?: () => void;
  ready?: () => void;
}

export class LogRecorder implements LogListener {
  readonly entries: LogEntry[] = [];
  /** `restored`, `ready` (to lead), and the text of each entry, in the order of the calls. */
  readonly calls: string[] = [];
  readonly drops = new Map<number, string>();
  readonly fates = new Map<number, ProposalFate>();
  /** How many entries had been delivered when it was first told who leads, be it nobody; null: it was not. */
  firstReadyAfter: number | null = null;
  /** All that was told of it, the newest last. */
  readonly leaderships: Leadership[] = [];
  snapshot: { readonly content: Uint8Array; readonly index: number } | null = null;
  lastIndex = 0;
  failure: Error | null = null;
  readonly #hooks: Hooks;
  #depth = 0;
  readonly #waiting = new Set<() => void>();

  constructor(hooks: Hooks = {}) {
    this.#hooks = hooks;
  }

  restored(content: Uint8Array, index: number): void {
    this.#call(() => {
      if (this.calls.length > 0) expect(index, 'a later snapshot reaches higher').toBeGreaterThan(this.lastIndex);
      this.calls.push('restored');
      this.snapshot = { content: new Uint8Array(content), index };
      this.lastIndex = index;
      this.#hooks.restored?.();
    });
  }

  committed(entries: readonly LogEntry[]): void {
    this.#call(() => {
      expect(entries.length).toBeGreaterThan(0);
      for (const entry of entries) {
        expect(entry.index, 'indices grow').toBeGreaterThan(this.lastIndex);
        this.lastIndex = entry.index;
        this.entries.push(entry);
        this.calls.push(Buffer.from(entry.data.subarray(0, 32)).toString());
      }
      this.#hooks.committed?.(entries);
    });
  }

  ready(leadership: Leadership): void {
    this.#call(() => {
      expect(leadership.term, 'terms only grow').toBeGreaterThanOrEqual(this.leaderships.at(-1)?.term ?? 0);
      this.leaderships.push(leadership);
      this.firstReadyAfter ??= this.entries.length;
      if (!leadership.leads) return;
      this.calls.push('ready');
      this.#hooks.ready?.();
    });
  }

  dropped(proposal: number, reason: string, fate: ProposalFate): void {
    this.#call(() => {
      expect(this.drops.has(proposal), 'dropped once').toBe(false);
      this.drops.set(proposal, reason);
      this.fates.set(proposal, fate);
    });
  }

  failed(error: Error): void {
    this.#call(() => {
      this.failure = error;
    });
  }

  get leads(): boolean {
    return this.leaderships.at(-1)?.leads ?? false;
  }

  get texts(): string[] {
    return this.entries.map(({ data }) => Buffer.from(data).toString());
  }

  /** Proposals of this process that were delivered, in the order of delivery. */
  get delivered(): number[] {
    return this.entries.flatMap(({ proposal }) => (proposal === undefined ? [] : [proposal]));
  }

  /** Checked after every call of the log; a hang is the test's own limit. */
  until(holds: (recorder: this) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!holds(this)) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** A proposal made while this runs must not be answered before it has returned (L4). */
  guard(action: () => void): void {
    this.#call(action);
  }

  #call(action: () => void): void {
    expect(this.#depth, 'callbacks never nest').toBe(0);
    this.#depth += 1;
    action();
    this.#depth -= 1;
    for (const check of [...this.#waiting]) check();
  }
}
