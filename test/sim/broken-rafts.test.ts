/** The test of the test: each Raft that breaks a rule is found by some seed, and by the invariant that it breaks. */
import { expect, it } from 'vitest';
import type { Run, RunName } from '../../src/core/raft/testing/runs.ts';
import { firstFound, loadBroken, seedsUpTo } from './broken-program.ts';
import { BROKEN_RAFTS } from './broken-rafts.ts';

/** Most are found within half of these. */
const SEEDS = 1_700;

it.each(Object.entries(BROKEN_RAFTS))('a Raft that %s is found', async (_, broken) => {
  const { runs } = await loadBroken<{ runs: Readonly<Record<RunName, Run>> }>('src/core/raft/testing/runs.ts', broken);
  const found = await firstFound(seedsUpTo(SEEDS, broken.seed), runs[broken.run], broken.caught);
  expect(found, `${broken.rule}; no seed of ${broken.run} finds it`).not.toBe(null);
});

it('breaks only what is there once', async () => {
  const nowhere = { file: 'src/core/raft/raft.ts', find: 'no such words', replace: '' };
  await expect(loadBroken('src/core/raft/testing/runs.ts', nowhere)).rejects.toThrow('has 0 places to break');
});
