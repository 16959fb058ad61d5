/** What only the real disk can get wrong, under the log of a lone replica: damage, locks, a start or an end cut short. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Hooks, LogRecorder } from '../../../test/conformance/log-recorder.ts';
import { buildProgram, runProgram } from '../../../test/rig/child-program.ts';
import { aloneOn } from '../../../test/rig/lone-replica.ts';
import { must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { integerBetween, Prng } from '../../core/base/prng.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Log } from '../../ports/log.ts';
import { MemoryDisk } from '../memory/disk.ts';
import { MemoryLog } from '../memory/log.ts';
import { MemoryRaftStorage } from '../memory/raft-storage.ts';
import { systemClock } from '../system-clock/clock.ts';
import { LevelRaftStorage } from './raft-storage.ts';
import { entryKey, FORMAT_KEY, HARD_KEY, PIECE_RANGE, pieceKey, SNAPSHOT_KEY, seal } from './records.ts';

const LARGE = Buffer.alloc(2 * limits.snapshotPieceBytes, 's');

let root: string;
let directory: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tendril-level-'));
  directory = join(root, 'log');
});

afterEach(() => rm(root, { recursive: true }));

/** In a new directory the n-th text is entry n + 1: the first is Raft's own, of a leader that begins its term. */
async function write(texts: readonly string[], snapshotAfter = 0, content: Uint8Array = LARGE): Promise<void> {
  const log = aloneOn(new LevelRaftStorage(directory));
  const seen = new LogRecorder();
  await log.open(seen);
  const before = seen.entries.length;
  for (const [at, text] of texts.entries()) log.propose(at, Buffer.from(text));
  await seen.until(({ entries }) => entries.length === before + texts.length);
  if (snapshotAfter > 0) await log.compact(content, must(seen.entries[snapshotAfter - 1], 'that entry').index);
  await log.close();
}

