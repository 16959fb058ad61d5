/** Raft under misfortune: every invariant after every step, over many seeds; and that the checks see what is broken. */
import { describe, expect, it } from 'vitest';
import { type Bend, Cluster, misfortunes } from './testing/cluster.ts';

const SEEDS = Number(process.env.TENDRIL_RAFT_SEEDS ?? 300);
const FIRST = Number(process.env.TENDRIL_RAFT_FIRST ?? 1);

describe('many seeds', () => {
  it(`keeps figure 3, F1 to F6, what was acknowledged, and comes to rest, over ${SEEDS} seeds`, () => {
    const fired = new Map<string, number>();
    let acknowledged = 0;
    let reads = 0;
    for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
      let cluster: Cluster;
      try {
        cluster = misfortunes(seed);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
      }
      acknowledged += cluster.acknowledged.size;
      reads += cluster.readsDone;
      for (const [fault, count] of cluster.fired) fired.set(fault, (fired.get(fault) ?? 0) + count);
    }
    expect(acknowledged).toBeGreaterThan(10 * SEEDS);
    expect(reads).toBeGreaterThan(SEEDS / 10);
    for (const fault of ['kill', 'cut', 'freeze', 'loss', 'repeat', 'snapshot'])
      expect(fired.get(fault), fault).toBeGreaterThan(0);
  }, 120_000);

  it('replays exactly', () => {
    const [one, two] = [misfortunes(7), misfortunes(7)];
    expect([...two.acknowledged]).toEqual([...one.acknowledged]);
    expect(two.nowMs).toBe(one.nowMs);
  });
});

describe('the test of the test: each of these is caught by some seed', () => {
  const bends: Readonly<Record<string, Bend>> = {
    'sends before it is durable': { skipSync: true },
    'forgets term and vote in a crash': { forgetTerm: true },
    'votes for whoever asks': {
      alter: (message) => (message.type === 'vote' ? { ...message, granted: true } : message),
    },
    'agrees to what it does not have': {
      alter: (message, raft) =>
        message.type === 'appended'
          ? { ...message, success: true, index: Math.max(message.index, raft.status.lastIndex) + 1 }
          : message,
    },
  };
  it.each(Object.entries(bends))('%s', (_, bend) => {
    expect(firstCaught(bend)).toBeLessThan(2_000);
  });
});

/** The first seed that fails. */
function firstCaught(bend: Bend): number {
  for (let seed = 1; seed < 2_000; seed += 1) {
    try {
      misfortunes(seed, bend);
    } catch {
      return seed;
    }
  }
  return Number.POSITIVE_INFINITY;
}

it('a replica alone leads and commits at once', () => {
  const cluster = new Cluster({
    seed: 1,
    voters: 1,
    leadership: 'standing',
    latencyMs: 1,
    lossRate: 0,
    repeatRate: 0,
    syncMs: 1,
    entriesPerSnapshot: 100,
  });
  cluster.run(10);
  cluster.propose('r1', 3);
  cluster.run(10);
  expect([...cluster.acknowledged.keys()]).toEqual(['p1', 'p2', 'p3']);
});
