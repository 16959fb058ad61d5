import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ADDRESS_PATTERN, Addresses } from './addresses.ts';
import { limits } from './limits.ts';
import { Prng, type Random } from './prng.ts';

const GIVEN = 'https://given:7443';
const three = ['https://a:1', 'https://b:1', 'https://c:1'];
const seeds = fc.integer().map((seed) => new Prng(seed));
const middle: Random = { next: () => 0.5 };

const of = (known: readonly string[] = [], random: Random = middle) => new Addresses({ given: GIVEN, known, random });

/** The addresses tried until the round is over, and the pause that follows. */
function round(addresses: Addresses, hint: (at: string) => string | null = () => null) {
  const tried: string[] = [];
  for (;;) {
    tried.push(addresses.present);
    const step = addresses.failed(hint(addresses.present));
    if (step.roundOver) return { tried, pauseMs: step.pauseMs };
    expect(step.pauseMs).toBeLessThan(50);
  }
}

describe('which address is next', () => {
  it('W1: the one that works, for as long as it does', () => {
    const addresses = of(three);
    expect(addresses.present).toBe('https://a:1');
    addresses.serves();
    addresses.told(['https://d:1', 'https://a:1']);
    expect(addresses.broke()).toEqual({ pauseMs: 25, roundOver: false });
    expect(addresses.present).toBe('https://a:1');
    expect(addresses.all).toEqual(['https://a:1', 'https://d:1', GIVEN]);
    addresses.told(['https://d:1']);
    expect(addresses.present).toBe('https://a:1');
    addresses.failed();
    expect(addresses.all).not.toContain('https://a:1');
  });

  it('W2: each of them once in a round, in an order of chance', () => {
    const orders = new Set<string>();
    fc.assert(
      fc.property(seeds, (random) => {
        const addresses = of(three, random);
        const { tried } = round(addresses);
        expect([...tried].sort()).toEqual([...three, GIVEN].sort());
        orders.add(tried.slice(1).join());
        expect([...round(addresses).tried].sort()).toEqual([...tried].sort());
      }),
    );
    expect(orders.size).toBe(6);
  });

  it('W3: after pauses that grow to a bound, round by round, until one works', () => {
    const pauses = (addresses: Addresses) => Array.from({ length: 9 }, () => round(addresses).pauseMs);
    expect(pauses(of(three))).toEqual([100, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    const alone = of();
    expect(pauses(alone).slice(0, 3)).toEqual([100, 250, 500]);
    alone.serves();
    expect(round(alone)).toEqual({ tried: [GIVEN], pauseMs: 100 });
    const longest = of([], { next: () => 1 - Number.EPSILON });
    expect(Math.max(...pauses(longest))).toBeLessThan(30_000);
  });

  it('W4: the one that a replica names as leader, also one that was not known; but not twice in a round', () => {
    const addresses = of(three);
    addresses.failed('https://c:1');
    expect(addresses.present).toBe('https://c:1');
    addresses.failed('https://new:1');
    expect(addresses.present).toBe('https://new:1');
    // What is said there is of the past: the others have their turn, the hint has it after the pause.
    expect(round(addresses, () => 'https://c:1').tried).toHaveLength(3);
    expect(addresses.present).toBe('https://c:1');
    expect(addresses.told(three)).toBe(false);
  });

  it('W3: after pauses that grow as well when one serves for a moment only, again and again', () => {
    const relapses = (addresses: Addresses, count: number) =>
      Array.from({ length: count }, () => {
        addresses.serves();
        return addresses.relapsed().pauseMs;
      });
    // Where the leader moves on, another one serves each time.
    expect(relapses(of(three), 5)).toEqual([25, 25, 25, 25, 25]);
    const alone = of();
    expect(relapses(alone, 10)).toEqual([100, 100, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    alone.serves();
    alone.broke();
    expect(relapses(alone, 3)).toEqual([100, 100, 250]);
  });

  it('leaves one that has fallen silent', () => {
    const addresses = of(three);
    addresses.serves();
    expect(addresses.fellSilent()).toMatchObject({ pauseMs: 25 });
    expect(addresses.present).not.toBe('https://a:1');
  });

  it('W2: anew from the one that served', () => {
    const addresses = of(three);
    addresses.failed();
    addresses.failed();
    addresses.serves();
    expect(round(addresses).tried).toHaveLength(4);
  });

  it('W4: no chain of hints is without an end', () => {
    let count = 0;
    const { tried } = round(of(three), () => `https://endless-${count++}:1`);
    expect(tried.length).toBeLessThanOrEqual(limits.orchestratorAddresses + three.length + 1);
  });

  it('W5: the given one stays, whatever is told; and no more are kept than a group has', () => {
    const addresses = of();
    expect(addresses.told(three)).toBe(true);
    expect(addresses.told([...three].reverse())).toBe(false);
    expect(addresses.told([GIVEN, ...three])).toBe(false);
    expect(addresses.told(three.slice(1))).toBe(true);
    expect(addresses.all).toContain(GIVEN);
    addresses.told(Array.from({ length: 100 }, (_, at) => `https://n${at}:1`));
    expect(addresses.all).toHaveLength(limits.orchestratorAddresses + 1);
  });

  it('is not waited for long in the first rounds, unless it is the only one', () => {
    const addresses = of(three);
    const waits = Array.from({ length: 4 }, () => {
      const { connectMs } = addresses;
      round(addresses);
      return connectMs;
    });
    expect(waits).toEqual([2_000, 4_000, null, null]);
    addresses.serves();
    expect(addresses.connectMs).toBe(2_000);
    expect(of().connectMs).toBeNull();
    expect([of(three).isOnly, of().isOnly]).toEqual([false, true]);
  });
});

it.each(['https://h:1', 'https://[::1]:7443', 'https://10.0.0.1'])('%s is an address', (text) => {
  expect(ADDRESS_PATTERN.test(text)).toBe(true);
});

it.each(['http://h:1', 'https://', 'https://h/x', 'https://u@h', 'https://h?q', 'https://h#f', 'https://h\r\nx: y', ''])(
  '%j is none',
  (text) => {
    expect(ADDRESS_PATTERN.test(text)).toBe(false);
  },
);
