/** The checker is checked: by stories, by a real register, by what must be found, and against trying every order. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { integerBetween, Prng, pick, type Random } from '../../src/core/base/prng.ts';
import { checkHistory, type Model, type Operation } from '../../src/sim/linearizability.ts';
import { did, type RegisterOp, type RegisterOperation, read, register, swap, write } from './register.ts';

const GOOD: readonly [string, readonly RegisterOperation[]][] = [
  ['nothing', []],
  ['one after the other', [did('a', write(1), 0, 1), did('b', read(1), 2, 3), did('a', write(2), 4, 5), did('b', read(2), 6, 7)]],
  ['a read beside a write sees the value before', [did('a', write(1), 0, 9), did('b', read(0), 1, 2), did('b', read(1), 3, 4)]],
  [
    'reads of writes that overlap',
    [did('a', write(1), 0, 9), did('b', write(2), 0, 9), did('c', read(2), 1, 2), did('c', read(1), 3, 4)],
  ],
  [
    'a lost answer to a write that took effect',
    [did('a', write(1), 0, null), did('b', read(0), 1, 2), did('b', read(1), 50, 51)],
  ],
  ['a lost answer to a write that never did', [did('a', write(1), 0, null), did('b', read(0), 50, 51)]],
  ['a lost answer to a read', [did('a', read(undefined), 0, null), did('b', write(1), 1, 2)]],
  ['swaps', [did('a', swap(0, 1, true), 0, 1), did('b', swap(0, 2, false), 2, 3), did('b', read(1), 4, 5)]],
  ['a lost answer to a swap that took effect', [did('a', swap(0, 1, undefined), 0, null), did('b', swap(1, 2, true), 1, 2)]],
  [
    'a write of what is there, which was needed later',
    [did('a', write(1), 0, 1), did('b', write(1), 2, 9), did('c', write(2), 2, 9), did('d', read(1), 10, 11)],
  ],
  ['the same moment overlaps', [did('a', write(1), 0, 5), did('b', read(0), 5, 5)]],
  ['keys have nothing to do with each other', [did('a', write(1), 0, 1, 'x'), did('b', read(0), 2, 3, 'y')]],
];

const BAD: readonly [string, readonly RegisterOperation[]][] = [
  ['a stale read', [did('a', write(1), 0, 1), did('b', read(0), 2, 3)]],
  ['a lost write', [did('a', write(1), 0, 1), did('b', write(2), 2, 3), did('c', read(1), 4, 5)]],
  ['a read from the future', [did('b', read(1), 0, 1), did('a', write(1), 2, 3)]],
  ['a value that nobody wrote', [did('a', write(1), 0, 9), did('b', read(7), 1, 2)]],
  ['there and back', [did('a', write(1), 0, 9), did('b', read(1), 1, 2), did('c', read(0), 3, 4)]],
  [
    'two that see two writes in different orders',
    [did('a', write(1), 0, 1), did('b', write(2), 0, 1), did('c', read(1), 2, 3), did('d', read(2), 4, 5)],
  ],
  ['a lost answer that took effect before it was asked', [did('b', read(1), 0, 1), did('a', write(1), 2, null)]],
  ['a lost answer that took effect and did not', [did('a', write(1), 0, null), did('b', read(1), 1, 2), did('b', read(0), 3, 4)]],
  ['two swaps of the same value', [did('a', swap(0, 1, true), 0, 9), did('b', swap(0, 2, true), 0, 9)]],
  ['a swap that fails for no reason', [did('a', swap(0, 1, false), 0, 1)]],
  [
    'one key of two',
    [did('a', write(1), 0, 1, 'x'), did('a', write(1), 0, 1, 'y'), did('b', read(1), 2, 3, 'x'), did('b', read(0), 2, 3, 'y')],
  ],
];

interface BagOp {
  readonly put?: string;
  readonly got?: string;
}

describe('stories', () => {
  it.each(GOOD)('allows %s', (_, history) => {
    expect(checkHistory(history, register).verdict).toBe('linearizable');
  });

  it.each(BAD)('finds %s', (_, history) => {
    expect(checkHistory(history, register).verdict).toBe('not linearizable');
  });

  it('says what cannot be explained, with the key, the order so far and when all that was', () => {
    const verdict = checkHistory(
      [did('ann', write(1), 0, 10), did('bob', write(2), 5, 30), did('cy', read(2), 12, 20), did('ann', read(1), 35, 40)],
      register,
    );
    expect(verdict.verdict === 'not linearizable' && verdict.explanation.split('\n')).toEqual([
      'x: not linearizable. The longest order has 3 of 4 operations and leads to 2;',
      'none of these can come next: ann read -> 1',
      '1  ann  write 1    [============]                                   0 ms to 10 ms',
      '2  bob  write 2           [=========================]               5 ms to 30 ms',
      '3  cy   read -> 2                      [=====]                      12 ms to 20 ms',
      '!  ann  read -> 1                                         [======]  35 ms to 40 ms',
    ]);
  });

  it('takes any model, one that leaves a choice too', () => {
    const bag: Model<string, BagOp> = {
      initial: '',
      step: (state, { put, got }) => {
        if (put !== undefined) return [`${state}${put}`, `${put}${state}`];
        return got !== undefined && state.startsWith(got) ? [state.slice(1)] : [];
      },
      changesNothing: () => false,
      keyOf: (state) => state,
      describe: (op) => JSON.stringify(op),
    };
    const story = (gots: readonly string[]): Operation<BagOp>[] => [
      ...['a', 'b', 'c'].map((put, at) => ({ client: 'p', key: 'k', invokedAtMs: at, returnedAtMs: at + 0.5, op: { put } })),
      ...gots.map((got, at) => ({ client: 'g', key: 'k', invokedAtMs: 10 + at, returnedAtMs: 10.5 + at, op: { got } })),
    ];
    expect(checkHistory(story(['c', 'a', 'b']), bag).verdict).toBe('linearizable');
    expect(checkHistory(story(['a', 'c', 'b']), bag).verdict).toBe('not linearizable');
  });

  it('answers undecided, with its count, when the work is too much (Z5)', () => {
    const writes = Array.from({ length: 24 }, (_, at) => did(`c${at}`, write(at + 1), 0, 100));
    const verdict = checkHistory([...writes, did('r', read(99), 200, 201)], register, 5_000);
    expect(verdict).toEqual({ verdict: 'undecided', states: 5_001, key: 'x' });
  });
});

interface Shape {
  readonly seed: number;
  readonly clients: number;
  readonly operations: number;
  readonly values: number;
  readonly lost: number;
}

/** What clients of a real register see, each asking one thing after the other, at times that overlap at random. */
function lived({ seed, clients, operations, values, lost }: Shape, opOf = randomOp): RegisterOperation[] {
  const random = new Prng(seed);
  let state = 0;
  const freeAt = Array.from({ length: clients }, () => 0);
  const moments = Array.from({ length: operations }, () => {
    const client = integerBetween(random, 0, clients - 1);
    const from = (freeAt[client] ?? 0) + integerBetween(random, 0, 20) / 2;
    const at = from + integerBetween(random, 0, 20) / 2 + random.next() / 1_000;
    const to = at + integerBetween(random, 0, 20) / 2;
    freeAt[client] = to + 0.001;
    return { client: `c${client}`, from, at, to, asked: opOf(random, values) };
  }).sort((a, b) => a.at - b.at);
  return moments.flatMap(({ client, from, to, asked }, index) => {
    const isLost = random.next() < lost;
    const happens = !isLost || random.next() < 0.5;
    const ok = asked.kind === 'compareAndSet' && asked.expected === state;
    const saw = state;
    if (happens && asked.kind === 'write') state = asked.value;
    if (happens && asked.kind === 'compareAndSet' && ok) state = asked.value;
    const answer = isLost ? undefined : saw;
    const op: RegisterOp =
      asked.kind === 'read' ? read(answer) : asked.kind === 'write' ? asked : { ...asked, ok: isLost ? undefined : ok };
    // One that lost its answer is another client afterwards.
    return [did(isLost ? `${client}-${index}` : client, op, from, isLost ? null : to)];
  });
}

