import { describe, expect, it } from 'vitest';
import type * as z from 'zod/mini';
import { mergeSummaries, type NodeCapacity, summaryOfNode } from '../capacity/summaries.ts';
import { type PlacementPolicyName, serviceSpecSchema } from '../model/service.ts';
import { UNCLEAR } from '../model/summary.ts';
import { couldEver } from './could-ever.ts';
import { place, placeMany, reserveFor } from './place.ts';
import type { Candidate, Requirement } from './requirement.ts';

const GIB = 2 ** 30;

interface NodeWords extends Partial<NodeCapacity> {
  readonly cores?: number;
  readonly freeCores?: number;
  readonly freeMemory?: number;
}

function capacityOf(name: string, { cores = 4, freeCores = cores, freeMemory = 8 * GIB, ...given }: NodeWords): NodeCapacity {
  const total = { cpuMilli: cores * 1000, memoryBytes: 8 * GIB, diskBytes: 0 };
  const free = { ...total, cpuMilli: freeCores * 1000, memoryBytes: freeMemory };
  return { name, total, free, load: 0, architecture: 'amd64', runtimes: ['process', 'python'], labels: {}, ...given };
}

const open = { connected: true, cordoned: false, instancesOfService: 0 };

function node(name: string, given: NodeWords = {}, state: Partial<Candidate> = {}): Candidate {
  return { name, kind: 'node', summary: summaryOfNode(capacityOf(name, given)), ...open, ...state };
}

function cluster(name: string, nodes: Readonly<Record<string, NodeWords>>, state: Partial<Candidate> = {}): Candidate {
  const summaries = Object.entries(nodes).map(([node, given]) => summaryOfNode(capacityOf(node, given)));
  return { name, kind: 'cluster', summary: mergeSummaries(summaries), ...open, ...state };
}

type SpecWords = Omit<Extract<z.input<typeof serviceSpecSchema>, { runtime: 'process' }>, 'runtime' | 'command'>;

function wanting(
  placement: NonNullable<SpecWords['placement']> = {},
  spec: Partial<SpecWords> = {},
  more: Partial<Requirement> = {},
) {
  const parsed = serviceSpecSchema.parse({ runtime: 'process', command: ['serve'], ...spec, placement });
  return { spec: parsed, tieBreaker: 'web-1', ...more } satisfies Requirement;
}

/** Who is chosen, or why nobody is. */
function outcome(requirement: Requirement, candidates: readonly Candidate[], policy: PlacementPolicyName = 'first-fit'): string {
  const result = place(requirement, candidates, policy);
  return result.ok
    ? result.value.child
    : result.error.map(({ child, kind, detail }) => `${child}: ${kind}: ${detail}`).join('\n');
}

const munich = { latitude: 48.137, longitude: 11.575 };
const garching = { latitude: 48.249, longitude: 11.651 };
const potsdam = { latitude: 52.39, longitude: 13.064 };
const aroundGarching = { latitude: 48.25, longitude: 11.65, radiusKm: 50 };

