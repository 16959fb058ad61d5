import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Heap, type HeapItem } from './heap.ts';

interface Item extends HeapItem {
  readonly value: number;
}

const itemOf = (value: number): Item => ({ value, at: -1 });

it('gives the best of what it holds, always, and all of it in order', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('push' as const), value: fc.integer() }) },
    { weight: 2, arbitrary: fc.constant({ do: 'pop' as const }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), at: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('replace' as const), at: fc.nat(), value: fc.integer() }) },
  );
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.array(step), (given, steps) => {
      const held = given.map(itemOf);
      const heap = new Heap([...held], (a, b) => a.value < b.value);
      for (const step of steps) {
        const at = 'at' in step ? step.at % Math.max(1, held.length) : 0;
        const one = held[at];
        if (step.do === 'push') {
          const item = itemOf(step.value);
          held.push(item);
          heap.push(item);
        } else if (step.do === 'pop') {
          const best = heap.pop();
          expect(best?.value).toBe(held.length === 0 ? undefined : Math.min(...held.map(({ value }) => value)));
          if (best) held.splice(held.indexOf(best), 1);
        } else if (one && step.do === 'remove') {
          held.splice(at, 1);
          heap.remove(one);
        } else if (one && step.do === 'replace') {
          const item = itemOf(step.value);
          held[at] = item;
          heap.replace(one, item);
        }
        expect(heap.size).toBe(held.length);
        expect([...heap.inOrder()].map(({ value }) => value)).toEqual(held.map(({ value }) => value).sort((a, b) => a - b));
      }
    }),
  );
});
