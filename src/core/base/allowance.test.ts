import { expect, test } from 'vitest';
import { Allowance } from './allowance.ts';

test('gives its burst at once, then one each while, and never saves up more than the burst', () => {
  const allowance = new Allowance({ burst: 3, oneEachMs: 1_000, nowMs: 500 });
  const taken = (nowMs: number, tries: number) =>
    Array.from({ length: tries }, () => allowance.take(nowMs)).filter(Boolean).length;
  expect(taken(500, 10)).toBe(3);
  expect(taken(1_499, 10)).toBe(0);
  expect(taken(1_500, 10)).toBe(1);
  expect(taken(4_000, 10)).toBe(2);
  expect(taken(4_500, 10)).toBe(1);
  expect(taken(1_000_000, 10)).toBe(3);
  expect(taken(0, 10)).toBe(0);
  expect(taken(1_000, 10)).toBe(1);
});
