import { describe, expect, it } from 'vitest';
import { figure, meanFigure, p95 } from '../bench/bench.ts';
import { benches } from '../bench/benches.ts';
import { decisionTimes } from '../bench/group/phases.ts';
import type { TraceEvent } from '../bench/group/trace.ts';
import { decodePut, encodePut } from '../bench/load/put.ts';
import { scaleOf } from '../bench/plot/scale.ts';

describe('the figures of a bench', () => {
  it('are medians, told with their spread', () => {
    expect(figure({ name: 'wait', unit: 'ms' }, [30, 10.04, 20])).toMatchObject({
      value: 20,
      spread: [10, 30],
      runs: 3,
      goal: '',
      met: null,
    });
  });

  it('keep a goal up to its bound', () => {
    const goal = { atMost: 5 };
    expect(figure({ name: 'wait', unit: 's', goal }, [5])).toMatchObject({ met: true, goal: '≤ 5' });
    expect(figure({ name: 'wait', unit: 's', goal }, [5.1])).toMatchObject({ met: false });
  });

  it('take a high percentile from the samples themselves', () => {
    const samples = Array.from({ length: 20 }, (_, index) => 20 - index);
    expect(figure({ name: 'wait', unit: 's' }, samples, p95).value).toBe(19);
  });

  it('have benches with names of their own', () => {
    expect(new Set(benches.map(({ name }) => name)).size).toBe(benches.length);
  });
});

describe('a mean', () => {
  it('is told with the bounds that hold it with 95 % confidence', () => {
    const samples = Array.from({ length: 100 }, (_, index) => 10 + (index % 2));
    const { value, spread, isMean } = meanFigure({ name: 'wait', unit: 'ms' }, samples);
    expect([value, ...spread, isMean]).toEqual([10.5, 10.4, 10.6, true]);
  });
});

describe("Messina's phases", () => {
  const step = (atMs: number, what: 'received' | 'parsed' | 'wanted' | 'choosing' | 'chosen' | 'committed' | 'deployed') =>
    ({ atMs, what, id: 'one', term: 2, index: 7 }) as const satisfies TraceEvent;
  const message = (atMs: number, what: 'sent' | 'heard', peer: string, type: 'voteRequest' | 'vote' | 'append' | 'appended') =>
    ({ atMs, what, peer, type, term: 2, index: type.startsWith('append') ? 7 : null }) as const satisfies TraceEvent;

  it('are taken apart into what the network, the voter and the disk took', () => {
    const gateway: TraceEvent[] = [
      step(100, 'received'),
      step(101, 'parsed'),
      step(101, 'wanted'),
      message(110, 'sent', 'b', 'voteRequest'),
      message(125, 'heard', 'b', 'vote'),
      step(126, 'choosing'),
      step(128, 'chosen'),
      message(130, 'sent', 'b', 'append'),
      { atMs: 134, what: 'written', beganAtMs: 130, from: 6, to: 7 },
      message(150, 'heard', 'b', 'appended'),
      step(151, 'committed'),
    ];
    const voter: TraceEvent[] = [
      message(113, 'heard', 'a', 'voteRequest'),
      message(121, 'sent', 'a', 'vote'),
      message(133, 'heard', 'a', 'append'),
      { atMs: 144, what: 'written', beganAtMs: 134, from: 6, to: 7 },
      message(145, 'sent', 'a', 'appended'),
      step(155, 'deployed'),
    ];
    expect(decisionTimes(new Map(Object.entries({ a: gateway, b: voter })))).toEqual([
      {
        id: 'one',
        hadElection: true,
        wholeMs: 55,
        phases: {
          RequestElab: 1,
          ElectionNetworkMean: 7,
          VoteElectionMean: 8,
          ChoosingPhase: 2,
          VoteConsNetMean: 8,
          VoteConsElabMean: 2,
          WriteLog: 7,
          TransfertReq: 4,
        },
      },
    ]);
  });
});

it("puts travel as etcd's clients write them (Protocol Buffers)", () => {
  const put = { key: 'k', value: Buffer.alloc(300, 1) };
  const frame = encodePut(put);
  // 0, length; field 1 of one byte; field 2 of 300 bytes: 172, 2 in base 128.
  expect([...frame.subarray(0, 11)]).toEqual([0, 0, 0, 1, 50, 0x0a, 1, 107, 0x12, 172, 2]);
  expect(decodePut(frame)).toEqual(put);
  expect(decodePut(frame.subarray(0, 20))).toBeNull();
});

describe('an axis', () => {
  it('names numbers that a person would choose', () => {
    expect(scaleOf({ label: '', scale: 'linear', from: 0, to: 10 }, 0, 100)).toMatchObject({ ticks: [0, 2, 4, 6, 8, 10] });
    const log = scaleOf({ label: '', scale: 'log', from: 10, to: 1_000 }, 0, 100);
    expect(log.ticks).toEqual([10, 20, 50, 100, 200, 500, 1_000]);
    expect([1, 10, 100, 5_000].map((value) => Math.round(log.at(value)))).toEqual([0, 0, 50, 100]);
  });
});
