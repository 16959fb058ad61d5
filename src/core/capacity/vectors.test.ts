import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { serviceSpecSchema } from '../model/service.ts';
import type { ResourceVector } from '../model/summary.ts';
import { add, dominates, fits, requirementOf, subtract, tightness, ZERO } from './vectors.ts';

const amount = fc.integer({ min: 0, max: 1000 });
const vector = fc.record({ cpuMilli: amount, memoryBytes: amount, diskBytes: amount });
const of = (cpuMilli: number, memoryBytes: number, diskBytes = 0): ResourceVector => ({ cpuMilli, memoryBytes, diskBytes });

describe('resource vectors', () => {
  it('reserves whole thousandths of a core, rounded up, without rounding errors', () => {
    const spec = (cpu: number) =>
      serviceSpecSchema.parse({ runtime: 'process', command: ['x'], resources: { cpu, memory: '64Mi', disk: '1G' } });
    expect(requirementOf(spec(0.07))).toEqual(of(70, 64 * 2 ** 20, 1e9));
    expect(requirementOf(spec(0.0005)).cpuMilli).toBe(1);
    expect(requirementOf(spec(1.1)).cpuMilli).toBe(1100);
    expect(requirementOf(spec(0)).cpuMilli).toBe(0);
  });

  it('takes off no more than there is', () => {
    expect(subtract(of(500, 10), of(600, 4))).toEqual(of(0, 6));
  });

  it('gives back by adding what was taken off, when it fitted', () => {
    fc.assert(
      fc.property(vector, vector, (free, need) => {
        expect(add(free, ZERO)).toEqual(free);
        expect(dominates(free, need)).toBe(fits(need, free));
        if (fits(need, free)) expect(add(subtract(free, need), need)).toEqual(free);
      }),
    );
  });

  it('calls an exact fit 1 and looser ones less, over what is needed only', () => {
    expect(tightness(of(500, 10), of(500, 10, 999))).toBe(1);
    expect(tightness(of(500, 10), of(1000, 20))).toBe(0.5);
    expect(tightness(of(0, 10), of(0, 40))).toBe(0.25);
    expect(tightness(ZERO, ZERO)).toBe(0);
  });
});
