/**
 * A whole run of one seed: faults and load together, then everything mends and the group has to come to rest, with
 * nothing lost that was acknowledged (safety always, liveness after: TigerBeetle's simulator). Each seed chooses some of
 * the faults only, for what one of them hides another shows (swarm testing: Groce et al., 2012), and limits so small that
 * a run meets them.
 */
import { must } from '../../base/assert.ts';
import { chance, integerBetween, Prng, pick, type Random } from '../../base/prng.ts';
import { CALM, Cluster, type ClusterKnobs } from './cluster.ts';
import { act, type DeedName, type FaultName, injectFault } from './faults.ts';
import type { NetworkKnobs } from './network.ts';
import { settle } from './settle.ts';
import { type SmallLimits, withLimits } from './small-limits.ts';

type Weights<T extends string> = Readonly<Partial<Record<T, number>>>;

/** What is more likely to happen in a run. */
interface Mood {
  readonly deeds: Weights<DeedName>;
  readonly faults: Weights<FaultName>;
  readonly faultRates: readonly number[];
  /** The mean pause between two of them is half of this. */
  readonly pacesMs: readonly number[];
  readonly knobs: (random: Random) => Partial<ClusterKnobs>;
  readonly limits: SmallLimits;
  readonly stepsMax: number;
}

const ANYTHING: Mood = {
  deeds: {
    propose: 12,
    proposeAnywhere: 1,
    read: 4,
    transfer: 1,
    want: 2,
    addLearner: 1,
    addVoter: 0.5,
    promote: 1,
    demote: 0.7,
    remove: 0.7,
    removeLeader: 0.5,
  },
  faults: {
    crash: 2,
    crashLeader: 1,
    tornWrite: 1,
    rottenRecord: 0.2,
    cutOneWay: 2,
    isolateLeader: 1,
    partition: 1,
    heal: 3,
    slowWay: 1,
    disconnect: 1,
    stop: 1,
    sleep: 1,
    slowDisk: 1,
    start: 6,
  },
  faultRates: [0.1, 0.35, 0.6],
  pacesMs: [10, 60, 150, 400],
  knobs: () => ({}),
  limits: {},
  stepsMax: 110,
};

/** Leaders come and go before they have got far: what figure 8 of the paper warns of. */
const CHURN: Mood = {
  ...ANYTHING,
  deeds: { propose: 10, read: 4, transfer: 1 },
  faults: { crashLeader: 2, isolateLeader: 4, partition: 3, cutOneWay: 1, heal: 5, start: 5, sleep: 2 },
  faultRates: [0.4, 0.6],
  pacesMs: [60, 150, 300],
  knobs: (random) => ({
    voters: pick(random, [3, 3, 5]),
    leadership: 'standing',
    network: { ...networkOf(random), lossRate: pick(random, [0, 0.1, 0.3]), strayRate: pick(random, [0, 0.1, 0.4]) },
  }),
  limits: { logBatchEntries: 1 },
  stepsMax: 160,
};

/** Logs are cut short while others still need what is cut off. */
const COMPACTION: Mood = {
  ...ANYTHING,
  deeds: { propose: 12, read: 1 },
  faults: { crash: 1, isolateLeader: 1, cutOneWay: 2, slowWay: 2, heal: 4, start: 4, slowDisk: 1, stop: 1 },
  knobs: (random) => ({
    network: { ...networkOf(random), repeatRate: 0.1, strayRate: 0.05 },
    entriesPerSnapshot: integerBetween(random, 2, 6),
  }),
  limits: { logTailEntries: 1 },
};

type Print = ((line: string) => void) | null;

/** Anything may happen. */
export function misfortunes(seed: number, print: Print = null): Cluster {
  return play(seed, print, ANYTHING);
}

export function churn(seed: number, print: Print = null): Cluster {
  return play(seed, print, CHURN);
}

export function compaction(seed: number, print: Print = null): Cluster {
  return play(seed, print, COMPACTION);
}

function play(seed: number, print: Print, mood: Mood): Cluster {
  const random = new Prng(seed ^ 0xabcdef);
  const knobs = { ...knobsOf(seed, random), ...mood.knobs(random) };
  return withLimits({ ...limitsOf(random), ...mood.limits }, () => {
    const cluster = new Cluster(knobs, print);
    const faults = someOf(random, mood.faults, ['heal', 'start']);
    const deeds = someOf(random, mood.deeds, ['propose', 'read']);
    const faultRate = pick(random, mood.faultRates);
    const paceMs = pick(random, mood.pacesMs);
    for (let steps = integerBetween(random, 30, mood.stepsMax); steps > 0; steps -= 1) {
      if (chance(random, faultRate)) injectFault(cluster, random, weighted(random, faults));
      else act(cluster, random, weighted(random, deeds));
      cluster.run(random.next() * paceMs);
    }
    settle(cluster);
    return cluster;
  });
}

function knobsOf(seed: number, random: Random): ClusterKnobs {
  return {
    ...CALM,
    seed,
    voters: pick(random, [1, 2, 3, 3, 3, 4, 5]),
    leadership: pick(random, ['standing', 'standing', 'on-demand']),
    network: networkOf(random),
    syncMs: pick(random, [1, 10, 60]),
    entriesPerSnapshot: pick(random, [5, 30, 1_000]),
    drift: pick(random, [0, 0.001, 0.05]),
    quietMs: pick(random, [50, 400]),
  };
}

function networkOf(random: Random): NetworkKnobs {
  return {
    latencyMs: pick(random, [0.2, 1, 10, 40]),
    jitterMs: pick(random, [0, 2, 40]),
    lossRate: pick(random, [0, 0.02, 0.15]),
    repeatRate: pick(random, [0, 0.05]),
    strayRate: pick(random, [0, 0, 0.02]),
    retransmitMs: null,
  };
}

function limitsOf(random: Random): SmallLimits {
  return {
    logTailEntries: pick(random, [1, 8, 1_024]),
    logBatchEntries: pick(random, [1, 4, 512]),
    raftMessagesInFlight: pick(random, [1, 4, 64]),
    snapshotPieceBytes: pick(random, [64, 400, 1_048_576]),
    raftReads: pick(random, [2, 4_096]),
    logQueueEntries: pick(random, [16, 16_384]),
  };
}

interface Weighted<T> {
  readonly one: T;
  readonly weight: number;
}

function someOf<T extends string>(random: Random, weights: Weights<T>, always: readonly T[]): readonly Weighted<T>[] {
  const rate = pick(random, [0.3, 0.7, 1]);
  const all = Object.entries(weights) as [T, number][];
  return all.filter(([one]) => always.includes(one) || chance(random, rate)).map(([one, weight]) => ({ one, weight }));
}

function weighted<T>(random: Random, items: readonly Weighted<T>[]): T {
  let left = random.next() * items.reduce((sum, { weight }) => sum + weight, 0);
  for (const { one, weight } of items) {
    left -= weight;
    if (left < 0) return one;
  }
  return must(items.at(-1), 'something to choose from').one;
}
