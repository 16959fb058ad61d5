/**
 * Orchestrators of several replicas that each break one rule: the simulation of groups with their nodes has to find each.
 * Some are found by one seed in a hundred only. So each names a seed that has found it, which is tried first; a
 * change of the simulation makes another story of that seed, and then a search finds the next one
 * (TENDRIL_TEST_SEEDS=2000).
 */
import { expect, it } from 'vitest';
import type { Leadership } from '../../src/core/model/replicas.ts';
import { type Break, firstFound, loadBroken } from './broken-program.ts';

interface BrokenGroup extends Break {
  readonly rule: string;
  readonly mode: Leadership;
  readonly seed: number;
  readonly caught: RegExp;
}

const SEARCHED = Number(process.env.TENDRIL_TEST_SEEDS ?? 60);
/** Of these seeds each has an orchestrator above it. */
const SEEDS = Array.from({ length: SEARCHED }, (_, at) => 1 + 5 * at);

const BROKEN_GROUPS: Readonly<Record<string, BrokenGroup>> = {
  'elects nobody for the link with the parent': {
    rule: 'J1: when whoever kept it is gone, somebody has to be elected',
    file: 'src/core/orchestrator/parent-end.ts',
    find: 'return pausedUnder !== null && leader === null && !this.#isOurs && !isKeptElsewhere;',
    replace: 'return false;',
    mode: 'on-demand',
    seed: 231,
    caught: /no link with the group/,
  },
  'gives up at once the children of a replica that has died': {
    rule: 'O4: they have time to come to another one',
    file: 'src/core/orchestrator/observed.ts',
    find: 'link.lastHeardMs = Math.max(link.lastHeardMs, lastGoneAtMs);',
    replace: '',
    mode: 'on-demand',
    seed: 51,
    caught: /started when leaders changed/,
  },
  'forgets the links of children when it is restored, and tells them nothing': {
    rule: 'I5: whose hello is forgotten has to say it again',
    file: 'src/core/orchestrator/orchestrator.ts',
    find: "      if (link.session !== null && link.via === null) this.#effects.push({ type: 'disconnectChild', child });",
    replace: '      if (child === null) return;',
    mode: 'on-demand',
    seed: 101,
    caught: /has not settled/,
  },
  'carries a request out as often as it is asked': {
    rule: 'a request with the same key is applied once',
    file: 'src/core/orchestrator/apply.ts',
    find: 'if (before) return before;',
    replace: '',
    mode: 'standing',
    seed: 4,
    caught: /carried out twice/,
  },
};

it.each(Object.entries(BROKEN_GROUPS))('a group that %s is found', async (_, broken) => {
  const { runFramedGroup } = await loadBroken<typeof import('./framed-group.ts')>('test/sim/framed-group.ts', broken);
  const run = (seed: number) => runFramedGroup(seed, broken.mode);
  expect(await firstFound([broken.seed, ...SEEDS], run, broken.caught), `${broken.rule}; no seed finds it`).not.toBe(null);
});
