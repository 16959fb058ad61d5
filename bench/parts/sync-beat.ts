/** Appends to a file and syncs it, each time on a beat of the machine's clock: several such processes do it at once. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineMs } from './machine-clock.ts';
import { serveParent } from './serve-parent.ts';

export interface BeatRequest {
  readonly firstAtMs: number;
  readonly everyMs: number;
  readonly count: number;
}

const ENTRY_BYTES = 256;

export function syncBeat(): void {
  serveParent({ run });
}

/** What each of them took. */
function run({ firstAtMs, everyMs, count }: BeatRequest): readonly number[] {
  const directory = mkdtempSync(join(tmpdir(), 'tendril-bench-'));
  const file = openSync(join(directory, 'synced'), 'w');
  const sleeping = new Int32Array(new SharedArrayBuffer(4));
  const data = Buffer.alloc(ENTRY_BYTES, 'x');
  try {
    return Array.from({ length: count }, (_, at) => {
      const dueMs = firstAtMs + at * everyMs;
      Atomics.wait(sleeping, 0, 0, Math.max(0, dueMs - machineMs()));
      const startMs = machineMs();
      writeSync(file, data);
      fdatasyncSync(file);
      return machineMs() - startMs;
    });
  } finally {
    closeSync(file);
    rmSync(directory, { recursive: true });
  }
}
