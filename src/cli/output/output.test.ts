import { describe, expect, it } from 'vitest';
import { formatAge } from './age.ts';
import { readableBytes, readableCpu } from './amounts.ts';
import { formatFields } from './fields.ts';

describe('what people read', () => {
  it.each([
    [-5_000, '0s'],
    [119_000, '119s'],
    [120_000, '2m'],
    [312_000, '5m12s'],
    [3_600_000, '60m'],
    [11_400_000, '3h10m'],
    [86_400_000, '24h'],
    [200_000_000, '2d7h'],
    [864_000_000, '10d'],
  ])('an age of %d ms', (ms, text) => {
    expect(formatAge(ms)).toBe(text);
  });

  it.each([
    [0, '0m'],
    [250, '250m'],
    [1500, '1.5'],
    [4000, '4'],
    [24_400, '24'],
  ])('%d thousandths of a core', (milli, text) => {
    expect(readableCpu(milli)).toBe(text);
  });

  it.each([
    [512, '512'],
    [64 * 2 ** 20, '64Mi'],
    [7.55 * 2 ** 30, '7.5Gi'],
    [1_000_000_000, '954Mi'],
  ])('%d bytes', (bytes, text) => {
    expect(readableBytes(bytes)).toBe(text);
  });

  it('fields with their values below each other', () => {
    expect(
      formatFields([
        ['A', 'x'],
        ['Long', 'y\nz'],
      ]),
    ).toBe('A:     x\nLong:  y\n       z\n');
  });
});
