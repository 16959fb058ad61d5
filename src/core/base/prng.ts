/**
 * Randomness enters the core as an argument. `Prng` is a small seeded generator (splitmix32) for what a
 * seed must replay: jitter, simulation, tie-breaking. Never for secrets.
 */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}

export class Prng implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 0x1_0000_0000;
  }
}

/** A whole number in [min, max]. */
export function integerBetween(random: Random, min: number, max: number): number {
  return min + Math.floor(random.next() * (max - min + 1));
}

/** One of `items`, which must not be empty. */
export function pick<T>(random: Random, items: readonly T[]): T {
  return items[integerBetween(random, 0, items.length - 1)] as T;
}

/** A fair coin that shows heads with probability `probability`. */
export function chance(random: Random, probability: number): boolean {
  return random.next() < probability;
}

/** `data` damaged as on a disk: never the same, and a byte more where there is none to change. */
export function flipped(data: Uint8Array, random: Random): Uint8Array {
  if (data.length === 0) return Uint8Array.of(integerBetween(random, 1, 255));
  const other = new Uint8Array(data);
  const at = integerBetween(random, 0, data.length - 1);
  other[at] = (other[at] ?? 0) ^ integerBetween(random, 1, 255);
  return other;
}
