import { expect, it } from 'vitest';
import { Latest } from './latest.ts';

it('keeps the latest, in order, and says what went', () => {
  const latest = new Latest<number>(3);
  const went = [1, 2, 3, 4, 5, 6, 7].map((item) => latest.push(item));
  expect(went).toEqual([undefined, undefined, undefined, 1, 2, 3, 4]);
  expect(latest.all()).toEqual([5, 6, 7]);
  expect([-1, 0, 1, 2, 3].map((index) => latest.at(index))).toEqual([undefined, 5, 6, 7, undefined]);
});

it('is short before it is full', () => {
  const latest = new Latest<string>(3);
  expect([latest.length, latest.all(), latest.at(0)]).toEqual([0, [], undefined]);
  latest.push('a');
  latest.push('b');
  expect([latest.length, latest.all(), latest.at(1)]).toEqual([2, ['a', 'b'], 'b']);
});