async function read(at = directory, hooks: Hooks = {}): Promise<LogRecorder> {
  const log = aloneOn(new LevelRaftStorage(at));
  const seen = new LogRecorder(hooks);
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

const json = (key: Buffer, value: unknown): Buffer => seal(key, Buffer.from(JSON.stringify(value)));

describe('damage', () => {
  it.each<[string, RegExp, (database: ClassicLevel<Buffer, Buffer>) => Promise<void>]>([
    ['a changed entry', /entry 4 does not match/, (database) => database.put(entryKey(4), Buffer.from('0000three'))],
    ['a cut entry', /entry 4 does not match/, (database) => database.put(entryKey(4), Buffer.from('0'))],
    [
      'an entry that is whole but none of Raft',
      /entry 4 does not match/,
      (database) => database.put(entryKey(4), seal(entryKey(4), Buffer.from('three'))),
    ],
    ['a missing entry', /entry 4 is missing/, (database) => database.del(entryKey(4))],
    ['a missing first entry', /entry 1 is missing/, (database) => database.del(entryKey(1))],
    [
      'missing entries up to the snapshot',
      /entry 1 is missing/,
      (database) => database.batch([1, 2].map((index) => ({ type: 'del', key: entryKey(index) }))),
    ],
    [
      'missing entries after the snapshot begins',
      /entry 2 is missing/,
      (database) => database.batch([2, 3, 4, 5].map((index) => ({ type: 'del', key: entryKey(index) }))),
    ],
    [
      'an entry in the place of another',
      /entry 5 does not match/,
      async (database) => database.put(entryKey(5), (await database.get(entryKey(4))) ?? Buffer.alloc(0)),
    ],
    [
      'an entry before the first',
      /entry 1 is missing; the next one there is 0/,
      (database) => database.put(entryKey(0), seal(entryKey(0), Buffer.from('zero'))),
    ],
    [
      'a changed piece of the snapshot',
      /piece 1 of its snapshot up to entry 2/,
      (database) => database.put(pieceKey(1, 1), Buffer.alloc(1_000)),
    ],
    ['a missing piece of the snapshot', /piece 0 of its snapshot/, (database) => database.del(pieceKey(1, 0))],
    [
      'a short piece of the snapshot',
      /its snapshot up to entry 2 has/,
      (database) => database.put(pieceKey(1, 1), seal(pieceKey(1, 1), Buffer.from('short'))),
    ],
    [
      'a changed record of the snapshot',
      /record of its snapshot does not match/,
      (database) => database.put(SNAPSHOT_KEY, Buffer.from('0000{}')),
    ],
    [
      'a record of the snapshot that says something else',
      /record of its snapshot cannot be read/,
      (database) => database.put(SNAPSHOT_KEY, json(SNAPSHOT_KEY, { index: 2, bytes: LARGE.length })),
    ],
    ['a changed record of the term', /record of its term/, (database) => database.put(HARD_KEY, Buffer.from('0000{}'))],
    ['a missing record of the term, in which it may have voted', /record of its term/, (database) => database.del(HARD_KEY)],
    [
      'a record of the term older than the entries',
      /record of its term/,
      (database) => database.put(HARD_KEY, json(HARD_KEY, { term: 0, votedFor: null })),
    ],
    ['a missing format', /no format/, (database) => database.del(FORMAT_KEY)],
    ['a changed format', /format cannot be read/, (database) => database.put(FORMAT_KEY, Buffer.from('2'))],
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

  it('is told with its code when LevelDB itself finds it, after it was loaded', async () => {
    await write(['one', 'two'], 1);
    const storage = new LevelRaftStorage(directory);
    try {
      await storage.load();
      for (const name of await readdir(directory)) {
        const file = join(directory, name);
        const { size } = await stat(file);
        // Tables with pieces; in place, as LevelDB has them in its memory map, and without the index at their end.
        if (name.endsWith('.ldb') && size > 16_384) await writeFile(file, Buffer.alloc(size - 4_096, 0xff), { flag: 'r+' });
      }
      const expected = { code: 'data_dir_corrupt', message: expect.stringContaining('block') };
      await expect(storage.readSnapshot()).rejects.toMatchObject(expected);
      await expect(storage.readPiece(2, 0)).rejects.toMatchObject(expected);
    } finally {
      await storage.close();
    }
  });

  const seed = Number(process.env.TENDRIL_TEST_SEED ?? Date.now() % 1_000_000_007);
  it.each([
    ['entries', 0],
    ['entries and a snapshot', 300],
  ])(
    `of %s anywhere in any file is never applied: refused, or a torn end is dropped (TENDRIL_TEST_SEED=${seed})`,
    async (_, snapshotAfter) => {
      const random = new Prng(seed);
      const texts = Array.from({ length: 400 }, (_, number) => `${number} ${'x'.repeat((number * 37) % 900)}`);
      // Nothing that compresses: what is damaged is content.
      const snapshot = Uint8Array.from({ length: limits.snapshotPieceBytes + 9 }, () => integerBetween(random, 0, 255));
      await write(texts.slice(0, 200));
      await write(texts.slice(200), snapshotAfter, snapshot);
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
          const seen = await read(copy);
          const first = seen.snapshot === null ? 0 : snapshotAfter;
          if (seen.snapshot) expect(Buffer.compare(seen.snapshot.content, snapshot), `${file} at ${at}`).toBe(0);
          expect(seen.texts, `${file} at ${at}`).toEqual(texts.slice(first, first + seen.texts.length));
        } catch (error) {
          if (!(error instanceof CodedError)) throw error;
          expect(error.code, `${file} at ${at}: ${error.message}`).toBe('data_dir_corrupt');
          refused += 1;
        }
        await rm(copy, { recursive: true });
      }
      expect(refused).toBeGreaterThan(0);
    },
  );
});

describe('opening', () => {
  it('refuses a newer format', async () => {
    await write(['one']);
    await tamper((database) => database.put(FORMAT_KEY, seal(FORMAT_KEY, Buffer.from('3'))));
    await expect(read()).rejects.toMatchObject({ code: 'data_dir_newer' });
  });

  it('refuses a log without terms, which no released version wrote, and leaves it as it is', async () => {
    await mkdir(directory);
    const records = [
      [entryKey(1), seal(entryKey(1), Buffer.from('one'))],
      [FORMAT_KEY, seal(FORMAT_KEY, Buffer.from('1'))],
    ] as const;
    await tamper((database) => database.batch(records.map(([key, value]) => ({ type: 'put', key, value }))));
    await expect(read()).rejects.toMatchObject({ code: 'data_dir_foreign', message: expect.stringContaining('format 1') });
    expect(await tamper((database) => database.iterator().all())).toEqual(records);
  });

  it('removes what a crash left of a snapshot between its pieces and the switch, and keeps the entries', async () => {
    await write(['one', 'two', 'three'], 1);
    await tamper((database) => database.put(pieceKey(2, 0), seal(pieceKey(2, 0), Buffer.from('half'))));
    const seen = await read();
    expect(seen.snapshot?.index).toBe(2);
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
    const log = aloneOn(new LevelRaftStorage(directory));
    await log.open(new LogRecorder());
    await expect(read()).rejects.toMatchObject({ code: 'data_dir_locked' });
    await log.close();
    const victim = await buildProgram(join(import.meta.dirname, '../../../test/conformance/raft-log-victim.ts'));
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

  it('passes on what the listener throws at a snapshot: a broken invariant is no damage', async () => {
    await write(['one'], 1);
    const log = aloneOn(new LevelRaftStorage(directory));
    const listener = new LogRecorder({
      restored: () => {
        throw new RangeError('mine');
      },
    });
    await expect(log.open(listener)).rejects.toThrow(RangeError);
    await log.close();
    await read();
  });

  it('ends the process with what the listener throws at an entry, and loses nothing by it', async () => {
    await write(['one']);
    const program = await buildProgram(join(import.meta.dirname, '../../../test/conformance/throwing-log-victim.ts'));
    const { exitCode, stderr } = await runProgram([process.execPath, program, directory]).ended;
    expect(exitCode).toBe(1);
    expect(stderr).toContain('RangeError: cannot be applied: one');
    expect((await read()).texts).toEqual(['one']);
  });

  it.each([0, 1])('closes in the midst of opening, with a snapshot after so many entries: %i', async (snapshotAfter) => {
    await write(['one', 'two'], snapshotAfter);
    const log = aloneOn(new LevelRaftStorage(directory));
    const seen = new LogRecorder();
    const opened = log.open(seen);
    log.propose(0, Buffer.from('never'));
    await log.close();
    await opened;
    expect([...seen.drops.keys()]).toEqual([0]);
    expect((await read()).texts).toEqual(['one', 'two'].slice(snapshotAfter));
  });
});

type Step = { kind: 'propose'; sizes: number[] } | { kind: 'compact'; back: number } | { kind: 'restart' };

describe('whatever is asked of it', () => {
  it.each<[string, (disk: MemoryDisk) => Log, Seen]>([
    ['as the simulated disk does, to the index', (disk) => aloneOn(new MemoryRaftStorage(disk)), { indices: true }],
    ['as the memory log does', (disk) => new MemoryLog(disk), { indices: false }],
  ])('behaves %s', async (_, model, seen) => {
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
        const real = await play(steps, seen, () => aloneOn(new LevelRaftStorage(at)));
        expect(real).toEqual(await play(steps, seen, () => model(disk)));
      }),
      { numRuns: 25 },
    );
  });
});

