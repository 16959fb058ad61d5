/** Several replicas on one etcd: what L1 to L3 say of them, over elections, lost answers, gaps and compactions. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EtcdLog } from '../../src/adapters/etcd/log.ts';
import { limits } from '../../src/core/base/limits.ts';
import { integerBetween, Prng } from '../../src/core/base/prng.ts';
import { EtcdSite, type ReplicaOptions } from '../rig/etcd-site.ts';
import type { TcpProxy } from '../rig/tcp-proxy.ts';
import { until } from '../rig/until.ts';
import { type Hooks, LogRecorder } from './log-recorder.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, at) => from + at);

let site: EtcdSite;

beforeAll(async () => {
  site = await EtcdSite.open();
});

afterEach(() => site.clear());
afterAll(() => site.close());

interface Started {
  readonly log: EtcdLog;
  readonly seen: LogRecorder;
}

async function start(id: string, options: ReplicaOptions = {}, hooks: Hooks = {}): Promise<Started> {
  const log = site.replica({ ...options, id });
  const seen = new LogRecorder(hooks);
  await log.open(seen);
  return { log, seen };
}

/** The second one behind a wire. */
async function pair(): Promise<{ leader: Started; follower: Started; wire: TcpProxy }> {
  const leader = await start('a');
  const wire = await site.wire();
  const follower = await start('b', { wires: [wire] });
  return { leader, follower, wire };
}

async function append({ log, seen }: Started, texts: readonly string[], firstProposal = 0): Promise<void> {
  const entries = seen.entries.length;
  for (const [at, text] of texts.entries()) log.propose(firstProposal + at, bytes(text));
  await seen.until((recorder) => recorder.entries.length === entries + texts.length);
}

const entriesOf = ({ seen }: Started) => seen.entries.map(({ index, data }) => [index, Buffer.from(data).toString()]);

/** etcd forgets all that was before now. */
async function compactHistory(): Promise<void> {
  const status = JSON.parse(await site.etcd.control(['endpoint', 'status', '--write-out', 'json']));
  await site.etcd.control(['compact', String(status[0].Status.header.revision)]);
}

const keyOf = (name: string): string => `tendril/${site.name}/${name}`;