describe('filter: each requirement, met and not met', () => {
  const table: readonly [name: string, requirement: Requirement, candidate: Candidate, expected: string][] = [
    ['not connected', wanting(), node('n1', {}, { connected: false }), 'n1: not_connected: not connected'],
    ['cordoned', wanting(), node('n1', {}, { cordoned: true }), 'n1: cordoned: cordoned'],
    [
      'excluded with its reason',
      wanting({}, {}, { exclude: new Map([['n1', 'refused: disk is full']]) }),
      node('n1'),
      'n1: excluded: refused: disk is full',
    ],
    ['an empty cluster', wanting(), cluster('c1', {}), 'c1: no_nodes: has no nodes'],

    [
      'cpu, on a node',
      wanting({}, { resources: { cpu: 2 } }),
      node('n1', { freeCores: 1.5 }),
      'n1: resources: needs 2 cores, 1.5 free',
    ],
    [
      'cpu, in a cluster',
      wanting({}, { resources: { cpu: 2 } }),
      cluster('c1', { a: { freeCores: 1.5 }, b: { freeCores: 1 } }),
      'c1: resources: needs 2 cores, at most 1.5 free on any node',
    ],
    [
      'cpu, on those nodes of a cluster that match',
      wanting({ architecture: ['arm64'] }, { resources: { cpu: '1' } }),
      cluster('c1', { a: {}, b: { architecture: 'arm64', freeCores: 0.25 } }),
      'c1: resources: needs 1 core, at most 0.25 free on any matching node',
    ],
    [
      'cpu and memory',
      wanting({}, { resources: { cpu: 8, memory: '16Gi' } }),
      node('n1', { freeMemory: 1.5 * GIB }),
      'n1: resources: needs 8 cores, 4 free; needs 16Gi of memory, 1.5Gi free',
    ],
    [
      'memory, one byte short',
      wanting({}, { resources: { memory: '8Gi' } }),
      node('n1', { freeMemory: 8 * GIB - 1 }),
      'n1: resources: needs 8Gi of memory, 8589934591 bytes free',
    ],
    [
      'cpu here, memory there',
      wanting({}, { resources: { cpu: 2, memory: '2Gi' } }),
      cluster('c1', { a: { freeMemory: GIB }, b: { freeCores: 1 } }),
      'c1: resources: no single node has 2 cores and 2Gi of memory free',
    ],
    ['all of a node', wanting({}, { resources: { cpu: 4, memory: '8Gi' } }), node('n1'), 'n1'],

    [
      'architecture',
      wanting({ architecture: ['arm64'] }),
      cluster('c1', { a: {} }),
      'c1: architecture: no node of architecture arm64 (has amd64)',
    ],
    [
      'architectures, on a node',
      wanting({ architecture: ['arm64', 'arm'] }),
      node('n1'),
      'n1: architecture: not of architecture arm64 or arm (has amd64)',
    ],
    ['architecture by its name in uname', wanting({ architecture: ['aarch64'] }), node('n1', { architecture: 'arm64' }), 'n1'],
    ['one of several architectures', wanting({ architecture: ['riscv64', 'x86_64'] }), node('n1'), 'n1'],

    ['runtime', wanting(), node('n1', { runtimes: ['container'] }), 'n1: runtime: lacks runtime process (has container)'],
    [
      'runtime, in a cluster',
      wanting(),
      cluster('c1', { a: { runtimes: [] } }),
      'c1: runtime: no node has runtime process (has none)',
    ],

    ['label', wanting({ labels: { gpu: 'yes' } }), cluster('c1', { a: {} }), 'c1: labels: no node with label gpu=yes'],
    [
      'label of another value',
      wanting({ labels: { gpu: 'yes' } }),
      node('n1', { labels: { gpu: 'no' } }),
      'n1: labels: lacks label gpu=yes (has no)',
    ],
    [
      'labels',
      wanting({ labels: { gpu: 'yes', tier: 'edge' } }),
      node('n1', { labels: { tier: 'edge', gpu: 'yes', x: 'y' } }),
      'n1',
    ],
    [
      'labels on different nodes',
      wanting({ labels: { gpu: 'yes', tier: 'edge' } }),
      cluster('c1', { a: { labels: { gpu: 'yes' } }, b: { labels: { tier: 'edge' } } }),
      'c1: combination: no single node has all of: runtime process, label gpu=yes, label tier=edge',
    ],
    [
      'a label that every object has',
      wanting({ labels: { constructor: 'x' } }),
      node('n1'),
      'n1: labels: lacks label constructor=x',
    ],

    ['area', wanting({ area: aroundGarching }), node('n1', { position: munich }), 'n1'],
    [
      'outside the area',
      wanting({ area: aroundGarching }),
      cluster('c1', { a: { position: potsdam }, b: {} }),
      'c1: area: not within 50 km of 48.25,11.65 (nearest 471 km)',
    ],
    [
      'area, position unknown',
      wanting({ area: aroundGarching }),
      node('n1'),
      'n1: area: not within 50 km of 48.25,11.65 (position unknown)',
    ],
    [
      'area across the antimeridian',
      wanting({ area: { latitude: -17, longitude: 179.9, radiusKm: 30 } }),
      node('n1', { position: { latitude: -17, longitude: -179.95 } }),
      'n1',
    ],
    [
      'area around the pole',
      wanting({ area: { latitude: 90, longitude: 0, radiusKm: 120 } }),
      node('n1', { position: { latitude: 89, longitude: -120 } }),
      'n1',
    ],

    [
      'location, as a label of nodes',
      wanting({ location: 'Garching' }),
      cluster('c1', { a: { labels: { location: 'garching' } } }),
      'c1',
    ],
    ['location, as the name of a cluster', wanting({ location: 'Garching' }), cluster('garching', { a: {} }), 'garching'],
    [
      'location, elsewhere',
      wanting({ location: 'Garching' }),
      cluster('c1', { a: {} }),
      'c1: location: no node in location garching',
    ],
    ['location, on a node', wanting({ location: 'Garching' }), node('n1'), 'n1: location: not in location garching'],
    ['location, a node of this name is none', wanting({ location: 'n1' }), node('n1'), 'n1: location: not in location n1'],
    ['location, inside it', wanting({ location: 'Garching' }, {}, { inside: ['garching'] }), node('n1'), 'n1'],

    ['cluster', wanting({ cluster: 'c1' }), cluster('c1', { a: {} }), 'c1'],
    ['another cluster', wanting({ cluster: 'c1' }), cluster('c2', { a: {} }), 'c2: cluster: not the requested cluster c1'],
    ['cluster, a node of the root', wanting({ cluster: 'c1' }), node('n1'), 'n1: cluster: not the requested cluster c1'],
    ['cluster, inside it', wanting({ cluster: 'c1' }, {}, { inside: ['c1'] }), node('n1'), 'n1'],
    ['cluster, inside its region', wanting({ cluster: 'west' }, {}, { inside: ['west'] }), cluster('c1', { a: {} }), 'c1'],

    ['node', wanting({ node: 'n1' }), node('n1'), 'n1'],
    ['another node', wanting({ node: 'n1' }), node('n2'), 'n2: node: not the requested node n1'],
    ['node of a cluster', wanting({ node: 'b' }), cluster('c1', { a: {}, b: {} }), 'c1'],
    ['node of no cluster', wanting({ node: 'z' }), cluster('c1', { a: {}, b: {} }), 'c1: node: has no node z'],

    [
      'host port',
      wanting({}, { ports: [{ hostPort: 8080 }] }),
      node('n1', {}, { usedHostPorts: new Set(['tcp/8080']) }),
      'n1: host_port: host port tcp/8080 in use',
    ],
    [
      'host port taken on some node of a cluster',
      wanting({}, { ports: [{ hostPort: 8080 }] }),
      cluster('c1', { a: {}, b: {} }, { usedHostPorts: new Set(['tcp/8080']) }),
      'c1',
    ],
    [
      'host port of the other protocol',
      wanting({}, { ports: [{ hostPort: 53, protocol: 'udp' }] }),
      node('n1', {}, { usedHostPorts: new Set(['tcp/53']) }),
      'n1',
    ],
  ];

  it.each(table)('%s', (_name, requirement, candidate, expected) => {
    expect(outcome(requirement, [candidate])).toBe(expected);
  });
});

