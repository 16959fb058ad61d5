/**
 * A binary heap: the best of many, again and again, without sorting all of them. Items know their places in it, so that
 * any of them can be taken out or replaced.
 */
import { assert } from '../base/assert.ts';

export interface HeapItem {
  /** Its place: the heap's to set; -1 while it is in none. */
  at: number;
}

export class Heap<T extends HeapItem> {
  readonly #items: T[];
  readonly #before: (a: T, b: T) => boolean;

  /** Takes over `items`. */
  constructor(items: T[], before: (a: T, b: T) => boolean) {
    this.#items = items;
    this.#before = before;
    for (const [at, item] of items.entries()) item.at = at;
    for (let at = (items.length >> 1) - 1; at >= 0; at -= 1) this.#sink(items[at] as T, at);
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  pop(): T | undefined {
    const best = this.#items[0];
    if (best) this.remove(best);
    return best;
  }

  remove(item: T): void {
    const at = this.#placeOf(item);
    item.at = -1;
    const last = this.#items.pop();
    if (last !== undefined && last !== item) this.#settle(last, at);
  }

  replace(item: T, by: T): void {
    const at = this.#placeOf(item);
    item.at = -1;
    this.#settle(by, at);
  }

  /** All of them, the best first, none taken out: whoever stops after a few has paid for a few. */
  *inOrder(): Iterable<T> {
    const items = this.#items;
    const next: T[] = items.slice(0, 1); // the best last
    for (let item = next.pop(); item !== undefined; item = next.pop()) {
      this.#addInOrder(next, items[2 * item.at + 1]);
      this.#addInOrder(next, items[2 * item.at + 2]);
      yield item;
    }
  }

  #addInOrder(list: T[], item: T | undefined): void {
    if (item === undefined) return;
    let low = 0;
    for (let high = list.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#before(list[middle] as T, item)) high = middle;
      else low = middle + 1;
    }
    list.splice(low, 0, item);
  }

  #placeOf(item: T): number {
    assert(this.#items[item.at] === item, 'the item is in this heap');
    return item.at;
  }

  /** Up or down from `at`, where there is room for it. */
  #settle(item: T, at: number): void {
    this.#rise(item, at);
    if (item.at === at) this.#sink(item, at);
  }

  #rise(item: T, from: number): void {
    const items = this.#items;
    let at = from;
    while (at > 0) {
      const above = items[(at - 1) >> 1] as T;
      if (!this.#before(item, above)) break;
      items[at] = above;
      above.at = at;
      at = (at - 1) >> 1;
    }
    items[at] = item;
    item.at = at;
  }

  #sink(item: T, from: number): void {
    const items = this.#items;
    let at = from;
    for (let child = 2 * at + 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && this.#before(items[child + 1] as T, items[child] as T)) child += 1;
      const below = items[child] as T;
      if (!this.#before(below, item)) break;
      items[at] = below;
      below.at = at;
      at = child;
    }
    items[at] = item;
    item.at = at;
  }
}
