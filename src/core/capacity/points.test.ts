import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FreePoint, ResourceVector } from '../model/summary.ts';
import { limitPoints, mergePoints } from './points.ts';
import { dominates, fits } from './vectors.ts';

const free = fc.record({
  cpuMilli: fc.integer({ min: 0, max: 64_000 }),
  memoryBytes: fc.integer({ min: 0, max: 2 ** 40 }),
  diskBytes: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 46 })),
});
const histogram = fc
  .array(fc.record({ free, count: fc.integer({ min: 1, max: 4 }) }), { minLength: 1, maxLength: 150, size: 'max' })
  .map((points) => mergePoints([points]));
/** One resource varies: coarse rounding is not needed, fine rounding is seen. */
const flat = histogram.map((points) =>
  mergePoints([points.map(({ free, count }) => ({ free: { ...free, memoryBytes: 1, diskBytes: 0 }, count }))]),
);
const limit = fc.integer({ min: 8, max: 64 });

const nodes = (points: readonly FreePoint[]) => points.reduce((sum, { count }) => sum + count, 0);
const holding = (points: readonly FreePoint[], need: ResourceVector) => nodes(points.filter((point) => fits(need, point.free)));

describe('free-capacity histogram', () => {
  it('counts equal points together and puts the biggest first', () => {
    const at = (cpuMilli: number) => ({ cpuMilli, memoryBytes: 1, diskBytes: 0 });
    const merged = mergePoints([
      [{ free: at(1), count: 1 }],
      [
        { free: at(4), count: 2 },
        { free: at(1), count: 3 },
      ],
    ]);
    expect(limitPoints(merged, 64)).toEqual([
      { free: at(4), count: 2 },
      { free: at(1), count: 4 },
    ]);
  });

  it('keeps within its limit, counts every node (H1), and never promises more (H2)', () => {
    fc.assert(
      fc.property(fc.oneof(histogram, flat), limit, free, (points, limit, need) => {
        const limited = limitPoints(points, limit);
        expect(limited.length).toBeLessThanOrEqual(limit);
        expect(nodes(limited)).toBe(nodes(points));
        for (const asked of [need, ...limited.map((point) => point.free)])
          expect(holding(limited, asked)).toBeLessThanOrEqual(holding(points, asked));
        expect(limitPoints(limited, limit)).toEqual(limited);
      }),
    );
  });

  it('keeps the most of each resource, and the node that has most of all (H3)', () => {
    fc.assert(
      fc.property(histogram, limit, (points, limit) => {
        const limited = limitPoints(points, limit);
        for (const resource of ['cpuMilli', 'memoryBytes', 'diskBytes'] as const) {
          const most = (of: readonly FreePoint[]) => Math.max(...of.map((point) => point.free[resource]));
          expect(most(limited)).toBe(most(points));
        }
        const biggest = points.find((one) => points.every((other) => dominates(one.free, other.free)));
        if (biggest) expect(limited).toContainEqual(biggest);
      }),
    );
  });

  it('hides no fit while few points are undominated (H4)', () => {
    const nearlyFlat = histogram.map((points) =>
      // Memory follows CPU but for a few: one dimension, so one or two points dominate all others.
      mergePoints([
        points.map(({ free, count }, i) => ({ free: { ...free, memoryBytes: free.cpuMilli * (i % 3), diskBytes: 0 }, count })),
      ]),
    );
    fc.assert(
      fc.property(nearlyFlat, free, (points, need) => {
        const wanted = { ...need, memoryBytes: need.memoryBytes % 130_000, diskBytes: 0 };
        expect(holding(limitPoints(points, 64), wanted) > 0).toBe(holding(points, wanted) > 0);
      }),
    );
  });
});
