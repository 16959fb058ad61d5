/** The addresses that a child under test dials, in an order of chance that is the same every time. */
import { Addresses } from '../../src/core/base/addresses.ts';
import { Prng } from '../../src/core/base/prng.ts';

/** The first is the one that was given. */
export function addressesOf(given: string, ...others: readonly string[]): Addresses {
  return new Addresses({ given, known: [given, ...others], random: new Prng(1) });
}
