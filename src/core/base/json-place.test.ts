import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findJsonFault } from './json-place.ts';

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('findJsonFault', () => {
  test.each([
    ['{"a": x}', 1, 7],
    ['{"a": 1,}', 1, 9],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3],
    ['[1, 2', 1, 6],
    ['', 1, 1],
    ['{} {}', 1, 4],
    ['{"a": "b\n"}', 1, 9],
    ['[01]', 1, 3],
    ["{'a': 1}", 1, 2],
    ['[1}', 1, 3],
    ['"\\x"', 1, 2],
  ])('%j at %i:%i', (text, line, column) => {
    expect(findJsonFault(text)).toMatchObject({ line, column });
  });

  test('finds a fault exactly where JSON.parse finds one', () => {
    const damaged = fc
      .tuple(
        fc.jsonValue(),
        fc.nat(),
        fc.constantFrom('', ',', '"', '}', ']', '{', '[', ':', '\\', '0', '-', 'e', '.', '\n', 'null'),
      )
      .map(([value, at, piece]) => {
        const text = JSON.stringify(value, null, at % 3);
        const cut = at % (text.length + 1);
        return text.slice(0, cut) + piece + text.slice(cut + (at % 2));
      });
    fc.assert(
      fc.property(damaged, (text) => (findJsonFault(text) === null) === parses(text)),
      { numRuns: 2_000 },
    );
  });

  test('depth is no danger', () => {
    expect(findJsonFault('['.repeat(200_000))).toMatchObject({ column: 200_001 });
  });
});