describe('what a summary cannot tell', () => {
  const blurred = (change: Partial<Candidate['summary']['groups'][number]>): Candidate => {
    const { summary, ...rest } = cluster('c1', { a: {} });
    return { ...rest, summary: { ...summary, groups: summary.groups.map((group) => ({ ...group, ...change })) } };
  };
  const many: Candidate = { ...cluster('c1', { a: {} }), summary: { ...cluster('c1', { a: {} }).summary, namesComplete: false } };

  it.each([
    ['a label', wanting({ labels: { gpu: 'yes' } }), blurred({ unclearLabels: ['gpu'] })],
    ['any label', wanting({ labels: { gpu: 'yes' } }), blurred({ unclearLabels: [UNCLEAR] })],
    ['a location', wanting({ location: 'Garching' }), blurred({ unclearLabels: ['location'] })],
    ['an architecture', wanting({ architecture: ['arm64'] }), blurred({ architecture: UNCLEAR })],
    ['a runtime', wanting(), blurred({ runtimes: [UNCLEAR, 'container', 'process'] })],
    ['a place', wanting({ area: aroundGarching }), blurred({ position: potsdam, radiusKm: 450 })],
    ['a node', wanting({ node: 'z' }), many],
  ])('%s: asks the child, after all that certainly can', (_name, requirement, unclear) => {
    expect(place(requirement, [unclear], 'first-fit')).toMatchObject({ ok: true, value: { child: 'c1', certain: false } });
    const certain = cluster('z', { z: { labels: { gpu: 'yes', location: 'garching' }, position: garching } });
    const arm = cluster('z', { z: { architecture: 'arm64' } });
    const sure = requirement.spec.placement.architecture.length > 0 ? arm : certain;
    expect(place(requirement, [unclear, sure], 'first-fit')).toMatchObject({
      value: { child: 'z', certain: true, runnersUp: [{ child: 'c1' }] },
    });
  });

  it('never makes a maybe of what is known to be otherwise', () => {
    expect(outcome(wanting({ labels: { gpu: 'yes' } }), [blurred({ labels: { gpu: 'no' }, unclearLabels: ['tier'] })])).toContain(
      'labels',
    );
    expect(outcome(wanting(), [blurred({ runtimes: [UNCLEAR, 'container'] })])).toContain('runtime');
    expect(outcome(wanting({ area: aroundGarching }), [blurred({ position: potsdam, radiusKm: 400 })])).toContain(
      'nearest 71 km',
    );
  });
});

