/** What a seed chooses for a group of replicas with their nodes. */
import { chance, integerBetween, Prng, pick } from '../../core/base/prng.ts';
import type { Leadership } from '../../core/model/replicas.ts';
import type { PlacementPolicyName } from '../../core/model/service.ts';
import { GROUP_FAULTS, type GroupFaultName } from './group-faults.ts';

export interface GroupKnobs {
  readonly seed: number;
  readonly leadership: Leadership;
  readonly replicas: number;
  /** Besides those in the replicas' processes. */
  readonly nodes: number;
  readonly policy: PlacementPolicyName;
  /** One way, between any two machines; varies by as much again. */
  readonly latencyMs: number;
  /** How long a silent connection lasts: between replicas, and of a child. */
  readonly peerSilenceMs: number;
  readonly keepAliveMs: number;
  readonly syncMs: number;
  readonly startMs: number;
  readonly skewMs: number;
  readonly driftPpm: number;
  readonly entriesPerSnapshot: number;
  /** Of each client. */
  readonly requests: number;
  readonly clients: number;
  readonly faults: readonly GroupFaultName[];
  readonly faultsMs: number;
  /** It is a cluster of an orchestrator above. */
  readonly hasParent: boolean;
}

/** Of so many seeds one. */
const PARENT_EVERY = 5;

export function groupKnobsOf(seed: number, leadership: Leadership): GroupKnobs {
  const random = new Prng(seed ^ 0x6709);
  const rate = pick(random, [0.2, 0.5, 1]);
  const faults = GROUP_FAULTS.filter(() => chance(random, rate));
  return {
    seed,
    leadership,
    replicas: pick(random, [3, 3, 5]),
    nodes: integerBetween(random, 2, 6),
    policy: pick(random, ['spread', 'first-fit', 'least-loaded', 'best-fit']),
    latencyMs: pick(random, [0.5, 2, 10, 40]),
    peerSilenceMs: pick(random, [3_000, 10_000]),
    keepAliveMs: pick(random, [3_000, 6_000]),
    syncMs: pick(random, [0, 1, 5, 20]),
    startMs: pick(random, [5, 100, 1_000]),
    skewMs: pick(random, [0, 500, 60_000]),
    driftPpm: pick(random, [0, 50, 5_000]),
    entriesPerSnapshot: pick(random, [4, 16, 4_096]),
    requests: integerBetween(random, 3, 8),
    clients: integerBetween(random, 1, 3),
    faults: chance(random, 0.1) ? [] : faults,
    faultsMs: pick(random, [15_000, 30_000, 60_000]),
    hasParent: seed % PARENT_EVERY === 1,
  };
}
