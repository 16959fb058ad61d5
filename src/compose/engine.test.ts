import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createProcessRuntime } from '../adapters/native/process.ts';
import { systemClock } from '../adapters/system-clock/clock.ts';
import { CodedError } from '../core/model/errors.ts';
import { keptOutput } from './engine.ts';

it('the output of an instance that never started is empty, not an error', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tendril-engine-'));
  const runtime = createProcessRuntime({ clock: systemClock }, { directory, nodeUid: 'node' });
  const read = keptOutput(runtime.logs('web-1', { follow: false, signal: new AbortController().signal }));
  expect(await read.next()).toEqual({ done: true, value: undefined });
  await runtime.close();
  await rm(directory, { recursive: true });
});

it('output that cannot be read stays an error', async () => {
  // biome-ignore lint/correctness/useYield: it fails before it has anything
  async function* broken(): AsyncGenerator<Uint8Array> {
    throw new CodedError('unavailable', 'the disk');
  }
  await expect(keptOutput(broken()).next()).rejects.toThrow('the disk');
});