describe('replicas of a log in etcd', () => {
  it('deliver the same entries under the same indices, in the same order (L1)', async () => {
    const { leader, follower } = await pair();
    const texts = numbers(500).map((number) => `entry ${number} ${'.'.repeat((number * 997) % 3_000)}`);
    await append(leader, texts);
    await follower.seen.until(({ entries }) => entries.length === 500);
    expect(entriesOf(follower)).toEqual(entriesOf(leader));
    expect(follower.seen.delivered).toEqual([]);
    const later = await start('c');
    expect(entriesOf(later)).toEqual(entriesOf(leader));
  });

  it('have one leader, who is known to all; what another one proposes is dropped', async () => {
    const { leader, follower } = await pair();
    expect(leader.seen.leaderships).toEqual([{ leads: true, term: expect.any(Number), leader: 'node-a' }]);
    expect(follower.seen.leaderships).toEqual([{ ...leader.seen.leaderships[0], leads: false }]);
    follower.log.propose(4, bytes('not mine to say'));
    await follower.seen.until(({ drops }) => drops.size === 1);
    expect(follower.seen.drops.get(4)).toContain('node-a leads');
    expect(follower.seen.fates.get(4)).toBe('never');
  });

  it('are led by the next one as soon as a leader closes, in a higher term', async () => {
    const { leader, follower } = await pair();
    await append(leader, ['one', 'two']);
    await leader.log.close();
    await follower.seen.until(({ leads }) => leads);
    expect(follower.seen.leaderships.at(-1)?.term).toBeGreaterThan(leader.seen.leaderships[0]?.term ?? Number.NaN);
    await append(follower, ['three']);
    expect(follower.seen.texts).toEqual(['one', 'two', 'three']);
  });

  it('share the lead one after the other, ten times, and lose nothing', async () => {
    let current = await start('r0');
    const firsts: (readonly [number, string])[] = [];
    for (const round of numbers(10)) {
      const next = await start(`r${round + 1}`);
      await append(current, [`${round} a`, `${round} b`], 2 * round);
      firsts.push(...(entriesOf(current).slice(-2) as [number, string][]));
      await current.log.close();
      await next.seen.until(({ leads }) => leads);
      current = next;
    }
    expect(entriesOf(current)).toEqual(firsts);
  });

  it('append once what is asked for again because its answer was lost (L2)', async () => {
    const wire = await site.wire();
    const leader = await start('a', { wires: [wire] });
    const follower = await start('b');
    for (const number of numbers(30)) {
      wire.loseAnswers();
      await append(leader, [`entry ${number}`], number);
    }
    expect(leader.seen.delivered).toEqual(numbers(30));
    expect(leader.seen.drops.size).toBe(0);
    await follower.seen.until(({ entries }) => entries.length === 30);
    expect(entriesOf(follower)).toEqual(entriesOf(leader));
  });

  const seed = Number(process.env.TENDRIL_TEST_SEED ?? Date.now() % 1_000_000_007);
  it(`append once while their wire is cut again and again (TENDRIL_TEST_SEED=${seed})`, async () => {
    const random = new Prng(seed);
    const wire = await site.wire();
    let untilCut = 5;
    const leader = await start(
      'a',
      { wires: [wire] },
      {
        committed: (entries) => {
          untilCut -= entries.length;
          if (untilCut > 0) return;
          untilCut = integerBetween(random, 1, 80);
          setImmediate(() => (integerBetween(random, 0, 1) === 0 ? wire.cut() : wire.loseAnswers()));
        },
      },
    );
    const follower = await start('b');
    let next = 0;
    while (next < 1_500) {
      const burst = integerBetween(random, 1, 60);
      const size = integerBetween(random, 0, 20) === 0 ? 700_000 : integerBetween(random, 0, 500);
      await append(
        leader,
        numbers(burst).map((at) => `${next + at} ${at === 0 ? '.'.repeat(size) : ''}`),
        next,
      );
      next += burst;
    }
    expect(leader.seen.delivered).toEqual(numbers(next));
    expect(leader.seen.leaderships).toHaveLength(1);
    await follower.seen.until(({ entries }) => entries.length === next);
    expect(entriesOf(follower)).toEqual(entriesOf(leader));
  });

  it('refuse what a deposed leader appends, who then follows (fencing)', async () => {
    const wire = await site.wire();
    const deposed = await start('a', { wires: [wire] });
    const next = await start('b');
    await append(deposed, ['from a']);
    wire.stall();
    deposed.log.propose(1, bytes('too late'));
    // Not by its lease, which lasts for longer than this takes: it still holds that it leads.
    await site.etcd.control(['del', keyOf('leader')]);
    await next.seen.until(({ leads }) => leads);
    expect(deposed.seen.leads).toBe(true);
    wire.heal();
    await deposed.seen.until(({ drops, leads }) => drops.size === 1 && !leads);
    expect(deposed.seen.fates.get(1)).toBe('never');
    await append(next, ['from b']);
    await deposed.seen.until(({ entries }) => entries.length === 2);
    expect(entriesOf(deposed)).toEqual(entriesOf(next));
    await deposed.seen.until(({ leaderships }) => leaderships.at(-1)?.leader === 'node-b');
    expect(deposed.seen.leaderships.at(-1)).toEqual({ ...next.seen.leaderships.at(-1), leads: false });
  });

  it('are led by another one when a leader has not been heard of for as long as its lease', async () => {
    const wire = await site.wire();
    const cutOff = await start('a', { wires: [wire] });
    const next = await start('b');
    await append(cutOff, ['from a']);
    wire.stall();
    cutOff.log.propose(1, bytes('in doubt'));
    cutOff.log.propose(2, bytes('in doubt too'));
    await cutOff.seen.until(({ leads, drops }) => !leads && drops.size === 2);
    expect([...cutOff.seen.fates]).toEqual([
      [1, 'unknown'],
      [2, 'unknown'],
    ]);
    await next.seen.until(({ leads }) => leads);
    await append(next, ['from b']);
    wire.heal();
    await cutOff.seen.until(({ leaderships }) => leaderships.at(-1)?.leader === 'node-b');
    await cutOff.seen.until(({ texts }) => texts.includes('from b'));
    expect(entriesOf(cutOff)).toEqual(entriesOf(next));
    expect(cutOff.seen.failure).toBeNull();
  });

  it('take the lead over at once when they are the same replica, come back after a kill', async () => {
    const leader = await start('a');
    await append(leader, ['one']);
    // The lease of the first still runs, as after a kill.
    const again = await start('a');
    expect(again.seen.calls).toEqual(['one', 'ready']);
    await leader.seen.until(({ leads }) => !leads);
    await append(again, ['two']);
    await leader.seen.until(({ entries }) => entries.length === 2);
    expect(entriesOf(leader)).toEqual(entriesOf(again));
  });

  it('lead only when they may, and hand the lead over when they may no more', async () => {
    let mayLead = true;
    const first = await start('a', { mayLead: () => mayLead });
    const learner = await start('b', { mayLead: () => false });
    const next = await start('c');
    await append(first, ['one']);
    mayLead = false;
    first.log.reconsider();
    await next.seen.until(({ leads }) => leads);
    await append(next, ['two']);
    await learner.seen.until(({ entries }) => entries.length === 2);
    await learner.seen.until(({ leaderships }) => leaderships.at(-1)?.leader === 'node-c');
    expect(learner.seen.leaderships.some(({ leads }) => leads)).toBe(false);
    expect(first.seen.leads).toBe(false);
  });

  it('confirm a read only where the leader answers, and never when another one may have appended', async () => {
    const wire = await site.wire();
    const leader = await start('a', { wires: [wire] });
    const follower = await start('b');
    expect(await Promise.all([1, 2, 3].map(() => leader.log.confirmRead()))).toEqual([true, true, true]);
    expect(await follower.log.confirmRead()).toBe(false);
    wire.stall();
    const asked = leader.log.confirmRead();
    await site.etcd.control(['del', keyOf('leader')]);
    await follower.seen.until(({ leads }) => leads);
    await append(follower, ['of a later term']);
    wire.heal();
    expect(await asked).toBe(false);
    expect(await follower.log.confirmRead()).toBe(true);
    await leader.seen.until(({ entries }) => entries.length === 1);
    expect(await leader.log.confirmRead()).toBe(false);
  });

  it('read what they have missed when etcd has forgotten it (a gap in the watch)', async () => {
    const { leader, follower, wire } = await pair();
    await append(leader, numbers(10).map(String));
    await follower.seen.until(({ entries }) => entries.length === 10);
    wire.refuse();
    await append(leader, numbers(200, 10).map(String), 10);
    await compactHistory();
    await append(leader, ['last'], 210);
    wire.heal();
    await follower.seen.until(({ entries }) => entries.length === 211);
    expect(entriesOf(follower)).toEqual(entriesOf(leader));
    expect(follower.seen.snapshot).toBeNull();
  });

  it('notice that their watch has gone deaf, and read again', async () => {
    const { leader, follower, wire } = await pair();
    await append(leader, ['one']);
    await follower.seen.until(({ entries }) => entries.length === 1);
    // The watch's connection passes nothing any more, and does not end; new ones do.
    wire.silence();
    await append(leader, ['two', 'three'], 1);
    await follower.seen.until(({ entries }) => entries.length === 3);
    expect(entriesOf(follower)).toEqual(entriesOf(leader));
  });

  it('are restored once more when they have fallen behind what is kept (L3)', async () => {
    const { leader, follower, wire } = await pair();
    await append(leader, numbers(10).map(String));
    await follower.seen.until(({ entries }) => entries.length === 10);
    wire.refuse();
    const many = numbers(limits.logTailEntries + 500, 10);
    for (const part of [many.slice(0, 300), many.slice(300)]) await append(leader, part.map(String), part[0]);
    const content = Buffer.alloc(2 * limits.snapshotPieceBytes + 5, 'all of it');
    await leader.log.compact(content, leader.seen.lastIndex);
    await compactHistory();
    await append(leader, ['after'], many.length + 10);
    wire.heal();
    await follower.seen.until(({ texts }) => texts.includes('after'));
    expect(follower.seen.snapshot?.index).toBe(many.length + 10);
    expect(Buffer.compare(follower.seen.snapshot?.content ?? bytes(''), content)).toBe(0);
    expect(follower.seen.texts).toEqual([...numbers(10).map(String), 'after']);
    expect(follower.seen.lastIndex).toBe(leader.seen.lastIndex);
  });

  it('are not restored when what they lack is still kept', async () => {
    const { leader, follower, wire } = await pair();
    wire.refuse();
    await append(leader, numbers(300).map(String));
    await leader.log.compact(bytes('all'), leader.seen.lastIndex);
    await compactHistory();
    wire.heal();
    await follower.seen.until(({ entries }) => entries.length === 300);
    expect(follower.seen.snapshot).toBeNull();
  });

  it('leave a snapshot to the leader, and keep no old one', async () => {
    const { leader, follower } = await pair();
    await append(leader, numbers(20).map(String));
    await follower.seen.until(({ entries }) => entries.length === 20);
    await follower.log.compact(bytes('a follower’s'), 20);
    for (const index of [5, 12, 20]) await leader.log.compact(Buffer.alloc(limits.snapshotPieceBytes + 1, `${index} `), index);
    const later = await start('c');
    expect(later.seen.snapshot?.index).toBe(20);
    const keys = await site.etcd.control(['get', '--prefix', '--keys-only', keyOf('snapshot/')]);
    expect(keys.split('\n').filter((line) => line !== '')).toHaveLength(2);
  });

  it('delete records that no one needs any more', async () => {
    const leader = await start('a');
    for (const part of numbers(20)) await append(leader, numbers(100).map(String), part * 100);
    await leader.log.compact(bytes('all'), leader.seen.lastIndex);
    const kept = await site.etcd.control(['get', '--prefix', '--keys-only', keyOf('log/')]);
    const records = kept.split('\n').filter((line) => line !== '').length;
    expect(records).toBeGreaterThan(0);
    expect(records).toBeLessThanOrEqual(Math.ceil(limits.logTailEntries / 100) + 1);
  });

  it('write nothing while nothing is proposed (L5)', async () => {
    // One of its own: where other logs were, leases still run out.
    const quiet = await EtcdSite.open();
    try {
      const wire = await quiet.wire();
      for (const id of ['a', 'b']) await quiet.replica({ id, wires: [wire] }).open(new LogRecorder());
      const status = async () => {
        const [{ Status }] = JSON.parse(await quiet.etcd.control(['endpoint', 'status', '--write-out', 'json']));
        return { revision: Status.header.revision, raftIndex: Status.raftIndex };
      };
      const before = await status();
      const heard = wire.bytes;
      await until('renewals and looks go on, several of each', () => wire.bytes > heard + 4_000, 40_000);
      expect(await status()).toEqual(before);
    } finally {
      await quiet.close();
    }
  });
});
