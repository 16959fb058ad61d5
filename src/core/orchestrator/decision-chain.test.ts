import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../node/sha256.ts';
import { limits } from '../base/limits.ts';
import type { DecisionRecord } from '../model/decisions.ts';
import { DecisionChain, type KeptChain, verifyChain } from './decision-chain.ts';

type Content = Parameters<DecisionChain['append']>[0];

function content(n: number, more: Partial<Content> = {}): Content {
  return {
    atMs: 1_000 + n,
    cause: 'create',
    service: 'web',
    instance: `web-${n}`,
    replaces: null,
    request: null,
    seen: {
      policy: 'spread',
      candidates: [
        { name: 'n1', score: 0.5, load: 0.25, cpuMilli: 1_000, memoryBytes: 2 ** 30 },
        { name: 'n2', score: 0.25, load: 0.5, cpuMilli: 2_000, memoryBytes: 2 ** 31 },
      ],
      others: 3,
      rejected: { cordoned: 1, resources: 2 },
    },
    choice: 'n1',
    term: 1,
    leader: 'site',
    votes: [{ voter: 'n2', load: 0.5 }],
    ...more,
  };
}

function chainOf(count: number): DecisionChain {
  const chain = new DecisionChain(sha256);
  chain.begin('epoch');
  for (let n = 1; n <= count; n += 1) chain.append(content(n));
  return chain;
}

/** As it would be read back from a disk. */
function copyOf(chain: DecisionChain): KeptChain {
  return JSON.parse(JSON.stringify(chain)) as KeptChain;
}

const verdictOf = (kept: KeptChain) => verifyChain(kept, 'epoch', sha256);

/** Where the leaves of a value are, as paths. */
function leaves(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

function changeAt(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined) return typeof value === 'number' ? value + 1 : `${value}x`;
  if (Array.isArray(value)) return value.map((inner: unknown, at) => (String(at) === key ? changeAt(inner, rest) : inner));
  const object = value as Record<string, unknown>;
  return { ...object, [key]: changeAt(object[key], rest) };
}

describe('the chain of decision records', () => {
  it('begins with the hash of the epoch, and each record builds on the one before (D1, D2)', () => {
    const { records, anchor, tip } = copyOf(chainOf(3));
    expect(anchor).toEqual({ number: 0, hash: sha256('epoch') });
    expect(records.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(records.map(({ before }) => before)).toEqual([sha256('epoch'), records[0]?.hash, records[1]?.hash]);
    expect(tip).toEqual({ number: 3, hash: records[2]?.hash });
    expect(chainOf(3).verify('epoch')).toMatchObject({ ok: true, records: 3, problem: null });
    expect(verdictOf(copyOf(chainOf(0)))).toMatchObject({ ok: true, records: 0 });
  });

  it('is not verified by any single change of any record (D2)', () => {
    const kept = copyOf(chainOf(5));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 }), fc.nat(), (at, choice) => {
        const record = kept.records[at] as DecisionRecord;
        const paths = leaves(record);
        const path = paths[choice % paths.length] ?? [];
        const records = kept.records.map((one, i) => (i === at ? (changeAt(one, path) as DecisionRecord) : one));
        const verdict = verdictOf({ ...kept, records });
        expect(verdict.ok, path.join('.')).toBe(false);
        expect(verdict.problem?.number).toBe(at + 1);
      }),
      { numRuns: 500 },
    );
  });

  it('misses a record that was removed, and two that were exchanged, and says which', () => {
    const kept = copyOf(chainOf(5));
    for (let at = 0; at < 5; at += 1) {
      const verdict = verdictOf({ ...kept, records: kept.records.filter((_, i) => i !== at) });
      expect(verdict.problem).toMatchObject({ number: at + 1, what: expect.stringContaining('is missing') });
    }
    const [first, second, ...rest] = kept.records as DecisionRecord[];
    expect(verdictOf({ ...kept, records: [second, first, ...rest] as DecisionRecord[] }).problem?.number).toBe(1);
  });

  it('finds a record that was changed and given a fitting hash: the next one does not build on it', () => {
    const kept = copyOf(chainOf(5));
    const forged = new DecisionChain(sha256);
    forged.begin('epoch');
    forged.append(content(1));
    forged.append(content(2, { choice: 'n2' }));
    const records = kept.records.map((record, at) => (at === 1 ? (copyOf(forged).records[1] as DecisionRecord) : record));
    expect(verdictOf({ ...kept, records }).problem).toEqual({ number: 3, what: 'does not build on the one before it' });
  });

  it('lets the oldest go, and still proves what it keeps', () => {
    const chain = chainOf(limits.decisionRecords + 10);
    expect(chain.verify('epoch')).toMatchObject({ ok: true, records: limits.decisionRecords, anchor: { number: 10 } });
    expect(chain.record(10)).toBeUndefined();
    expect(chain.record(11)).toMatchObject({ number: 11 });
    const kept = copyOf(chain);
    expect(verdictOf({ ...kept, anchor: { number: 10, hash: sha256('another') } }).problem?.number).toBe(11);
    const restored = new DecisionChain(sha256);
    restored.restore(kept);
    restored.append(content(1));
    chain.append(content(1));
    expect(copyOf(restored)).toEqual(copyOf(chain));
  });

  it('lists the newest, or those after a number', () => {
    const chain = chainOf(10);
    const numbers = (limit: number, after?: number) => chain.list(limit, after).map(({ number }) => number);
    expect(numbers(3)).toEqual([8, 9, 10]);
    expect(numbers(100)).toHaveLength(10);
    expect(numbers(3, 4)).toEqual([5, 6, 7]);
    expect(numbers(3, 9)).toEqual([10]);
    expect(numbers(3, 10)).toEqual([]);
  });

  it('is disputed by a round that saw it otherwise, and not by one that saw less of it (D4)', () => {
    const chain = chainOf(4);
    chain.witness({ number: 2, hash: chain.record(2)?.hash ?? '' });
    chain.witness(chain.tip);
    expect(chain.verify('epoch').ok).toBe(true);
    chain.witness({ number: 3, hash: sha256('another') });
    expect(chain.verify('epoch').problem).toMatchObject({ number: 3, what: expect.stringContaining('altered') });
  });
});
