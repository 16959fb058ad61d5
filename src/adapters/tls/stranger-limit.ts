/**
 * Counts the connections of those who have shown no valid certificate, in all and by address, so that one
 * machine that opens connections and says nothing cannot take the room of the others.
 */
export class StrangerLimit {
  readonly #max: number;
  readonly #maxPerAddress: number;
  readonly #portsByAddress = new Map<string, Set<number>>();
  #count = 0;

  constructor(max: number, maxPerAddress: number) {
    this.#max = max;
    this.#maxPerAddress = maxPerAddress;
  }

  get count(): number {
    return this.#count;
  }

  /** False, and not counted, when there are too many already. */
  admit(address: string, port: number): boolean {
    const ports = this.#portsByAddress.get(address) ?? new Set();
    if (this.#count >= this.#max || ports.size >= this.#maxPerAddress) return false;
    this.#portsByAddress.set(address, ports.add(port));
    this.#count++;
    return true;
  }

  /** It closed, or it turned out to be no stranger. Again for the same connection: nothing. */
  release(address: string, port: number): void {
    const ports = this.#portsByAddress.get(address);
    if (!ports?.delete(port)) return;
    this.#count--;
    if (ports.size === 0) this.#portsByAddress.delete(address);
  }
}
