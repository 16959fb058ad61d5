import fc from 'fast-check';
import { expect, it } from 'vitest';
import { StrangerLimit } from './stranger-limit.ts';

const connection = fc.record({
  open: fc.boolean(),
  address: fc.constantFrom('a', 'b', 'c'),
  port: fc.integer({ min: 1, max: 4 }),
});

it('counts what is open, and never more than it may', () => {
  fc.assert(
    fc.property(fc.array(connection), (steps) => {
      const limit = new StrangerLimit(5, 3);
      const open = new Set<string>();
      for (const { open: opens, address, port } of steps) {
        const key = `${address}:${port}`;
        if (!opens) {
          limit.release(address, port);
          open.delete(key);
        } else if (!open.has(key)) {
          const fromAddress = [...open].filter((other) => other.startsWith(address)).length;
          const admitted = limit.admit(address, port);
          expect(admitted).toBe(open.size < 5 && fromAddress < 3);
          if (admitted) open.add(key);
        }
        expect(limit.count).toBe(open.size);
      }
    }),
  );
});
