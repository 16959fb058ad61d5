/** What a synced write takes on this machine's disk when so many processes want one at the same moment. */

import { machineMs } from './parts/machine-clock.ts';
import { Part } from './parts/part.ts';
import type { BeatRequest } from './parts/sync-beat.ts';

const BEATS = 100;
const EVERY_MS = 10;
/** Until all of them have been told. */
const HEAD_START_MS = 100;

export async function syncsMs(processes: number): Promise<readonly number[]> {
  const parts = Array.from({ length: processes }, () => new Part('sync-beat'));
  try {
    await Promise.all(
      parts.map((part) => part.ask('run', { firstAtMs: machineMs(), everyMs: 0, count: 1 } satisfies BeatRequest)),
    );
    const request: BeatRequest = { firstAtMs: machineMs() + HEAD_START_MS, everyMs: EVERY_MS, count: BEATS };
    return (await Promise.all(parts.map((part) => part.ask<readonly number[]>('run', request)))).flat();
  } finally {
    await Promise.all(parts.map((part) => part.kill()));
  }
}
