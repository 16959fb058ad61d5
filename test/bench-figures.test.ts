import { describe, expect, it } from 'vitest';
import { figure, p95 } from '../bench/bench.ts';
import { benches } from '../bench/benches.ts';

describe('the figures of a bench', () => {
  it('are medians, told with their spread', () => {
    expect(figure({ name: 'wait', unit: 'ms' }, [30, 10.04, 20])).toMatchObject({
      value: 20,
      spread: [10, 30],
      runs: 3,
      goal: '',
      met: null,
    });
  });

  it('keep a goal up to its bound', () => {
    const goal = { atMost: 5 };
    expect(figure({ name: 'wait', unit: 's', goal }, [5])).toMatchObject({ met: true, goal: '≤ 5' });
    expect(figure({ name: 'wait', unit: 's', goal }, [5.1])).toMatchObject({ met: false });
  });

  it('take a high percentile from the samples themselves', () => {
    const samples = Array.from({ length: 20 }, (_, index) => 20 - index);
    expect(figure({ name: 'wait', unit: 's' }, samples, p95).value).toBe(19);
  });

  it('have benches with names of their own', () => {
    expect(new Set(benches.map(({ name }) => name)).size).toBe(benches.length);
  });
});
