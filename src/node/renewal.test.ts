import { describe, expect, it } from 'vitest';
import { Prng } from '../core/base/prng.ts';
import type { Validity } from '../core/model/renewal.ts';
import { Renewal } from './renewal.ts';

const DAY_MS = 86_400_000;

/** A clock that jumps to its next timer. */
class TimerQueue {
  now = 0;
  timer: { atMs: number; callback: () => void } | null = null;

  nowMs(): number {
    return this.now;
  }

  elapsedMs(): number {
    return this.now;
  }

  startTimer(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.now + delayMs, callback };
    this.timer = timer;
    return () => {
      if (this.timer === timer) this.timer = null;
    };
  }

  /** Runs timers until `done`; each renewal settles before the next timer. */
  async runUntil(done: () => boolean): Promise<void> {
    for (let i = 0; i < 10_000 && !done(); i++) {
      const { timer } = this;
      if (timer === null) throw new Error('nothing is planned any more');
      this.timer = null;
      this.now = timer.atMs;
      timer.callback();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(done()).toBe(true);
  }
}

function start(renew: () => Promise<Validity>, validity: Validity) {
  const clock = new TimerQueue();
  const failures: unknown[] = [];
  const random = new Prng(7);
  const renewal = new Renewal({ clock, random, renew, failed: (error) => failures.push(error) }, validity);
  renewal.start();
  return { clock, renewal, failures };
}

describe('renewal', () => {
  it('renews at two thirds of each life, for years', async () => {
    const renewedAtMs: number[] = [];
    const { clock } = start(
      async () => {
        renewedAtMs.push(clock.now);
        return { notBeforeMs: clock.now, notAfterMs: clock.now + 90 * DAY_MS };
      },
      { notBeforeMs: 0, notAfterMs: 90 * DAY_MS },
    );
    await clock.runUntil(() => renewedAtMs.length === 10);
    const gapsMs = renewedAtMs.map((atMs, i) => atMs - (renewedAtMs[i - 1] ?? 0));
    for (const gapMs of gapsMs) {
      expect(gapMs).toBeGreaterThanOrEqual(60 * DAY_MS);
      expect(gapMs).toBeLessThan(68 * DAY_MS);
    }
  });

  it('tries again until the parent is back, and says why it failed', async () => {
    let tries = 0;
    const { clock, failures } = start(
      async () => {
        tries++;
        if (clock.now < 80 * DAY_MS) throw new Error('parent is away');
        return { notBeforeMs: clock.now, notAfterMs: clock.now + 90 * DAY_MS };
      },
      { notBeforeMs: 0, notAfterMs: 90 * DAY_MS },
    );
    await clock.runUntil(() => clock.now >= 80 * DAY_MS && failures.length === tries - 1);
    expect(failures.length).toBeGreaterThan(24);
    expect(clock.now).toBeLessThan(80 * DAY_MS + 6 * 3_600_000);
  });

  it('notices a clock that was set forward, and does not spin on a certificate that is due at once', async () => {
    let renewals = 0;
    const { clock } = start(
      async () => {
        renewals++;
        return { notBeforeMs: 0, notAfterMs: clock.now + 1 };
      },
      { notBeforeMs: 0, notAfterMs: 90 * DAY_MS },
    );
    clock.now = 100 * DAY_MS;
    const startedMs = clock.now;
    if (clock.timer) clock.timer = { ...clock.timer, atMs: clock.now };
    await clock.runUntil(() => renewals === 5);
    expect(clock.now - startedMs).toBeGreaterThanOrEqual(40_000);
  });

  it('stops', () => {
    const { clock, renewal } = start(() => Promise.reject(new Error('never')), { notBeforeMs: 0, notAfterMs: DAY_MS });
    renewal.stop();
    expect(clock.timer).toBeNull();
  });
});
