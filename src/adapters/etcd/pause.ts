/** Waiting, for a time or for an event, that a signal ends early. */
import { limits } from '../../core/base/limits.ts';
import type { Clock } from '../../ports/clock.ts';

export function pause(clock: Clock, durationMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      cancelTimer();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancelTimer = clock.startTimer(durationMs, done);
    signal.addEventListener('abort', done);
  });
}

/** Before the next try after so many in a row that failed: twice as long each time. */
export function retryPauseMs(failures: number): number {
  return Math.min(limits.etcdRetryMaxMs, limits.etcdRetryMinMs * 2 ** Math.min(failures, 16));
}
