/** What a seed chooses: the deployment, its machines and networks, and what goes wrong in it. */
import { chance, integerBetween, Prng, pick, type Random } from '../core/base/prng.ts';
import { FAULTS, type FaultName } from './faults.ts';

export interface Knobs {
  readonly seed: number;
  /** 0: nodes directly below the root. */
  readonly clusters: number;
  readonly nodesPerCluster: number;
  /** One way, per link; the actual one varies by as much again. */
  readonly latencyMs: number;
  readonly syncMs: number;
  /** How long a silent connection lasts before one of its ends gives it up. */
  readonly keepAliveMs: number;
  readonly startMs: number;
  readonly startFailureRate: number;
  /** Clocks differ by up to this ... */
  readonly skewMs: number;
  /** ... and run fast or slow by up to this. */
  readonly driftPpm: number;
  readonly entriesPerSnapshot: number;
  readonly requests: number;
  readonly faults: readonly FaultName[];
  /** How long things go wrong. */
  readonly faultsMs: number;
  readonly idleMs: number;
}

export const CALM: Omit<Knobs, 'seed'> = {
  clusters: 2,
  nodesPerCluster: 3,
  latencyMs: 5,
  syncMs: 2,
  keepAliveMs: 10_000,
  startMs: 50,
  startFailureRate: 0,
  skewMs: 0,
  driftPpm: 0,
  entriesPerSnapshot: 4_096,
  requests: 0,
  faults: [],
  faultsMs: 0,
  idleMs: 0,
};

export function knobsOf(seed: number): Knobs {
  const random = new Prng(seed);
  const clusters = pick(random, [0, 1, 2, 2, 3]);
  return {
    seed,
    clusters,
    nodesPerCluster: integerBetween(random, clusters === 0 ? 2 : 1, 5),
    latencyMs: pick(random, [1, 5, 20, 100, 300]),
    syncMs: pick(random, [0, 1, 5, 40]),
    keepAliveMs: pick(random, [3_000, 10_000, 45_000]),
    startMs: pick(random, [5, 100, 2_000]),
    startFailureRate: pick(random, [0, 0, 0.1, 0.5]),
    skewMs: pick(random, [0, 500, 120_000]),
    driftPpm: pick(random, [0, 50, 5_000]),
    entriesPerSnapshot: pick(random, [4, 16, 64, 4_096]),
    requests: integerBetween(random, 10, 60),
    faults: chance(random, 0.1) ? [] : someOf(random, FAULTS),
    faultsMs: pick(random, [30_000, 90_000, 240_000]),
    idleMs: chance(random, 0.1) ? 3_600_000 : 120_000,
  };
}

function someOf<T>(random: Random, all: readonly T[]): T[] {
  const rate = pick(random, [0.2, 0.5, 1]);
  const some = all.filter(() => chance(random, rate));
  return some.length > 0 ? some : [pick(random, all)];
}
