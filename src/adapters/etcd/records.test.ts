/** What is packed into records comes out again, and what is not as it was written is found. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../../core/base/limits.ts';
import type { Proposal } from '../../core/log/proposal-queue.ts';
import type { LogEntry } from '../../ports/log.ts';
import { type Append, packAppends, RecordReader, termOf } from './records.ts';

const proposalsOf = (sizes: readonly number[]): Proposal[] =>
  sizes.map((size, proposal) => ({ proposal, data: Buffer.alloc(size, `${proposal}:`) }));
const start = { term: 7, firstRecord: 1, firstIndex: 1 };
const recordsOf = (appends: readonly Append[]): Buffer[] => appends.flatMap(({ records }) => [...records]);

function readAll(records: readonly Buffer[], reader = new RecordReader()): LogEntry[] {
  return records.flatMap((record) => [...reader.read(record)]);
}

const SMALL = fc.integer({ min: 0, max: 2_000 });
const LARGE = fc.constantFrom(
  limits.etcdRecordBytes - 23,
  limits.etcdRecordBytes - 22,
  limits.etcdRecordBytes - 21,
  limits.etcdRecordBytes,
  700_000,
);
const sizes = fc.array(fc.oneof({ arbitrary: SMALL, weight: 9 }, { arbitrary: LARGE, weight: 1 }), {
  minLength: 1,
  maxLength: 60,
});

describe('records of the log in etcd', () => {
  it('give back every entry, within the limits of a record and a transaction', () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const proposals = proposalsOf(all);
        const appends = packAppends(proposals, start);
        for (const { records } of appends) {
          for (const record of records) expect(record.length).toBeLessThanOrEqual(limits.etcdRecordBytes);
          expect(records.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(limits.etcdTransactionBytes);
        }
        expect(appends.flatMap(({ entries }) => entries.map(({ proposal }) => proposal))).toEqual(all.map((_, at) => at));
        const read = readAll(recordsOf(appends));
        expect(read.map(({ index }) => index)).toEqual(all.map((_, at) => at + 1));
        for (const [at, { data }] of read.entries()) expect(Buffer.compare(data, proposals[at]?.data ?? Buffer.of(1))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('know from where to read on behind any index, whether they were read or appended', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (all, pick) => {
        const appends = packAppends(proposalsOf(all), start);
        const records = recordsOf(appends);
        const appender = new RecordReader();
        for (const append of appends) appender.appended(append);
        const reader = new RecordReader();
        readAll(records, reader);
        const index = pick % (all.length + 1);
        expect(appender.recordAfter(index)).toBe(reader.recordAfter(index));
        const behind = new RecordReader();
        behind.restore(index, reader.recordAfter(index));
        const rest = readAll(records.slice(behind.nextRecord - 1), behind);
        expect(rest.map((entry) => entry.index)).toEqual(all.map((_, at) => at + 1).slice(index));
      }),
      { numRuns: 60 },
    );
  });

  it('pass over an entry that was begun and never finished, and give its index to the next', () => {
    const begun = recordsOf(packAppends(proposalsOf([10, 700_000]), start)).slice(0, 3);
    const next = recordsOf(packAppends(proposalsOf([5]), { term: 9, firstRecord: 4, firstIndex: 2 }));
    const reader = new RecordReader();
    expect(readAll(begun, reader).map(({ index }) => index)).toEqual([1]);
    expect(reader.recordAfter(1)).toBe(2);
    expect(readAll(next, reader).map(({ index, data }) => [index, data.length])).toEqual([[2, 5]]);
    expect(reader.nextRecord).toBe(5);
  });

  it('keep the beginning of an entry that is still being appended', () => {
    const appends = packAppends(proposalsOf([10, 1_500_000]), start);
    expect(appends.length).toBeGreaterThan(1);
    const reader = new RecordReader();
    const [first] = appends;
    if (first) reader.appended(first);
    expect(reader.index).toBe(1);
    expect(reader.recordAfter(1)).toBe(2);
  });

  it('know where to cut what is kept behind a snapshot, by number and by size', () => {
    const reader = new RecordReader();
    for (const at of Array.from({ length: 10 }, (_, number) => number + 1))
      for (const append of packAppends(proposalsOf([1_000, 1_000]), { term: 7, firstRecord: at, firstIndex: 2 * at - 1 }))
        reader.appended(append);
    expect(reader.cutTail(20, 100, 1_000_000)).toBe(1);
    expect(reader.cutTail(20, 6, 1_000_000)).toBe(8);
    expect(reader.cutTail(20, 6, 4_500)).toBe(9);
    expect(reader.recordAfter(19)).toBe(10);
    expect(reader.cutTail(20, 6, 100)).toBe(11);
    expect(reader.recordAfter(20)).toBe(11);
  });

  it('tell the term of who wrote them, and nothing of another record', () => {
    const [record = Buffer.of()] = recordsOf(packAppends(proposalsOf([3]), start));
    expect(termOf(1, record)).toBe(7);
    expect(termOf(2, record)).toBeNull();
    expect(termOf(1, Buffer.of(1, 2, 3))).toBeNull();
  });

  it('are found when any of their bits is not as it was written', () => {
    const [record = Buffer.of()] = recordsOf(packAppends(proposalsOf([40, 2]), start));
    fc.assert(
      fc.property(fc.nat(record.length * 8 - 1), (bit) => {
        const spoilt = Buffer.from(record);
        spoilt[bit >> 3] = (spoilt[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => new RecordReader().read(spoilt)).toThrow(/etcd/);
      }),
    );
    for (const length of [0, 4, 17, record.length - 1])
      expect(() => new RecordReader().read(record.subarray(0, length))).toThrow('is not what was written');
  });

  it('are refused out of their order', () => {
    const records = recordsOf(packAppends(proposalsOf([1]), { ...start, firstIndex: 2 }));
    expect(() => readAll(records)).toThrow('1 comes next');
    const pieces = recordsOf(packAppends(proposalsOf([700_000]), start));
    const reader = new RecordReader();
    reader.restore(0, 2);
    expect(() => readAll(pieces.slice(1), reader)).toThrow('has not begun');
  });
});