describe('policies', () => {
  const order = (requirement: Requirement, candidates: readonly Candidate[], policy: PlacementPolicyName) => {
    const result = place(requirement, candidates, policy);
    return result.ok ? [result.value, ...result.value.runnersUp].map(({ child }) => child) : [];
  };

  it('first-fit: the first by name that has room', () => {
    const candidates = [node('c'), node('b', { freeCores: 0 }), node('d'), node('a', { freeCores: 0 })];
    expect(order(wanting(), candidates, 'first-fit')).toEqual(['c', 'd']);
  });

  it('least-loaded: measured and reserved load count alike', () => {
    const candidates = [
      node('measured', { load: 0.6 }),
      node('reserved', { freeCores: 1.6 }),
      node('idle', { load: 0.1 }),
      node('both', { load: 0.6, freeCores: 1 }),
    ];
    expect(order(wanting({}, { resources: { cpu: 0 } }), candidates, 'least-loaded').at(0)).toBe('idle');
    expect(order(wanting({}, { resources: { cpu: 0 } }), candidates, 'least-loaded').at(-1)).toBe('both');
  });

  it('least-loaded: a large machine takes a load more lightly', () => {
    expect(order(wanting({}, { resources: { cpu: 2 } }), [node('small'), node('large', { cores: 16 })], 'least-loaded')).toEqual([
      'large',
      'small',
    ]);
  });

  it('best-fit: the tightest node, also inside a cluster', () => {
    const candidates = [
      node('empty'),
      cluster('mixed', { a: {}, b: { freeCores: 1.1, freeMemory: GIB } }),
      node('tighter', { freeCores: 1, freeMemory: GIB }),
    ];
    expect(order(wanting({}, { resources: { cpu: 1, memory: '512Mi' } }), candidates, 'best-fit')).toEqual([
      'tighter',
      'mixed',
      'empty',
    ]);
  });

  it('spread: the fewest of this service, then the least loaded', () => {
    const candidates = [
      node('two', {}, { instancesOfService: 2 }),
      node('busy', { load: 0.9 }, { instancesOfService: 1 }),
      node('idle', {}, { instancesOfService: 1 }),
    ];
    expect(order(wanting(), candidates, 'spread')).toEqual(['idle', 'busy', 'two']);
  });

  it('nearest: to `near`, else to the middle of the area; nowhere is farthest', () => {
    const candidates = [
      node('nowhere'),
      node('potsdam', { position: potsdam }),
      node('munich', { position: munich }),
      node('garching', { position: garching }),
    ];
    expect(order(wanting({ near: garching }), candidates, 'nearest')).toEqual(['garching', 'munich', 'potsdam', 'nowhere']);
    expect(order(wanting({ area: { ...aroundGarching, radiusKm: 1000 } }), candidates, 'nearest')).toEqual([
      'garching',
      'munich',
      'potsdam',
    ]);
  });

  it('nearest: at one place the least loaded, and everywhere without a place to be near', () => {
    const candidates = [node('busy', { position: munich, load: 0.8 }), node('idle', { position: munich })];
    expect(order(wanting({ near: garching }), candidates, 'nearest')).toEqual(['idle', 'busy']);
    expect(order(wanting(), [node('busy', { load: 0.5 }), node('idle')], 'nearest')).toEqual(['idle', 'busy']);
  });

  it('spreads services over equal candidates, always in the same way', () => {
    const candidates = Array.from({ length: 20 }, (_, i) => node(`n${i}`));
    const choices = Array.from({ length: 200 }, (_, i) =>
      outcome(wanting({}, {}, { tieBreaker: `web-${i}` }), candidates, 'least-loaded'),
    );
    const counts = candidates.map(({ name }) => choices.filter((choice) => choice === name).length);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(Math.max(...counts)).toBeLessThan(25);
    expect(outcome(wanting(), [...candidates].reverse(), 'least-loaded')).toBe(outcome(wanting(), candidates, 'least-loaded'));
  });
});

