/**
 * What one placement costs in the core, with area and label constraints, over as many children as an
 * orchestrator may have, and how many a second a batch makes. Children differ in label, position, load and
 * room; a third stands in the area, of these half carry the label.
 */
import { performance } from 'node:perf_hooks';
import { assert } from '../src/core/base/assert.ts';
import { Prng } from '../src/core/base/prng.ts';
import { summaryOfNode } from '../src/core/capacity/summaries.ts';
import { serviceSpecSchema } from '../src/core/model/service.ts';
import { place, placeMany } from '../src/core/placement/place.ts';
import type { Candidate, Requirement } from '../src/core/placement/requirement.ts';
import { type Bench, type Figure, figure } from './bench.ts';

export interface PlacementMeasure {
  readonly children: number;
  /** Median of one placement of a kind: a new demand each time, the same children. */
  readonly placeMs: number;
  /** Median of one placement that nobody can take, with the reason for each child. */
  readonly refuseMs: number;
  /** Placements a second in batches of 1,000 instances of one service. */
  readonly batchPerSecond: number;
}

const MIB = 2 ** 20;

const RUNS = 5;

export const placement: Bench = {
  run: async ({ tell }) => {
    const runs: (readonly [PlacementMeasure, PlacementMeasure])[] = [];
    for (let run = 1; run <= RUNS; run++) {
      tell(`run ${run} of ${RUNS}`);
      runs.push(measurePlacement());
    }
    return [
      ...figuresOf(
        runs.map(([small]) => small),
        0.5,
        "Oakestra's LDP 140 ms at 500",
      ),
      ...figuresOf(
        runs.map(([, large]) => large),
        5,
      ),
    ];
  },
};

function figuresOf(measures: readonly PlacementMeasure[], atMost: number, anchor = ''): Figure[] {
  const among = `among ${measures[0]?.children.toLocaleString('en')} children`;
  return [
    figure(
      { name: `one placement ${among}`, unit: 'ms', goal: { atMost }, anchor },
      measures.map(({ placeMs }) => placeMs),
    ),
    figure(
      { name: `one that fits nowhere ${among}, with reasons`, unit: 'ms' },
      measures.map(({ refuseMs }) => refuseMs),
    ),
    figure(
      { name: `a batch of 1,000 ${among}`, unit: 'ms' },
      measures.map(({ batchPerSecond }) => 1_000_000 / batchPerSecond),
    ),
  ];
}

export function measurePlacement(rounds = 101): readonly [PlacementMeasure, PlacementMeasure] {
  return [measure(500, rounds), measure(10_000, rounds)];
}

function measure(count: number, rounds: number): PlacementMeasure {
  const children = childrenOf(count);
  const demand = (round: number, cpu: number): Requirement => ({
    spec: serviceSpecSchema.parse({
      runtime: 'process',
      command: ['true'],
      resources: { cpu, memory: '64Mi' },
      placement: { labels: { tier: 'edge' }, area: { latitude: 48.25, longitude: 11.65, radiusKm: 50 } },
    }),
    tieBreaker: `web-${round}`,
  });
  const requirements = Array.from({ length: rounds }, (_, round) => demand(round, 0.1));
  const warmUp = requirements.slice(0, 20);
  for (const requirement of warmUp) place(requirement, children, 'least-loaded');
  const placeMs = medianMs(requirements, (requirement) => {
    assert(place(requirement, children, 'least-loaded').ok, 'there is room');
  });
  const refuseMs = medianMs(
    warmUp.map((_, round) => demand(round, 64)),
    (requirement) => {
      assert(!place(requirement, children, 'least-loaded').ok, 'there is no room for that');
    },
  );
  const batchMs = medianMs(warmUp, (requirement) => {
    assert(placeMany(requirement, 1_000, children, 'least-loaded').choices.length === 1_000, 'there is room');
  });
  return { children: count, placeMs, refuseMs, batchPerSecond: 1_000_000 / batchMs };
}

function childrenOf(count: number): Candidate[] {
  const random = new Prng(7);
  return Array.from({ length: count }, (_, index) => {
    const total = { cpuMilli: 8_000, memoryBytes: 16_384 * MIB, diskBytes: 10 ** 11 };
    const inside = index % 3 === 0;
    return {
      name: `n${index}`,
      kind: 'node',
      connected: true,
      cordoned: false,
      instancesOfService: 0,
      summary: summaryOfNode({
        name: `n${index}`,
        total,
        free: { ...total, cpuMilli: 2_000 + Math.floor(random.next() * 6_000) },
        load: random.next(),
        architecture: 'amd64',
        runtimes: ['process', 'python'],
        labels: { tier: index % 2 === 0 ? 'edge' : 'far', site: `s${index % 40}` },
        position: { latitude: (inside ? 48 : 52) + random.next() * 0.4, longitude: 11.4 + random.next() * 0.4 },
      }),
    };
  });
}

function medianMs<T>(inputs: readonly T[], run: (input: T) => void): number {
  const times = inputs.map((input) => {
    const start = performance.now();
    run(input);
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[times.length >> 1] ?? 0;
}
