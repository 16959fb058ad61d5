import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../base/limits.ts';
import { SUMMARY_MAX, type Summary, summarySchema, UNCLEAR } from '../model/summary.ts';
import { distanceKm } from './geo.ts';
import { mergeSummaries, type NodeCapacity, summaryOfNode } from './summaries.ts';
import { dominates, fits, subtract } from './vectors.ts';

const GIB = 2 ** 30;

function node(name: string, given: Partial<NodeCapacity> = {}): NodeCapacity {
  const total = { cpuMilli: 4000, memoryBytes: 8 * GIB, diskBytes: 0 };
  return { name, total, free: total, load: 0, architecture: 'amd64', runtimes: ['process'], labels: {}, ...given };
}

const vector = fc.record({
  cpuMilli: fc.integer({ min: 0, max: 16_000 }),
  memoryBytes: fc.integer({ min: 0, max: 16 * GIB }),
  diskBytes: fc.integer({ min: 0, max: 64 * GIB }),
});
const nodeGiven = fc
  .record({
    total: vector,
    reserved: vector,
    load: fc.double({ min: 0, max: 1, noNaN: true }),
    architecture: fc.constantFrom('amd64', 'arm64', 'riscv64'),
    runtimes: fc.subarray(['process', 'python', 'container']),
    labels: fc.dictionary(fc.constantFrom('gpu', 'tier', 'hostname'), fc.stringMatching(/^[a-z]{1,3}$/)),
    position: fc.option(
      fc.record({
        latitude: fc.double({ min: -90, max: 90, noNaN: true }),
        longitude: fc.double({ min: -180, max: 180, noNaN: true }),
      }),
      { nil: undefined },
    ),
  })
  .map(({ reserved, ...given }) => ({ ...given, free: subtract(given.total, reserved) }));
const nodesOf = (maxLength: number) =>
  fc
    .array(nodeGiven, { minLength: 1, maxLength, size: 'max' })
    .map((given) => given.map((one, i) => ({ name: `n${i}`, ...one })));

/** Merges the nodes as a tree whose shape and order `random` draws. */
function mergedInSomeTree(nodes: readonly NodeCapacity[], random: () => number): Summary {
  let level = nodes.map(summaryOfNode);
  while (level.length > 1) {
    const size = 2 + Math.floor(random() * 3);
    const taken = Array.from({ length: Math.min(size, level.length) }, () =>
      level.splice(Math.floor(random() * level.length), 1),
    ).flat();
    level = [...level, mergeSummaries(taken)];
  }
  return mergeSummaries(level);
}

const draws = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1 }).map((values) => {
  let at = 0;
  return () => values[at++ % values.length] ?? 0;
});

/** Whether a group may stand for the node, by all that is not resources (invariant G2). */
function mayStandFor(group: Summary['groups'][number], node: NodeCapacity): boolean {
  const unclear = (key: string) => group.unclearLabels.includes(key) || group.unclearLabels.includes(UNCLEAR);
  return (
    [node.architecture, UNCLEAR].includes(group.architecture) &&
    node.runtimes.every((runtime) => group.runtimes.includes(runtime)) &&
    Object.entries(node.labels).every(
      ([key, value]) => group.labels[key] === value || (group.labels[key] === undefined && unclear(key)),
    ) &&
    Object.entries(group.labels).every(([key, value]) => node.labels[key] === value) &&
    (node.position === undefined
      ? group.position === undefined
      : group.position !== undefined && distanceKm(group.position, node.position) <= group.radiusKm + 1e-6) &&
    dominates(group.largest, node.total)
  );
}

