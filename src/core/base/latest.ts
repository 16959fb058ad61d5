/**
 * The latest of what was pushed, as many as are kept. An array that is shifted moves all that it holds, each time: with
 * thousands of them kept that was a tenth of what it costs a replica to follow.
 */
export class Latest<T> {
  readonly #kept: number;
  readonly #items: T[] = [];
  /** Where the oldest is. */
  #start = 0;

  constructor(kept: number) {
    this.#kept = kept;
  }

  get length(): number {
    return this.#items.length;
  }

  /** 0: the oldest. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.length) return undefined;
    return this.#items[(this.#start + index) % this.length];
  }

  /** Returns the one that is kept no more, if there is one. */
  push(item: T): T | undefined {
    if (this.length < this.#kept) {
      this.#items.push(item);
      return undefined;
    }
    const oldest = this.#items[this.#start];
    this.#items[this.#start] = item;
    this.#start = (this.#start + 1) % this.#kept;
    return oldest;
  }

  /** Oldest first. */
  all(): T[] {
    return [...this.#items.slice(this.#start), ...this.#items.slice(0, this.#start)];
  }
}
