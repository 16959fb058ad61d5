/** Seeds of a replicated orchestrator with its nodes, under both leaderships: some every time the same, some twice. */
import { describe, expect, it } from 'vitest';
import { LEADERSHIPS } from '../../src/core/model/replicas.ts';
import { GROUP_FAULTS } from '../../src/sim/group/group-faults.ts';
import { runFramedGroup } from './framed-group.ts';

const FIRST_SEED = 1;
const SEEDS = 40;
/** What each found, when it failed. */
const REGRESSIONS = [
  [49, 'on-demand', 'a replica that started told the node in its process what it had stopped before to run again'],
  [14, 'on-demand', 'what a learner saw of the node in its process no leader ever heard, and nothing was done about it'],
  [83, 'on-demand', 'a replica restored to what others know forgot the links of its children, and they did not notice'],
  [2018, 'on-demand', 'what a replica had told came late and hid that its children were here by then: nobody heard them again'],
  [151666740, 'on-demand', 'a replica that was a voter no more kept the links of children: of what it saw nobody heard'],
  [
    184607022,
    'on-demand',
    'a learner told all others who the members are at every step, for as long as it did not know what is committed',
  ],
  [
    270807381,
    'on-demand',
    'what votes told a replica that had just started was lost: of the children that they spoke of it knew nothing yet',
  ],
  [911279621, 'on-demand', 'whoever took over gave up children that had been with the replica that died a moment before'],
  [445066771, 'on-demand', 'a replica that heard of its leader before it could vote never told what it saw'],
  [409626811, 'on-demand', 'a wish of the parent from long ago was proposed at the next lead, and took back all that came after'],
  [423801886, 'on-demand', 'what changed between a vote and the news of the new leader was told to nobody'],
] as const;

describe.each(LEADERSHIPS)('a replicated orchestrator and its nodes, %s', (leadership) => {
  const fired = new Set<string>();

  it.each(Array.from({ length: SEEDS }, (_, at) => FIRST_SEED + at))('seed %i', async (seed) => {
    const result = await runFramedGroup(seed, leadership);
    for (const fault of Object.keys(result.fired)) fired.add(fault);
  });

  it('has met every fault there is', () => {
    expect([...fired].sort()).toEqual([...GROUP_FAULTS].sort());
  });

  it.each([7, 23])('replays seed %i exactly', async (seed) => {
    const once = await runFramedGroup(seed, leadership);
    const twice = await runFramedGroup(seed, leadership);
    expect(twice.digest).toBe(once.digest);
    expect(twice.events).toBe(once.events);
  });
});

it.each(REGRESSIONS)('seed %i again, %s: %s', async (seed, leadership) => {
  await runFramedGroup(seed, leadership);
});
