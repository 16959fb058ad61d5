/**
 * Orchestrators of several replicas that each break one rule: the simulation of groups with their nodes has to find each.
 * Faults that only one seed in a hundred finds are held by the seeds that found them, in group.test.ts.
 */
import { expect, it } from 'vitest';
import { type Break, firstFound, loadBroken } from './broken-program.ts';

interface BrokenGroup extends Break {
  readonly rule: string;
  readonly caught: RegExp;
}

/** Of these seeds each has an orchestrator above it. */
const SEEDS = Array.from({ length: 60 }, (_, at) => 1 + 5 * at);

const BROKEN_GROUPS: Readonly<Record<string, BrokenGroup>> = {
  'elects nobody for the link with the parent': {
    rule: 'J1: when whoever kept it is gone, somebody has to be elected',
    file: 'src/core/orchestrator/parent-end.ts',
    find: 'return pausedUnder !== null && leader === null && !this.#isOurs && !isKeptElsewhere;',
    replace: 'return false;',
    caught: /no link with the group/,
  },
  'hears what votes tell before it knows of whom they speak': {
    rule: 'what votes bring is taken in when all that is committed is (ADR 0013)',
    file: 'src/node/peer-telling.ts',
    find: 'if (this.#components.leadership.isElected) this.#untold.push(vote);',
    replace: 'if (vote.attachment === null) this.#untold.push(vote);',
    caught: /has not settled/,
  },
};

it.each(Object.entries(BROKEN_GROUPS))('a group that %s is found', async (_, broken) => {
  const { runFramedGroup } = await loadBroken<typeof import('./framed-group.ts')>('test/sim/framed-group.ts', broken);
  const run = (seed: number) => runFramedGroup(seed, 'on-demand');
  expect(await firstFound(SEEDS, run, broken.caught), `${broken.rule}; no seed finds it`).not.toBe(null);
});
