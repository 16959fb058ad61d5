import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogRecorder } from '../../../test/conformance/log-recorder.ts';
import { buildProgram, runProgram } from '../../../test/rig/child-program.ts';
import { limits } from '../../core/base/limits.ts';
import { integerBetween, Prng } from '../../core/base/prng.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Log } from '../../ports/log.ts';
import { MemoryDisk } from '../memory/disk.ts';
import { MemoryLog } from '../memory/log.ts';
import { systemClock } from '../system-clock/clock.ts';
import { LevelLog } from './log.ts';
import { entryKey, FORMAT_KEY, PIECE_RANGE, pieceKey, SNAPSHOT_KEY, seal } from './records.ts';

let root: string;
let directory: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tendril-level-'));
  directory = join(root, 'log');
});

afterEach(() => rm(root, { recursive: true }));

async function write(texts: readonly string[], snapshotAt = 0): Promise<void> {
  const log = new LevelLog(directory);
  const seen = new LogRecorder();
  await log.open(seen);
  for (const [at, text] of texts.entries()) log.propose(at, Buffer.from(text));
  await seen.until(({ entries }) => entries.length === texts.length);
  if (snapshotAt > 0) await log.compact(Buffer.alloc(2 * limits.snapshotPieceBytes, 's'), snapshotAt);
  await log.close();
}

async function read(at = directory): Promise<LogRecorder> {
  const log = new LevelLog(at);
  const seen = new LogRecorder();
  await log.open(seen);
  await log.close();
  return seen;
}

async function tamper<T>(action: (database: ClassicLevel<Buffer, Buffer>) => Promise<T>): Promise<T> {
  const database = new ClassicLevel<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  try {
    return await action(database);
  } finally {
    await database.close();
  }
}

describe('damage', () => {
  it.each<[string, RegExp, (database: ClassicLevel<Buffer, Buffer>) => Promise<void>]>([
    ['a changed entry', /entry 3 does not match/, (database) => database.put(entryKey(3), Buffer.from('0000three'))],
    ['a cut entry', /entry 3 does not match/, (database) => database.put(entryKey(3), Buffer.from('0'))],
    ['a missing entry', /entry 3 is missing/, (database) => database.del(entryKey(3))],
    ['a missing first entry', /entry 2 is missing/, (database) => database.del(entryKey(2))],
    [
      'an entry in the place of another',
      /entry 4 does not match/,
      async (database) => database.put(entryKey(4), (await database.get(entryKey(3))) ?? Buffer.alloc(0)),
    ],
    [
      'an entry before the snapshot',
      /entry 2 is missing/,
      (database) => database.put(entryKey(1), seal(entryKey(1), Buffer.from('one'))),
    ],
    [
      'a changed piece of the snapshot',
      /piece 1 of its snapshot/,
      (database) => database.put(pieceKey(1, 1), Buffer.alloc(1_000)),
    ],
    ['a missing piece of the snapshot', /piece 0 of its snapshot/, (database) => database.del(pieceKey(1, 0))],
    [
      'a changed record of the snapshot',
      /record of its snapshot/,
      (database) => database.put(SNAPSHOT_KEY, Buffer.from('0000{}')),
    ],
    ['a missing format', /no format/, (database) => database.del(FORMAT_KEY)],
    ['an unknown format', /never was a format 0/, (database) => database.put(FORMAT_KEY, seal(FORMAT_KEY, Buffer.from('0')))],
    ['a changed format', /format cannot be read/, (database) => database.put(FORMAT_KEY, Buffer.from('1'))],
  ])('is found: %s', async (_, message, change) => {
    await write(['one', 'two', 'three', 'four'], 1);
    await tamper(change);
    const error = await read().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'data_dir_corrupt', message: expect.stringMatching(message) });
    // It has let go of the directory.
    await tamper((database) => database.get(FORMAT_KEY));
  });

  it('is found when CURRENT is lost, and nothing is deleted', async () => {
    await write(['one']);
    await rm(join(directory, 'CURRENT'));
    const before = await readdir(directory);
    await expect(read()).rejects.toMatchObject({ code: 'data_dir_corrupt' });
    expect(await readdir(directory)).toEqual(before);
  });

  const seed = Number(process.env.TENDRIL_TEST_SEED ?? Date.now() % 1_000_000_007);
  it(`anywhere in any file is never applied: refused, or a torn end is dropped (TENDRIL_TEST_SEED=${seed})`, async () => {
    const texts = Array.from({ length: 400 }, (_, number) => `${number} ${'x'.repeat((number * 37) % 900)}`);
    await write(texts.slice(0, 200));
    await write(texts.slice(200));
    const random = new Prng(seed);
    let refused = 0;
    for (let run = 0; run < 40; run += 1) {
      const copy = join(root, `copy-${run}`);
      await cp(directory, copy, { recursive: true });
      const names = (await readdir(copy)).filter((name) => /^(\d+\.(log|ldb)|MANIFEST-\d+|CURRENT)$/.test(name));
      const file = join(copy, names[integerBetween(random, 0, names.length - 1)] ?? '');
      const content = await readFile(file);
      const at = integerBetween(random, 0, content.length - 1);
      content[at] = (content[at] ?? 0) ^ (1 << integerBetween(random, 0, 7));
      await writeFile(file, content);
      try {
        const { texts: found } = await read(copy);
        expect(found, `${file} at ${at}`).toEqual(texts.slice(0, found.length));
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        expect(error.code, `${file} at ${at}: ${error.message}`).toBe('data_dir_corrupt');
        refused += 1;
      }
      await rm(copy, { recursive: true });
    }
    expect(refused).toBeGreaterThan(0);
  });
});

