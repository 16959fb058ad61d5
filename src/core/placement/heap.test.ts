import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Heap } from './heap.ts';

it('gives the best of what it holds, always', () => {
  const step = fc.oneof(fc.integer(), fc.constant('pop' as const));
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.array(step), (given, steps) => {
      const heap = new Heap([...given], (a: number, b: number) => a < b);
      const model = [...given].sort((a, b) => a - b);
      for (const step of [...steps, ...model.map(() => 'pop' as const)]) {
        if (step === 'pop') expect(heap.pop()).toBe(model.shift());
        else {
          heap.push(step);
          model.push(step);
          model.sort((a, b) => a - b);
        }
      }
    }),
  );
});