function randomOp(random: Random, values: number): RegisterOp {
  const kind = pick(random, ['write', 'read', 'read', 'compareAndSet'] as const);
  if (kind === 'read') return read(undefined);
  const value = integerBetween(random, 1, values);
  return kind === 'write' ? write(value) : swap(integerBetween(random, 0, values), value, undefined);
}

/** Every write is of another value, so that a read says whose it was. */
function unlike(): (random: Random) => RegisterOp {
  let last = 0;
  return (random) => (random.next() < 0.5 ? write(++last) : read(undefined));
}

const shape = (operations: number, lost: number, clients = 6) =>
  fc.record({
    seed: fc.integer({ min: 0, max: 2 ** 31 }),
    clients: fc.integer({ min: 1, max: clients }),
    operations: fc.integer({ min: 0, max: operations }),
    values: fc.integer({ min: 1, max: 4 }),
    lost: fc.constantFrom(0, lost),
  });

describe('any history', () => {
  it('of a real register is linearizable', () => {
    fc.assert(
      fc.property(shape(120, 0.05), (made) => {
        expect(checkHistory(lived(made), register).verdict).toBe('linearizable');
      }),
      { numRuns: 2_000 },
    );
  });

  it('in which a read is given a value that was overwritten before the read began is not', () => {
    let mutated = 0;
    fc.assert(
      fc.property(shape(80, 0), fc.nat(), (made, choice) => {
        const history = lived(made, unlike());
        const writes = history.filter(({ op }) => op.kind === 'write');
        const candidates = history.flatMap((operation, index) => {
          if (operation.op.kind !== 'read') return [];
          // Written, returned, and another written wholly after it, which returned before the read was asked.
          const over = writes.filter((old) =>
            writes.some(
              (later) =>
                (old.returnedAtMs ?? Infinity) < later.invokedAtMs && (later.returnedAtMs ?? Infinity) < operation.invokedAtMs,
            ),
          );
          return over.map((old) => ({ index, old }));
        });
        const chosen = candidates[choice % Math.max(1, candidates.length)];
        if (chosen?.old.op.kind !== 'write') return;
        mutated += 1;
        const { value } = chosen.old.op;
        const stale = history.map((one, at) => (at === chosen.index ? { ...one, op: read(value) } : one));
        expect(checkHistory(stale, register).verdict).toBe('not linearizable');
      }),
      { numRuns: 2_000 },
    );
    expect(mutated).toBeGreaterThan(1_000);
  });

  it('is judged as by trying every order', () => {
    const found = { linearizable: 0, 'not linearizable': 0, undecided: 0 };
    fc.assert(
      fc.property(shape(6, 0.3, 4), fc.nat(), fc.integer({ min: 0, max: 4 }), fc.boolean(), (made, at, value, spoil) => {
        const history = lived(made);
        const spoilt = history.map((one, index) => (spoil && index === at % history.length ? withAnswer(one, value) : one));
        const { verdict } = checkHistory(spoilt, register);
        found[verdict] += 1;
        expect(verdict).toBe(someOrder(spoilt, register.initial) ? 'linearizable' : 'not linearizable');
      }),
      { numRuns: 8_000 },
    );
    expect(found.linearizable).toBeGreaterThan(1_000);
    expect(found['not linearizable']).toBeGreaterThan(1_000);
  });
});

