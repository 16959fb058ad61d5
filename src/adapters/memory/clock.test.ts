import fc from 'fast-check';
import { expect, it } from 'vitest';
import { VirtualClock } from './clock.ts';

it('fires timers in the order of their times, then of their starting, and none that was cancelled', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ delayMs: fc.nat(50), cancelled: fc.boolean() })), (timers) => {
      const clock = new VirtualClock(1_000);
      const fired: { at: number; delayMs: number }[] = [];
      const cancels = timers.map(({ delayMs }, at) =>
        clock.startTimer(delayMs, () => {
          expect(clock.nowMs()).toBe(1_000 + delayMs);
          fired.push({ at, delayMs });
        }),
      );
      for (const [at, { cancelled }] of timers.entries()) if (cancelled) cancels[at]?.();
      clock.advance(50);
      const expected = timers.flatMap(({ delayMs, cancelled }, at) => (cancelled ? [] : [{ at, delayMs }]));
      expect(fired).toEqual(expected.sort((a, b) => a.delayMs - b.delayMs || a.at - b.at));
      expect(clock.nextAtMs()).toBeNull();
    }),
  );
});

it('passes only when told to, with what is started on the way', () => {
  const clock = new VirtualClock();
  const ticks: number[] = [];
  const tick = (): void => {
    ticks.push(clock.nowMs());
    clock.startTimer(10, tick);
  };
  clock.startTimer(10, tick);
  clock.advance(35);
  expect(ticks).toEqual([10, 20, 30]);
  expect(clock.nowMs()).toBe(35);
  expect(clock.nextAtMs()).toBe(40);
  expect(clock.runNext()).toBe(true);
  expect(clock.nowMs()).toBe(40);
});
