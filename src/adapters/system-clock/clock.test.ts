import { expect, it } from 'vitest';
import { systemClock } from './clock.ts';

it('waits for longer than a timer of Node can, and for nothing that was cancelled', async () => {
  const fired: string[] = [];
  const cancelLong = systemClock.startTimer(2 ** 31 + 5, () => fired.push('long'));
  systemClock.startTimer(0, () => fired.push('cancelled'))();
  await new Promise<void>((resolve) => systemClock.startTimer(20, resolve));
  cancelLong();
  expect(fired).toEqual([]);
});
