/** Remembers what a listener heard; tests wait for the next thing heard, not for time to pass. */
export class Heard<T> {
  readonly all: T[] = [];
  #waiting: (() => void)[] = [];

  push(item: T): void {
    this.all.push(item);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Those that match, once there are `count` of them. */
  async until(count: number, matches: (item: T) => boolean = () => true): Promise<T[]> {
    for (;;) {
      const found = this.all.filter(matches);
      if (found.length >= count) return found;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }
}
