/** What a seed chooses for a replicated log: its replicas, network and disks, its clients, and what goes wrong. */
import { chance, integerBetween, Prng, pick } from '../../core/base/prng.ts';
import type { RaftInit } from '../../core/raft/contract.ts';
import type { SmallLimits } from '../../core/raft/testing/small-limits.ts';
import { RAFT_FAULTS, type RaftFaultName } from './raft-faults.ts';

export interface RaftKnobs {
  readonly seed: number;
  readonly voters: number;
  readonly leadership: RaftInit['leadership'];
  readonly quietMs: number;
  /** One way. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** How long a silent connection lasts before one of its ends gives it up. */
  readonly silenceMs: number;
  readonly syncMs: number;
  readonly driftPpm: number;
  readonly entriesPerSnapshot: number;
  readonly limits: SmallLimits;
  readonly clients: number;
  readonly questions: number;
  readonly answersLost: number;
  readonly faults: readonly RaftFaultName[];
  /** How long things go wrong. */
  readonly faultsMs: number;
}

export function raftKnobsOf(seed: number): RaftKnobs {
  const random = new Prng(seed);
  const rate = pick(random, [0.3, 0.6, 1]);
  return {
    seed,
    voters: pick(random, [1, 2, 3, 3, 3, 5]),
    leadership: pick(random, ['standing', 'standing', 'on-demand']),
    quietMs: pick(random, [50, 400]),
    latencyMs: pick(random, [0.2, 2, 20]),
    jitterMs: pick(random, [0, 5, 50]),
    silenceMs: pick(random, [500, 3_000]),
    syncMs: pick(random, [0, 1, 10]),
    driftPpm: pick(random, [0, 200, 50_000]),
    entriesPerSnapshot: pick(random, [4, 20, 1_000]),
    limits: {
      logTailEntries: pick(random, [1, 8, 1_024]),
      logBatchEntries: pick(random, [1, 4, 512]),
      raftMessagesInFlight: pick(random, [1, 4, 64]),
      snapshotPieceBytes: pick(random, [200, 1_048_576]),
    },
    clients: integerBetween(random, 2, 5),
    questions: integerBetween(random, 10, 40),
    answersLost: pick(random, [0, 0.05]),
    faults: RAFT_FAULTS.filter(() => chance(random, rate)),
    faultsMs: pick(random, [3_000, 10_000]),
  };
}