describe('many at once', () => {
  const children = (count: number, requirement: Requirement, candidates: readonly Candidate[], policy: PlacementPolicyName) =>
    placeMany(requirement, count, candidates, policy).choices.map(({ child }) => child);
  const oneCore = wanting({}, { resources: { cpu: 1 } });

  it('first-fit fills one after the other', () => {
    expect(children(5, oneCore, [node('b', { cores: 2 }), node('a', { cores: 2 }), node('c')], 'first-fit')).toEqual([
      'a',
      'a',
      'b',
      'b',
      'c',
    ]);
  });

  it('spread goes round', () => {
    const chosen = children(6, oneCore, [node('a'), node('b'), node('c')], 'spread');
    expect([chosen.slice(0, 3).sort(), chosen.slice(3).sort()]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  it('places what fits and says why no more does', () => {
    const batch = placeMany(
      oneCore,
      9,
      [node('a', { cores: 2 }), cluster('c', { x: { cores: 1 }, y: { cores: 1.5 } })],
      'least-loaded',
    );
    expect(batch.choices.map(({ child }) => child).sort()).toEqual(['a', 'a', 'c', 'c']);
    expect(batch.refusals.map(({ child, detail }) => `${child}: ${detail}`)).toEqual([
      'a: needs 1 core, 0 free',
      'c: needs 1 core, at most 0.5 free on any node',
    ]);
  });

  it('gives a fixed host port to one instance a node', () => {
    const batch = placeMany(wanting({}, { ports: [{ hostPort: 80 }] }), 3, [node('a'), node('b')], 'first-fit');
    expect(batch.choices.map(({ child }) => child)).toEqual(['a', 'b']);
    expect(batch.refusals.map(({ kind }) => kind)).toEqual(['host_port', 'host_port']);
  });
});

describe('reservations', () => {
  it('come off the nodes that could have been chosen, cordoned and excluded or not', () => {
    const requirement = wanting({ labels: { gpu: 'yes' } }, { resources: { cpu: 1 } }, { exclude: new Map([['c1', 'left']]) });
    const candidate = cluster('c1', { a: { freeCores: 1 }, b: { labels: { gpu: 'yes' } } }, { cordoned: true });
    const left = reserveFor(requirement, candidate).groups.map(({ labels, points }) => [
      labels.gpu ?? 'no',
      points[0]?.free.cpuMilli,
    ]);
    expect(Object.fromEntries(left)).toEqual({ no: 1000, yes: 3000 });
  });
});

describe('could it ever run here?', () => {
  const why = (requirement: Requirement, candidates: readonly Candidate[]) => {
    const result = couldEver(requirement, candidates);
    return result.ok ? 'yes' : result.error.map(({ child, detail }) => `${child}: ${detail}`);
  };

  it('yes, when what is in the way passes', () => {
    const busy = node('n1', { freeCores: 0 }, { connected: false, cordoned: true, usedHostPorts: new Set(['tcp/80']) });
    const requirement = wanting(
      {},
      { resources: { cpu: 4 }, ports: [{ hostPort: 80 }] },
      { exclude: new Map([['n1', 'refused']]) },
    );
    expect(why(requirement, [busy])).toBe('yes');
  });

  it('no, with the size of what there is', () => {
    const candidates = [node('n1', { freeCores: 1 }), cluster('c1', { a: { freeCores: 0 }, b: { cores: 16 } })];
    expect(why(wanting({}, { resources: { cpu: 17 } }), candidates)).toEqual([
      'n1: needs 17 cores, has 4',
      'c1: needs 17 cores, at most 16 on any node',
    ]);
    expect(why(wanting({}, { resources: { cpu: 16 } }), candidates)).toBe('yes');
    expect(why(wanting({ architecture: ['arm64'] }), candidates)).toHaveLength(2);
    expect(why(wanting(), [])).toEqual([]);
  });
});
