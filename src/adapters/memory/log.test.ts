import { expect, it } from 'vitest';
import { LogRecorder } from '../../../test/conformance/log-recorder.ts';
import { integerBetween, Prng } from '../../core/base/prng.ts';
import { CodedError } from '../../core/model/errors.ts';
import { VirtualClock } from './clock.ts';
import { MemoryDisk } from './disk.ts';
import { MemoryLog } from './log.ts';

function machine(syncMs: number): { clock: VirtualClock; disk: MemoryDisk; start: () => { log: MemoryLog; seen: LogRecorder } } {
  const clock = new VirtualClock();
  const disk = new MemoryDisk(clock);
  disk.syncMs = syncMs;
  const start = (): { log: MemoryLog; seen: LogRecorder } => {
    const log = new MemoryLog(disk);
    const seen = new LogRecorder();
    void log.open(seen);
    clock.advance(0);
    return { log, seen };
  };
  return { clock, disk, start };
}

function propose(log: MemoryLog, from: number, to: number): void {
  for (let number = from; number <= to; number += 1) log.propose(number, Buffer.from(String(number)));
}

it('delivers when the sync has ended and no sooner; what came meanwhile shares the next one', () => {
  const { clock, disk, start } = machine(10);
  const { log, seen } = start();
  propose(log, 1, 1);
  clock.advance(5);
  propose(log, 2, 9);
  clock.advance(4);
  expect(seen.entries).toHaveLength(0);
  clock.advance(1);
  expect(seen.texts).toEqual(['1']);
  clock.advance(10);
  expect(seen.entries).toHaveLength(9);
  expect(disk.syncs).toBe(2);
  clock.advance(1_000_000);
  expect(disk.syncs, 'idle, it writes nothing (L5)').toBe(2);
});

it('loses in a crash what was not synced, and the process hears nothing more', () => {
  const { clock, disk, start } = machine(10);
  const first = start();
  propose(first.log, 1, 3);
  clock.advance(10);
  propose(first.log, 4, 6);
  clock.advance(9);
  disk.crash();
  propose(first.log, 7, 7);
  clock.advance(100);
  expect(first.seen.texts).toEqual(['1', '2', '3']);
  expect(start().seen.calls).toEqual(['1', '2', '3', 'ready']);
});

it('fails with what the disk says: what waits is dropped, what is under way stays open', () => {
  const { clock, disk, start } = machine(10);
  const { log, seen } = start();
  propose(log, 1, 2);
  clock.advance(1);
  propose(log, 3, 3);
  disk.failure = new CodedError('disk_full');
  clock.advance(100);
  propose(log, 4, 4);
  clock.advance(100);
  expect(seen.failure).toMatchObject({ code: 'disk_full' });
  expect([...seen.drops.keys()]).toEqual([3, 4]);
  expect(seen.entries).toEqual([]);
});

/** One life of crashes: every choice comes from the seed. Returns all that was seen. */
function live(seed: number): { trace: string[]; survivedUnacknowledged: number } {
  const random = new Prng(seed);
  const { clock, disk, start } = machine(3);
  const trace: string[] = [];
  let names: string[] = [];
  let survivedUnacknowledged = 0;
  for (let round = 0; round < 20; round += 1) {
    const { log, seen } = start();
    const found = [
      ...Buffer.from(seen.snapshot?.content ?? [])
        .toString()
        .split(' ')
        .filter(Boolean),
      ...seen.texts,
    ];
    expect(found.slice(0, names.length), 'what was delivered is there').toEqual(names);
    survivedUnacknowledged += found.length - names.length;
    names = found;
    for (let steps = integerBetween(random, 0, 40), number = 0; steps > 0; steps -= 1) {
      for (let burst = integerBetween(random, 0, 4); burst > 0; burst -= 1)
        log.propose(number, Buffer.from(`${round}:${number++}`));
      if (steps % 10 === 5) void log.compact(Buffer.from(found.join(' ')), found.length);
      clock.advance(integerBetween(random, 0, 3));
    }
    names = [
      ...found,
      ...seen.entries.flatMap(({ proposal, data }) => (proposal === undefined ? [] : [Buffer.from(data).toString()])),
    ];
    trace.push(...seen.calls, `${clock.nowMs()} ${names.length}`);
    disk.crash(random);
  }
  return { trace, survivedUnacknowledged };
}

it('keeps every promise over crashes at any moment, and replays exactly', () => {
  let survivedUnacknowledged = 0;
  for (let seed = 1; seed <= 50; seed += 1) {
    const run = live(seed);
    expect(live(seed)).toEqual(run);
    survivedUnacknowledged += run.survivedUnacknowledged;
  }
  expect(survivedUnacknowledged, 'some crashes kept what nobody had been told of').toBeGreaterThan(0);
});
