import { expect, it } from 'vitest';
import { renewAtMs, renewRetryDelayMs } from './renewal.ts';

const DAY_MS = 86_400_000;
const validity = { notBeforeMs: 0, notAfterMs: 90 * DAY_MS };

it('renews between two and three quarters of the lifetime', () => {
  expect(renewAtMs(validity, 0)).toBe(60 * DAY_MS);
  expect(renewAtMs(validity, 0.999)).toBeLessThan(67.5 * DAY_MS);
});

it('tries again hourly, and more often as the end nears', () => {
  expect(renewRetryDelayMs(validity, 60 * DAY_MS, 0.5)).toBe(3_600_000);
  expect(renewRetryDelayMs(validity, 90 * DAY_MS - 60_000, 0.5)).toBe(6_000);
  expect(renewRetryDelayMs(validity, 91 * DAY_MS, 0.5)).toBe(1_000);
});