/** Another answer than the register gave, or another value than was asked for. */
function withAnswer(operation: RegisterOperation, value: number): RegisterOperation {
  const { op } = operation;
  if (op.kind === 'compareAndSet') return { ...operation, op: { ...op, ok: op.ok === undefined ? undefined : !op.ok } };
  return { ...operation, op: { ...op, value } };
}

/** The definition, word by word: some order of all that returned and some that did not, which time and the register allow. */
function someOrder(left: readonly RegisterOperation[], state: number): boolean {
  if (left.every(({ returnedAtMs }) => returnedAtMs === null)) return true;
  return left.some((one) => {
    const rest = left.filter((other) => other !== one);
    if (rest.some(({ returnedAtMs }) => returnedAtMs !== null && returnedAtMs < one.invokedAtMs)) return false;
    return register.step(state, one.op).some((after) => someOrder(rest, after));
  });
}

describe('long histories', () => {
  const OPERATIONS = 5_000;

  it.each([1, 2, 3])('are judged by a few states an operation: 5,000 of twelve clients, seed %i', (seed) => {
    const history = lived({ seed, clients: 12, operations: OPERATIONS, values: 5, lost: 0.001 });
    const good = checkHistory(history, register);
    expect(good.verdict).toBe('linearizable');
    expect(good.states).toBeLessThan(10 * OPERATIONS);
    // A value that nobody wrote, read in the middle.
    const at = history.findIndex(({ op }, index) => index >= OPERATIONS / 2 && op.kind === 'read' && op.value !== undefined);
    const bad = checkHistory(
      history.map((one, index) => (index === at ? { ...one, op: read(77) } : one)),
      register,
    );
    expect(bad.verdict).toBe('not linearizable');
  });
});
