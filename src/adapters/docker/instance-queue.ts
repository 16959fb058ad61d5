/** Keeps work on one instance in order, lets an end cut a start short, and wakes those who follow the instance. */
export class InstanceQueue {
  readonly #last = new Map<string, Promise<unknown>>();
  readonly #starts = new Map<string, Set<AbortController>>();
  readonly #followers = new Map<string, Set<() => void>>();

  /** `work` after all earlier work on `id`; its signal aborts when an end comes after it. */
  async begin<T>(id: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    const starts = this.#starts.get(id) ?? new Set();
    this.#starts.set(id, starts.add(abort));
    try {
      return await this.#inOrder(id, () => work(abort.signal));
    } finally {
      starts.delete(abort);
      if (starts.size === 0 && this.#starts.get(id) === starts) this.#starts.delete(id);
    }
  }

  async end(id: string, work: () => Promise<void>): Promise<void> {
    for (const start of this.#starts.get(id) ?? []) start.abort();
    await this.#inOrder(id, work);
  }

  /** Resolves at the next `changed`, or when `signal` aborts. */
  nextChange(id: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const followers = this.#followers.get(id) ?? new Set();
      const wake = () => {
        signal.removeEventListener('abort', wake);
        followers.delete(wake);
        if (followers.size === 0 && this.#followers.get(id) === followers) this.#followers.delete(id);
        resolve();
      };
      if (signal.aborted) return resolve();
      signal.addEventListener('abort', wake);
      this.#followers.set(id, followers.add(wake));
    });
  }

  /** It was started, removed, or may have been while nobody looked. */
  changed(id: string): void {
    for (const wake of [...(this.#followers.get(id) ?? [])]) wake();
  }

  #inOrder<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(id) ?? Promise.resolve();
    const result = before.then(work, work);
    const settled: Promise<unknown> = result
      .catch(() => undefined)
      .finally(() => {
        if (this.#last.get(id) === settled) this.#last.delete(id);
      });
    this.#last.set(id, settled);
    return result;
  }
}