/** Raft has entries of its own between the listener's. */
interface Seen {
  readonly indices: boolean;
}

/** What every life of the log saw, in words. */
async function play(steps: readonly Step[], { indices }: Seen, create: () => Log): Promise<unknown[]> {
  const lives: unknown[] = [];
  let log = create();
  let seen = new LogRecorder();
  let proposed = 0;
  await log.open(seen);
  const restart = async (): Promise<void> => {
    await log.close();
    const told = seen.entries.map(({ index, proposal, data }) => [indices && index, proposal, data.length, data[0]]);
    const { snapshot } = seen;
    lives.push({ calls: seen.calls, told, snapshot: snapshot && [indices && snapshot.index, snapshot.content.length] });
    log = create();
    seen = new LogRecorder();
    await log.open(seen);
  };
  for (const step of steps) {
    if (step.kind === 'restart') await restart();
    else if (step.kind === 'compact') {
      const restored = seen.snapshot;
      const count = Math.max(0, seen.entries.length - step.back);
      const index = seen.entries[count - 1]?.index ?? restored?.index ?? 0;
      await log.compact(new Uint8Array((restored?.content.length ?? 0) + count), index);
    } else {
      const goal = seen.entries.length + step.sizes.length;
      for (const size of step.sizes) {
        log.propose(proposed, Buffer.alloc(size, proposed % 251));
        proposed += 1;
      }
      await seen.until(({ entries }) => entries.length === goal);
    }
  }
  await restart();
  await restart();
  await log.close();
  return lives;
}
