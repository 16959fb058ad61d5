/** Seeds of the simulation of replicated logs, driver and all: some every time the same, those that found something once, some twice. */
import { describe, expect, it } from 'vitest';
import { RAFT_FAULTS } from '../../src/sim/raft/raft-faults.ts';
import { runFramed } from './framed-raft.ts';

const SEEDS = 250;
/** Many runs of some 30 ms in one test: a test for each would take as long again. */
const AT_ONCE = 50;

/** What happens by itself, and has to have happened. */
const EVENTS = ['answerLost', 'compaction', 'snapshotRestored', 'tornWrite'] as const;

/** What each of these found, when it failed. (A seed is another story once the simulation itself changes.) */
const REGRESSIONS = [
  [30, 'a sleeper with a change that was not committed turned away the leader that the change removed'],
  [467, 'the same, of a leader that was deposed'],
  [141, 'a learner restored from an old snapshot turned away the leader, of which the snapshot does not know'],
  [728, 'a voter that lags turned away the candidate that needed its vote'],
  [861, 'a replica that had been away turned away a leader that was new since'],
] as const;

describe('a replicated log under any faults', () => {
  const met = new Set<string>();
  let judged = 0;

  it.each(Array.from({ length: SEEDS / AT_ONCE }, (_, at) => 1 + at * AT_ONCE))(
    'seed %i and those that follow',
    async (first) => {
      for (let seed = first; seed < first + AT_ONCE; seed += 1) {
        const result = await runFramed(seed);
        judged += result.judged;
        for (const what of Object.keys({ ...result.fired, ...result.seen })) met.add(what);
      }
    },
  );

  it('has met every fault there is', () => {
    expect([...RAFT_FAULTS, ...EVENTS].filter((what) => !met.has(what))).toEqual([]);
    expect(judged).toBeGreaterThan(50 * SEEDS);
  });

  it.each(REGRESSIONS)('seed %i again: %s', async (seed) => {
    await runFramed(seed);
  });

  it.each([4, 11, 29])('replays seed %i exactly', async (seed) => {
    const [once, twice] = [await runFramed(seed), await runFramed(seed)];
    expect(twice.digest).toBe(once.digest);
    expect(twice.events).toBe(once.events);
  });
});
