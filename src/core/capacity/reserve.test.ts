import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { busyFraction, freeFraction } from './load.ts';
import { reserve } from './reserve.ts';
import { mergeSummaries, summaryOfNode } from './summaries.ts';
import { fits, subtract } from './vectors.ts';

const node = (name: string, cpuMilli: number, architecture = 'amd64', load = 0) => {
  const total = { cpuMilli, memoryBytes: cpuMilli, diskBytes: 0 };
  return summaryOfNode({ name, total, free: total, load, architecture, runtimes: ['process'], labels: {} });
};
const need = (cpuMilli: number) => ({ cpuMilli, memoryBytes: 0, diskBytes: 0 });
const cpus = (summary: ReturnType<typeof node>) =>
  summary.groups.map((group) => group.points.flatMap(({ free, count }) => Array(count).fill(free.cpuMilli)));

describe('reserve', () => {
  it('takes the need off the node that it fits most tightly, and leaves the rest alone', () => {
    const cluster = mergeSummaries([node('a', 1000), node('b', 2000), node('c', 2000), node('d', 4000)]);
    expect(cpus(reserve(cluster, need(1500)))).toEqual([[4000, 2000, 500, 1000]]);
    expect(cpus(cluster)).toEqual([[4000, 2000, 2000, 1000]]);
    expect(reserve(cluster, need(1500)).free.cpuMilli).toBe(7500);
  });

  it('keeps to the groups that may hold it', () => {
    const cluster = mergeSummaries([node('a', 1000), node('b', 4000, 'arm64')]);
    expect(cpus(reserve(cluster, need(500), (group) => group.architecture === 'arm64'))).toEqual([[1000], [3500]]);
  });

  it('goes down to zero, never below, when the child has less than was thought', () => {
    expect(cpus(reserve(node('a', 300), need(500)))).toEqual([[0]]);
    expect(cpus(reserve(node('a', 300), need(100), () => false))).toEqual([[200]]);
    expect(reserve(mergeSummaries([]), need(100)).groups).toEqual([]);
  });

  it('says what the node itself will say, for a single node', () => {
    const amount = fc.integer({ min: 0, max: 5000 });
    fc.assert(
      fc.property(amount, amount, (size, wanted) => {
        const before = node('a', size);
        const after = reserve(before, need(wanted));
        const { free } = before;
        expect(after.free).toEqual(subtract(free, need(wanted)));
        expect(after.groups[0]?.points).toEqual([{ free: after.free, count: 1 }]);
        if (!fits(need(wanted), free)) expect(after.free.cpuMilli).toBe(0);
      }),
    );
  });
});

describe('load', () => {
  it('counts the scarcer of CPU and memory, and what is about to be placed', () => {
    const half = reserve(node('a', 1000), need(500));
    expect(freeFraction(half)).toBe(0.5);
    expect(freeFraction(half, need(250))).toBe(0.25);
    expect(freeFraction(mergeSummaries([]))).toBe(0);
  });

  it('is the mean of measured and reserved', () => {
    expect(busyFraction(node('a', 1000, 'amd64', 0.4), need(200))).toBeCloseTo(0.3);
    expect(busyFraction(node('a', 1000, 'amd64', 7))).toBe(0.5);
  });
});