describe('opening', () => {
  it('refuses a newer format', async () => {
    await write(['one']);
    await tamper((database) => database.put(FORMAT_KEY, seal(FORMAT_KEY, Buffer.from('2'))));
    await expect(read()).rejects.toMatchObject({ code: 'data_dir_newer' });
  });

  it('removes what a crash left of a snapshot between its pieces and the switch, and keeps the entries', async () => {
    await write(['one', 'two', 'three'], 1);
    await tamper((database) => database.put(pieceKey(3, 0), seal(pieceKey(3, 0), Buffer.from('half'))));
    const seen = await read();
    expect(seen.snapshot?.index).toBe(1);
    expect(seen.texts).toEqual(['two', 'three']);
    const pieces = await tamper((database) => database.keys(PIECE_RANGE).all());
    expect(pieces).toEqual([pieceKey(1, 0), pieceKey(1, 1)]);
  });

  it('starts anew where a first start was cut short', async () => {
    await mkdir(directory);
    await tamper((database) => database.open());
    expect((await read()).calls).toEqual(['ready']);
  });

  it('refuses a log that is open, in this process or in another', async () => {
    const log = new LevelLog(directory);
    await log.open(new LogRecorder());
    await expect(read()).rejects.toMatchObject({ code: 'data_dir_locked' });
    await log.close();
    const victim = await buildProgram(join(import.meta.dirname, '../../../test/conformance/level-log-victim.ts'));
    await new Promise((resolve) => {
      const run = runProgram([process.execPath, victim, directory, '1', '1'], (line) => {
        if (line !== 'ack 0') return;
        void expect(read())
          .rejects.toMatchObject({ code: 'data_dir_locked' })
          .then(() => run.process.kill('SIGKILL'))
          .then(() => run.ended)
          .then(resolve);
      });
    });
    expect((await read()).lastIndex).toBeGreaterThan(0);
  });

  it('passes on what the listener throws: a broken invariant is no damage', async () => {
    await write(['one']);
    const log = new LevelLog(directory);
    const listener = new LogRecorder({
      committed: () => {
        throw new RangeError('mine');
      },
    });
    await expect(log.open(listener)).rejects.toThrow(RangeError);
    await read();
  });

  it('closes in the midst of opening', async () => {
    await write(['one', 'two']);
    const log = new LevelLog(directory);
    const seen = new LogRecorder();
    const opened = log.open(seen);
    log.propose(0, Buffer.from('never'));
    await log.close();
    await opened;
    expect([...seen.drops.keys()]).toEqual([0]);
    expect((await read()).texts).toEqual(['one', 'two']);
  });
});

type Step = { kind: 'propose'; sizes: number[] } | { kind: 'compact'; back: number } | { kind: 'restart' };

it('behaves as the memory log does, whatever is asked of it', async () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('propose' as const),
        sizes: fc.array(fc.nat(5_000), { minLength: 1, maxLength: 40 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('compact' as const), back: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  );
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      runs += 1;
      const at = join(root, `model-${runs}`);
      const disk = new MemoryDisk(systemClock);
      const real = await play(steps, () => new LevelLog(at));
      const model = await play(steps, () => new MemoryLog(disk));
      expect(real).toEqual(model);
    }),
    { numRuns: 25 },
  );
});

/** What every life of the log saw, in words. */
async function play(steps: readonly Step[], create: () => Log): Promise<unknown[]> {
  const lives: unknown[] = [];
  let log = create();
  let seen = new LogRecorder();
  let proposed = 0;
  await log.open(seen);
  const restart = async (): Promise<void> => {
    await log.close();
    const told = seen.entries.map(({ index, proposal, data }) => [index, proposal, data.length, data[0]]);
    lives.push({ calls: seen.calls, told, snapshot: seen.snapshot && [seen.snapshot.index, seen.snapshot.content.length] });
    log = create();
    seen = new LogRecorder();
    await log.open(seen);
  };
  for (const step of steps) {
    if (step.kind === 'restart') await restart();
    else if (step.kind === 'compact') await log.compact(new Uint8Array(seen.lastIndex), Math.max(0, seen.lastIndex - step.back));
    else {
      const goal = seen.lastIndex + step.sizes.length;
      for (const size of step.sizes) {
        log.propose(proposed, Buffer.alloc(size, proposed % 251));
        proposed += 1;
      }
      await seen.until(({ lastIndex }) => lastIndex === goal);
    }
  }
  await restart();
  await restart();
  await log.close();
  return lives;
}
