/** The links of the benches are as long as this says. */
import { expect, it } from 'vitest';
import { Sleeper } from '../bench/group/sleeper.ts';
import { machineMs } from '../bench/parts/machine-clock.ts';
import { Heard } from './rig/heard.ts';
import { until } from './rig/until.ts';

it('wakes once for each turn, also when a word of one comes late', async () => {
  const woken = new Heard<number>();
  const sleeper = new Sleeper(() => woken.push(machineMs()));
  const waits = () => until('its thread waits for a turn', () => sleeper.stir(), 10_000);
  await waits();
  for (let turn = 1; turn <= 3; turn += 1) {
    const dueMs = machineMs() + 5;
    sleeper.sleepUntil(dueMs);
    sleeper.stir();
    await woken.until(turn, () => true);
    expect(woken.all).toHaveLength(turn);
    expect(woken.all.at(-1)).toBeGreaterThanOrEqual(dueMs);
    await waits();
  }
  await sleeper.close();
});