describe('summaries', () => {
  it('tells of a node what it is', () => {
    const given = node('pi', { architecture: 'aarch64', runtimes: ['python', 'process'], labels: { gpu: 'no' }, load: 0.25 });
    expect(summaryOfNode(given)).toEqual({
      nodes: 1,
      total: given.total,
      free: given.free,
      load: 0.25,
      groups: [
        {
          architecture: 'arm64',
          runtimes: ['process', 'python'],
          labels: { gpu: 'no' },
          unclearLabels: [],
          radiusKm: 0,
          largest: given.total,
          points: [{ free: given.free, count: 1 }],
        },
      ],
      nodeNames: ['pi'],
      namesComplete: true,
    });
  });

  it('is nothing, of nothing, and nothing changes nothing', () => {
    const nothing = mergeSummaries([]);
    const one = mergeSummaries([summaryOfNode(node('a')), summaryOfNode(node('b', { labels: { gpu: 'yes' } }))]);
    expect(nothing).toMatchObject({ nodes: 0, load: 0, groups: [], nodeNames: [], namesComplete: true });
    expect(mergeSummaries([one, nothing])).toEqual(one);
  });

  it('counts like nodes together and keeps unlike ones apart', () => {
    const merged = mergeSummaries([
      summaryOfNode(node('a')),
      summaryOfNode(node('b')),
      summaryOfNode(node('c', { architecture: 'arm64' })),
    ]);
    expect(merged.nodes).toBe(3);
    expect(merged.groups.map(({ architecture, points }) => [architecture, points[0]?.count])).toEqual([
      ['amd64', 2],
      ['arm64', 1],
    ]);
  });

  it('promises in any order and nesting what some node keeps, and hides no node', () => {
    fc.assert(
      fc.property(nodesOf(40), draws, vector, (nodes, draw, need) => {
        const merged = mergedInSomeTree(nodes, draw);
        summarySchema.parse(merged);
        const sum = (pick: (one: NodeCapacity) => number) => nodes.reduce((total, one) => total + pick(one), 0);
        expect(merged.nodes).toBe(nodes.length);
        expect(merged.total.memoryBytes).toBe(sum((one) => one.total.memoryBytes));
        expect(merged.free.diskBytes).toBe(sum((one) => one.free.diskBytes));
        expect(merged.load).toBeCloseTo(sum((one) => one.load) / nodes.length, 9);
        expect(merged.nodeNames).toEqual(nodes.map(({ name }) => name).sort());
        const points = merged.groups.flatMap((group) => group.points);
        expect(points.reduce((count, point) => count + point.count, 0)).toBe(nodes.length);
        // Within the limits nothing is rounded: the answer is exact.
        expect(points.some((point) => fits(need, point.free))).toBe(nodes.some((one) => fits(need, one.free)));
        for (const one of nodes) expect(merged.groups.some((group) => mayStandFor(group, one))).toBe(true);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });

  it('stays within the limits however many kinds of nodes meet, and still hides none', () => {
    fc.assert(
      fc.property(nodesOf(400), draws, vector, (nodes, draw, need) => {
        const merged = mergedInSomeTree(nodes, draw);
        expect(merged.groups.length).toBeLessThanOrEqual(limits.summaryGroups);
        const points = merged.groups.flatMap((group) => group.points);
        expect(points.reduce((count, point) => count + point.count, 0)).toBe(nodes.length);
        const promised = points.filter((point) => fits(need, point.free)).reduce((count, point) => count + point.count, 0);
        expect(promised).toBeLessThanOrEqual(nodes.filter((one) => fits(need, one.free)).length);
        for (const one of nodes) expect(merged.groups.some((group) => mayStandFor(group, one))).toBe(true);
        for (const resource of ['cpuMilli', 'memoryBytes', 'diskBytes'] as const)
          expect(Math.max(...points.map((point) => point.free[resource]))).toBe(
            Math.max(...nodes.map((one) => one.free[resource])),
          );
      }),
      // Shrinking hundreds of nodes takes longer than reading the seed of the failure.
      { numRuns: 15, endOnFailure: true },
    );
  });

  it('gives up what tells single nodes apart before where they stand and what they are', () => {
    const nodes = Array.from({ length: 200 }, (_, i) =>
      node(`n${i}`, {
        labels: { hostname: `n${i}`, gpu: i % 2 === 0 ? 'yes' : 'no' },
        position: i % 4 < 2 ? { latitude: 48.137, longitude: 11.575 } : { latitude: 52.39, longitude: 13.064 },
      }),
    );
    const merged = mergeSummaries(nodes.map(summaryOfNode));
    expect(merged.groups.map(({ labels, unclearLabels, radiusKm }) => ({ labels, unclearLabels, radiusKm }))).toEqual(
      ['no', 'no', 'yes', 'yes'].map((gpu) => ({ labels: { gpu }, unclearLabels: ['hostname'], radiusKm: 0 })),
    );
  });

  it('draws larger circles when nodes stand in too many places', () => {
    const nodes = Array.from({ length: 300 }, (_, i) =>
      node(`n${i}`, { position: { latitude: 47 + i / 100, longitude: 11 + (i % 7) / 3 }, labels: { tier: 'edge' } }),
    );
    const merged = mergeSummaries(nodes.map(summaryOfNode));
    expect(merged.groups.length).toBeLessThanOrEqual(limits.summaryGroups);
    expect(merged.groups.every(({ labels }) => labels.tier === 'edge')).toBe(true);
    expect(Math.max(...merged.groups.map(({ radiusKm }) => radiusKm))).toBeLessThan(120);
  });

  it('ends with two groups at worst: every architecture, runtime and label differs', () => {
    const nodes = Array.from({ length: 500 }, (_, i) =>
      node(`n${i}`, { architecture: `cpu${i}`, runtimes: [`r${i}`], labels: { [`key${i}`]: 'x' } }),
    );
    const merged = mergeSummaries(nodes.map(summaryOfNode));
    summarySchema.parse(merged);
    expect(merged.groups).toMatchObject([{ architecture: UNCLEAR, labels: {}, unclearLabels: [UNCLEAR] }]);
  });

  it('lists the first names in the alphabet, the same in any nesting, and says that there are more', () => {
    const nodes = Array.from({ length: limits.summaryNodes + 10 }, (_, i) =>
      summaryOfNode(node(`n${String(i).padStart(4, '0')}`)),
    );
    const flat = mergeSummaries(nodes);
    const nested = mergeSummaries([mergeSummaries(nodes.slice(300).reverse()), mergeSummaries(nodes.slice(0, 300))]);
    expect(flat.namesComplete).toBe(false);
    expect(flat.nodeNames).toHaveLength(limits.summaryNodes);
    expect(nested).toEqual(flat);
  });
});

describe('what children make up', () => {
  const extreme = (max: number) => fc.oneof(fc.constantFrom(0, 1e-300, 1, max), fc.double({ min: 0, max, noNaN: true }));
  const amounts = fc.record({
    cpuMilli: extreme(SUMMARY_MAX.amount),
    memoryBytes: extreme(SUMMARY_MAX.amount),
    diskBytes: extreme(SUMMARY_MAX.amount),
  });
  const count = fc.constantFrom(1, 7, SUMMARY_MAX.nodes);
  const position = fc.record({ latitude: fc.constantFrom(-90, 0, 90), longitude: fc.constantFrom(-180, 0, 180) });
  const group = fc.record(
    {
      architecture: fc.constantFrom('amd64', UNCLEAR),
      runtimes: fc.constant<string[]>(['process']),
      labels: fc.constant({}),
      unclearLabels: fc.constant<string[]>([]),
      position,
      radiusKm: extreme(SUMMARY_MAX.radiusKm),
      largest: amounts,
      points: fc.array(fc.record({ free: amounts, count }), { minLength: 1, maxLength: 40 }),
    },
    { requiredKeys: ['architecture', 'runtimes', 'labels', 'unclearLabels', 'radiusKm', 'largest', 'points'] },
  );
  const madeUp = fc.record({
    nodes: fc.constantFrom(0, 1, SUMMARY_MAX.nodes),
    total: amounts,
    free: amounts,
    load: extreme(SUMMARY_MAX.load),
    groups: fc.array(group, { maxLength: 6 }),
    nodeNames: fc.constant<string[]>(['n1']),
    namesComplete: fc.boolean(),
  });

  it('merges to what a parent takes: one node that lies does not cost its cluster the link', () => {
    fc.assert(
      fc.property(fc.array(madeUp, { minLength: 1, maxLength: 5 }), (summaries) => {
        for (const summary of summaries) expect(summarySchema.safeParse(summary).error).toBeUndefined();
        const said: unknown = JSON.parse(JSON.stringify(mergeSummaries(summaries)));
        expect(summarySchema.safeParse(said).error).toBeUndefined();
      }),
    );
  });

  it('is refused where sums would overflow, and where a group has no nodes', () => {
    const honest = summaryOfNode(node('n1'));
    const [first] = honest.groups;
    const lies: readonly Partial<Record<keyof Summary, unknown>>[] = [
      { load: 1e308 },
      { nodes: 1e308 },
      { free: { ...honest.free, memoryBytes: 1e308 } },
      { groups: [{ ...first, points: [] }] },
      { groups: [{ ...first, points: [{ free: honest.free, count: Number.MAX_SAFE_INTEGER }] }] },
    ];
    for (const lie of lies) expect(summarySchema.safeParse({ ...honest, ...lie }).success, JSON.stringify(lie)).toBe(false);
  });
});
