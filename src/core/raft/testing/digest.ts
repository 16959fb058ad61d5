/** What happened in a run, as a number by which two runs of one seed are compared, and as lines for a person. */
export class Digest {
  readonly #nowMs: () => number;
  readonly #print: ((line: string) => void) | null;
  #sum = 0x811c9dc5;

  constructor(nowMs: () => number, print: ((line: string) => void) | null) {
    this.#nowMs = nowMs;
    this.#print = print;
  }

  get value(): number {
    return this.#sum;
  }

  add(who: string, what: string, value: number): void {
    const nowMs = this.#nowMs();
    for (const part of [nowMs * 1_000, who.charCodeAt(1), what.charCodeAt(0), what.length, value])
      this.#sum = Math.imul(this.#sum ^ Math.floor(part), 0x01000193) >>> 0;
    this.#print?.(`${(nowMs / 1_000).toFixed(4).padStart(10)} ${who} ${what} ${value}`);
  }
}
