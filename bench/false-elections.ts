/**
 * False elections: three and five replicas with nothing to do, 50 ms apart and on one site, over links that lose two
 * packets in a hundred, for some simulated hours. Their leader is there all the time, so every election is one too many.
 * Near ones are the harder case: what is lost comes later by TCP's 200 ms, many times what an answer takes there.
 */
import { idleHour } from '../src/core/raft/testing/idle-hours.ts';
import { type Bench, figure } from './bench.ts';

const HOURS = 20;
const CASES = [
  { links: 'streams', voters: 3, roundTripMs: 50, words: 'links as TCP makes them' },
  { links: 'streams', voters: 5, roundTripMs: 50, words: 'links as TCP makes them' },
  { links: 'streams', voters: 3, roundTripMs: 5, words: 'links as TCP makes them' },
  { links: 'streams', voters: 5, roundTripMs: 5, words: 'links as TCP makes them' },
  { links: 'datagrams', voters: 3, roundTripMs: 50, words: 'bare datagrams' },
] as const;

export const falseElections: Bench = {
  run({ tell }) {
    const figures = CASES.flatMap(({ links, voters, roundTripMs, words }) => {
      const where = `${voters} voters, ${roundTripMs} ms round trip, 2 % loss, ${words} (simulated)`;
      tell(where);
      const hours = Array.from({ length: HOURS }, (_, at) =>
        idleHour({ seed: at + 1, voters, roundTripMs, lossRate: 0.02, links }),
      );
      const elections = hours.map((hour) => hour.elections);
      const goal = { atMost: 0 };
      return [
        // The worst hour counts.
        figure({ name: `false elections in 1 h idle, ${where}`, unit: '1/h', goal }, elections, (all) => Math.max(...all)),
        figure(
          { name: 'packets lost meanwhile', unit: '1/h' },
          hours.map((hour) => hour.lost),
        ),
        figure(
          { name: 'questions whether to elect another, all refused', unit: '1/h' },
          hours.map((hour) => hour.asked),
        ),
      ];
    });
    return Promise.resolve(figures);
  },
};
