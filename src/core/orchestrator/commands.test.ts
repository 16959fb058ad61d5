import { expect, it } from 'vitest';
import type { Seen, SeenCandidate } from '../model/decisions.ts';
import { type Decision, decodeCommand, encodeCommand, type LoggedCommand } from './commands.ts';

function candidate(name: string): SeenCandidate {
  return { name, score: 0.5, load: 0.25, cpuMilli: 4_000, memoryBytes: 2 ** 30 };
}

function place(instance: string, candidates: readonly SeenCandidate[]): Decision {
  const seen: Seen = { policy: 'spread', candidates: [...candidates], others: 7, rejected: { cordoned: 1 } };
  return { do: 'place', instance, child: candidates[0]?.name ?? '', seen };
}

const [pi1, pi2, pi3, pi4] = [candidate('pi-1'), candidate('pi-2'), candidate('pi-3'), candidate('pi-4')];
const ROUND: LoggedCommand = {
  atMs: 1_000,
  command: {
    type: 'decide',
    decisions: [
      place('web-1', [pi1, pi2, pi3]),
      { do: 'stop', instance: 'web-9', leaving: 'scaling' },
      place('web-2', [pi2, pi3, pi4]),
    ],
  },
};

it('a round lists what was seen of a candidate once, and is read as it was', () => {
  const text = encodeCommand(ROUND);
  for (const name of ['pi-3', 'pi-4']) expect(text.split(`"name":"${name}"`), name).toHaveLength(2);
  expect(decodeCommand(text)).toMatchObject(ROUND);
});

it('a round of an older version, in which each decision shows its own, is read as it was', () => {
  expect(decodeCommand(JSON.stringify(ROUND))).toEqual(ROUND);
});
