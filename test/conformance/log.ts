/**
 * What every log keeps, as tests: L1 to L5 of src/ports/log.ts. Run on the memory log and on the real ones, so
 * that a simulation over the memory log tells the truth.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { must } from '../../src/core/base/assert.ts';
import { limits } from '../../src/core/base/limits.ts';
import { integerBetween, Prng } from '../../src/core/base/prng.ts';
import type { Log } from '../../src/ports/log.ts';
import { type Hooks, LogRecorder } from './log-recorder.ts';
import { type VictimOrders, VictimState } from './log-victim.ts';

/** Where one replica's log lives; what is durable there outlives each `Log`. */
export interface LogPlace {
  /** The replica after a start of its process. */
  log(): Log;
  /**
   * Runs a victim (log-victim.ts) here, kills it without warning once it has reported `lines` times, and
   * resolves with everything that it reported.
   */
  killVictim(orders: VictimOrders, lines: number): Promise<readonly string[]>;
  remove(): Promise<void>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);

export function describeLog(name: string, createPlace: () => Promise<LogPlace>): void {
  describe(`log: ${name}`, () => {
    let place: LogPlace;
    let open: Log[];

    beforeEach(async () => {
      place = await createPlace();
      open = [];
    });

    afterEach(async () => {
      for (const log of open) await log.close();
      await place.remove();
    });

    async function start(hooks: Hooks = {}): Promise<{ log: Log; seen: LogRecorder }> {
      const log = place.log();
      const seen = new LogRecorder(hooks);
      open.push(log);
      await log.open(seen);
      return { log, seen };
    }

    /** Starts, proposes all of `texts` at once, waits until they are delivered. */
    async function startWith(texts: readonly string[]): Promise<{ log: Log; seen: LogRecorder }> {
      const { log, seen } = await start();
      for (const [at, text] of texts.entries()) log.propose(at, bytes(text));
      await seen.until(({ entries }) => entries.length === texts.length);
      return { log, seen };
    }

    it('is ready at once when it is new', async () => {
      const { seen } = await start();
      expect(seen.calls).toEqual(['ready']);
    });

    it('delivers what is proposed, in order, once, under growing indices (L1, L2)', async () => {
      const texts = numbers(1, 1_000).map((number) => `entry ${number}`);
      const { log, seen } = await startWith(texts);
      expect(seen.texts).toEqual(texts);
      expect(seen.delivered).toEqual(numbers(0, 999));
      await log.close();
      expect(seen.entries).toHaveLength(1_000);
      expect(seen.drops.size).toBe(0);
    });

    it('delivers it again after a restart, before it is ready, as nobody’s proposal (L3)', async () => {
      const { log } = await startWith(['a', 'b', 'c']);
      await log.close();
      const again = await start();
      expect(again.seen.calls).toEqual(['a', 'b', 'c', 'ready']);
      expect(again.seen.firstReadyAfter).toBe(3);
      expect(again.seen.texts).toEqual(['a', 'b', 'c']);
      expect(again.seen.delivered).toEqual([]);
      again.log.propose(0, bytes('d'));
      await again.seen.until(({ entries }) => entries.length === 4);
      expect(again.seen.delivered).toEqual([0]);
    });

    it('answers a proposal later, never in the midst of the call or of another callback (L4)', async () => {
      let next = 0;
      let log: Log | null = null;
      const hooks: Hooks = {
        committed: (entries) => {
          for (const _ of entries) if (next < 200) log?.propose(next++, bytes('from a callback'));
        },
      };
      const started = await start(hooks);
      log = started.log;
      started.seen.guard(() => {
        started.log.propose(next++, bytes('first'));
        started.log.propose(next++, bytes('second'));
      });
      await started.seen.until(({ entries }) => entries.length === 200);
      expect(started.seen.delivered).toEqual(numbers(0, 199));
    });

    it('takes proposals from within `ready`', async () => {
      const log = place.log();
      open.push(log);
      const seen = new LogRecorder({ ready: () => log.propose(7, bytes('at once')) });
      await log.open(seen);
      await seen.until(({ entries }) => entries.length === 1);
      expect(seen.delivered).toEqual([7]);
    });

    it('keeps every byte, of empty entries and of the largest', async () => {
      const contents = [0, 1, 255, 65_536, limits.logEntryBytes].map((length) =>
        Buffer.alloc(length, `${length} bytes and \0 \xff`, 'latin1'),
      );
      const { log, seen } = await start();
      for (const [at, content] of contents.entries()) log.propose(at, content);
      await seen.until(({ entries }) => entries.length === contents.length);
      await log.close();
      const again = await start();
      for (const [at, content] of contents.entries())
        expect(Buffer.compare(again.seen.entries[at]?.data ?? bytes('-'), content)).toBe(0);
    });

    it('drops an entry that is too large, with a reason, and goes on', async () => {
      const { log, seen } = await start();
      log.propose(0, Buffer.alloc(limits.logEntryBytes + 1));
      log.propose(1, bytes('small'));
      await seen.until(({ entries, drops }) => entries.length === 1 && drops.size === 1);
      expect(seen.drops.get(0)).toContain(String(limits.logEntryBytes));
      expect(seen.delivered).toEqual([1]);
    });

    it('drops what is over the limit of waiting proposals, and delivers the rest', async () => {
      const { log, seen } = await start();
      const content = Buffer.alloc(limits.logEntryBytes);
      const fits = limits.logQueueBytes / limits.logEntryBytes;
      seen.guard(() => {
        for (let number = 0; number < 2 * fits; number += 1) log.propose(number, content);
      });
      await seen.until(({ entries, drops }) => entries.length + drops.size === 2 * fits);
      expect(seen.entries.length).toBeGreaterThanOrEqual(fits);
      expect(seen.drops.size).toBeGreaterThan(0);
      expect([...seen.delivered, ...seen.drops.keys()].sort((a, b) => a - b)).toEqual(numbers(0, 2 * fits - 1));
    });

    it('restores the last snapshot and then only what follows it', async () => {
      const { log, seen } = await startWith(numbers(1, 10).map(String));
      await log.compact(bytes('one to four'), indexOf(seen, 4));
      await log.compact(bytes('one to eight'), indexOf(seen, 8));
      log.propose(10, bytes('11'));
      await seen.until(({ entries }) => entries.length === 11);
      await log.close();
      const again = await start();
      expect(again.seen.calls).toEqual(['restored', '9', '10', '11', 'ready']);
      expect(again.seen.firstReadyAfter).toBe(3);
      expect(again.seen.snapshot).toEqual({ content: new Uint8Array(bytes('one to eight')), index: indexOf(seen, 8) });
      expect(again.seen.texts).toEqual(['9', '10', '11']);
    });

    it('counts on after a snapshot of everything', async () => {
      const { log, seen } = await startWith(['a', 'b', 'c']);
      const last = indexOf(seen, 3);
      await log.compact(bytes('abc'), last);
      await log.close();
      const again = await start();
      expect(again.seen.calls).toEqual(['restored', 'ready']);
      again.log.propose(0, bytes('d'));
      await again.seen.until(({ lastIndex }) => lastIndex > last);
    });

    it('ignores a snapshot older than the one it has', async () => {
      const { log, seen } = await startWith(['a', 'b', 'c']);
      await Promise.all([log.compact(bytes('abc'), indexOf(seen, 3)), log.compact(bytes('ab'), indexOf(seen, 2))]);
      await log.close();
      const again = await start();
      expect(again.seen.snapshot).toEqual({ content: new Uint8Array(bytes('abc')), index: indexOf(seen, 3) });
    });

    it('keeps every byte of a large snapshot, and of an empty one', async () => {
      const large = Buffer.alloc(3 * limits.snapshotPieceBytes + 17);
      for (let at = 0; at < large.length; at += 1) large[at] = (at * 31 + (at >> 12)) & 0xff;
      const { log, seen } = await startWith(['a', 'b']);
      await log.compact(large, indexOf(seen, 1));
      await log.close();
      const again = await start();
      expect(Buffer.compare(again.seen.snapshot?.content ?? bytes('-'), large)).toBe(0);
      await again.log.compact(new Uint8Array(0), indexOf(seen, 2));
      await again.log.close();
      const empty = await start();
      expect(empty.seen.snapshot).toEqual({ content: new Uint8Array(0), index: indexOf(seen, 2) });
    });

    it('takes proposals while it compacts', async () => {
      const { log, seen } = await startWith(numbers(0, 99).map(String));
      const compacted = log.compact(Buffer.alloc(2 * limits.snapshotPieceBytes), indexOf(seen, 100));
      for (const number of numbers(100, 599)) log.propose(number, bytes(String(number)));
      await Promise.all([compacted, seen.until(({ entries }) => entries.length === 600)]);
      await log.close();
      const again = await start();
      expect(again.seen.snapshot?.index).toBe(indexOf(seen, 100));
      expect(again.seen.texts).toEqual(numbers(100, 599).map(String));
    });

    it('answers every proposal that is outstanding when it closes: delivered ones are there, dropped ones are not', async () => {
      const { log, seen } = await start();
      for (const number of numbers(0, 2_999)) log.propose(number, bytes(String(number)));
      await seen.until(({ entries }) => entries.length > 0);
      for (const number of numbers(3_000, 3_099)) log.propose(number, bytes(String(number)));
      await log.close();
      expect([...seen.delivered, ...seen.drops.keys()]).toEqual(numbers(0, 3_099));
      const again = await start();
      expect(again.seen.texts).toEqual(seen.texts);
    });

    it('takes no harm from a compaction that is under way when it closes', async () => {
      const { log, seen } = await startWith(['a', 'b']);
      const compacted = log.compact(Buffer.alloc(4 * limits.snapshotPieceBytes), indexOf(seen, 1));
      log.propose(3, bytes('c'));
      await seen.until(({ entries }) => entries.length === 3);
      await Promise.all([log.close(), compacted]);
      const again = await start();
      const kept = ['a', 'b', 'c'].slice(again.seen.snapshot === null ? 0 : 1);
      expect(again.seen.texts).toEqual(kept);
    });

    it('drops what is proposed after it was closed; closing again does nothing', async () => {
      const { log, seen } = await startWith(['a']);
      await log.close();
      seen.guard(() => log.propose(1, bytes('too late')));
      await seen.until(({ drops }) => drops.has(1));
      await log.close();
      const again = await start();
      expect(again.seen.texts).toEqual(['a']);
    });

    const seed = Number(process.env.TENDRIL_TEST_SEED ?? Date.now() % 1_000_000_007);
    it(`loses nothing that was delivered when it is killed at any moment (TENDRIL_TEST_SEED=${seed})`, async () => {
      const random = new Prng(seed);
      const expected: string[] = [];
      let compactions = 0;
      for (let round = 0; round < 12; round += 1) {
        const lines = integerBetween(random, 1, 600);
        const reports = await place.killVictim({ round, seed: integerBetween(random, 0, 2 ** 31) }, lines);
        expect(reports.length, `round ${round}: ${reports.at(-1)}`).toBeGreaterThanOrEqual(lines);
        const acknowledged = reports.flatMap((line) => (line.startsWith('ack ') ? [Number(line.slice(4))] : []));
        expect(acknowledged).toEqual(numbers(0, acknowledged.length - 1));
        compactions += reports.filter((line) => line === 'compacting').length;

        const state = new VictimState();
        const log = place.log();
        const seen = new LogRecorder();
        await log.open(seen);
        if (seen.snapshot) state.restore(seen.snapshot.content);
        for (const entry of seen.entries) state.apply(entry);
        await log.close();

        // All of earlier rounds, then a first part of this one's proposals: no gap, nothing twice, nothing acknowledged missing.
        const survivors = state.names.length - expected.length;
        expect(survivors, `round ${round}`).toBeGreaterThanOrEqual(acknowledged.length);
        expected.push(...numbers(0, survivors - 1).map((number) => `${round}:${number}`));
        expect(state.names).toEqual(expected);
      }
      expect(compactions, 'kills met compactions').toBeGreaterThan(0);
    });
  });
}

/** The index under which the log delivered its n-th entry. */
function indexOf({ entries }: LogRecorder, nth: number): number {
  return must(entries[nth - 1], `entry ${nth}`).index;
}
