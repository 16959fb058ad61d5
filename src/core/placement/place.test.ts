/** Properties of placing over random trees of two levels; P1 to P4 are stated in place.ts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { distanceKm } from '../capacity/geo.ts';
import { mergeSummaries, type NodeCapacity, summaryOfNode } from '../capacity/summaries.ts';
import { fits, requirementOf, subtract } from '../capacity/vectors.ts';
import { PLACEMENT_POLICIES, serviceSpecSchema } from '../model/service.ts';
import { couldEver } from './could-ever.ts';
import { explainer } from './explain.ts';
import { fitOf } from './filter.ts';
import { place, placeMany } from './place.ts';
import { Ranking } from './ranking.ts';
import { type Candidate, demandOf, type Requirement } from './requirement.ts';

const MIB = 2 ** 20;
const position = fc.record({ latitude: fc.integer({ min: 46, max: 50 }), longitude: fc.integer({ min: 9, max: 13 }) });
const amounts = fc.record({
  cpuMilli: fc.integer({ min: 0, max: 40 }).map((tenths) => tenths * 100),
  memoryBytes: fc.integer({ min: 0, max: 32 }).map((amount) => amount * 64 * MIB),
  diskBytes: fc.constant(0),
});
const nodeGiven = fc
  .record({
    total: amounts,
    reserved: amounts,
    load: fc.constantFrom(0, 0.25, 0.5),
    architecture: fc.constantFrom('amd64', 'arm64'),
    runtimes: fc.constantFrom(['process'], ['process', 'python'], ['python']),
    labels: fc.constantFrom({}, { gpu: 'yes' }, { gpu: 'no' }, { location: 'Garching', gpu: 'yes' }),
    position: fc.option(position, { nil: undefined }),
  })
  .map(({ reserved, ...given }) => ({ ...given, free: subtract(given.total, reserved) }));

/** A candidate beside the nodes that it consists of. */
interface Known {
  readonly candidate: Candidate;
  readonly nodes: readonly NodeCapacity[];
}

const known = fc
  .record({
    kind: fc.constantFrom('node' as const, 'cluster' as const),
    given: fc.array(nodeGiven, { minLength: 1, maxLength: 4 }),
    connected: fc.boolean(),
    cordoned: fc.boolean(),
    up: fc.boolean(),
    instancesOfService: fc.integer({ min: 0, max: 2 }),
    usedHostPorts: fc.constantFrom(undefined, new Set(['tcp/80'])),
  })
  .map(({ kind, given, up, connected, cordoned, usedHostPorts, ...rest }) => (name: string): Known => {
    const nodes = (kind === 'node' ? given.slice(0, 1) : given).map((one, i) => ({
      ...one,
      name: kind === 'node' ? name : `${name}-${i}`,
    }));
    const candidate: Candidate = {
      ...rest,
      name,
      kind,
      connected: up || connected,
      cordoned: !up && cordoned,
      summary: mergeSummaries(nodes.map(summaryOfNode)),
      usedHostPorts: kind === 'node' ? usedHostPorts : undefined,
    };
    return { candidate, nodes };
  });
const world = fc.array(known, { maxLength: 8 }).map((all) => all.map((one, i) => one(`c${i}`)));

const requirement = fc
  .record({
    cpu: fc.integer({ min: 0, max: 40 }).map((tenths) => tenths / 10),
    memory: fc.integer({ min: 0, max: 16 }).map((amount) => amount * 64 * MIB),
    architecture: fc.constantFrom([], [], ['amd64'], ['aarch64']),
    labels: fc.constantFrom({}, {}, { gpu: 'yes' }),
    area: fc.option(fc.record({ latitude: fc.constant(48), longitude: fc.constant(11), radiusKm: fc.constantFrom(100, 200) }), {
      nil: undefined,
      freq: 2,
    }),
    location: fc.constantFrom(undefined, undefined, undefined, 'garching', 'C1'),
    cluster: fc.constantFrom(undefined, undefined, undefined, 'c0'),
    node: fc.constantFrom(undefined, undefined, undefined, 'c1', 'c1-0'),
    hostPort: fc.constantFrom(undefined, undefined, 80),
    exclude: fc.constantFrom(undefined, new Map([['c2', 'refused']])),
    inside: fc.constantFrom([], ['c0'], ['garching']),
  })
  .map(({ cpu, memory, hostPort, exclude, inside, ...placement }): Requirement => {
    const ports = hostPort === undefined ? [] : [{ hostPort }];
    const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['x'], resources: { cpu, memory }, ports, placement });
    return { spec, tieBreaker: 'web-1', exclude, inside };
  });
const policy = fc.constantFrom(...PLACEMENT_POLICIES);

/** Written anew from the meaning of the fields, without the code under test. */
function canHold({ spec, exclude, inside = [] }: Requirement, { candidate, nodes }: Known): boolean {
  const { placement } = spec;
  if (!candidate.connected || candidate.cordoned || exclude?.has(candidate.name)) return false;
  if (spec.ports.some(({ hostPort }) => candidate.usedHostPorts?.has(`tcp/${hostPort}`))) return false;
  if (
    placement.cluster &&
    !inside.includes(placement.cluster) &&
    !(candidate.kind === 'cluster' && candidate.name === placement.cluster)
  )
    return false;
  if (placement.node && !nodes.some(({ name }) => name === placement.node)) return false;
  const location = placement.location?.toLowerCase();
  const here =
    location === undefined || inside.includes(location) || (candidate.kind === 'cluster' && candidate.name === location);
  return nodes.some((node) => {
    const labels: Readonly<Record<string, string>> = node.labels;
    return (
      fits(requirementOf(spec), node.free) &&
      node.runtimes.includes(spec.runtime) &&
      (placement.architecture.length === 0 ||
        placement.architecture.includes(node.architecture === 'arm64' ? 'aarch64' : 'amd64')) &&
      Object.entries(placement.labels).every(([key, value]) => labels[key] === value) &&
      (here || labels.location?.toLowerCase() === location) &&
      (!placement.area || (node.position && distanceKm(placement.area, node.position) <= placement.area.radiusKm))
    );
  });
}

describe('place', () => {
  it('chooses whoever can, with exact summaries, and only refuses when nobody can (P1)', () => {
    fc.assert(
      fc.property(world, requirement, policy, (all, wanted, policy) => {
        const result = place(
          wanted,
          all.map(({ candidate }) => candidate),
          policy,
        );
        const able = all.filter((one) => canHold(wanted, one)).map(({ candidate }) => candidate.name);
        if (!result.ok) {
          expect(able).toEqual([]);
          expect(result.error.map(({ child }) => child)).toEqual(all.map(({ candidate }) => candidate.name));
          return;
        }
        for (const choice of [result.value, ...result.value.runnersUp]) expect(able).toContain(choice.child);
        expect(result.value.runnersUp).toHaveLength(Math.min(3, able.length - 1));
      }),
      { numRuns: 500 },
    );
  });

  it('explains exactly whom it refuses, and never says impossible of what is possible', () => {
    fc.assert(
      fc.property(world, requirement, (all, wanted) => {
        const explain = explainer(demandOf(wanted));
        for (const { candidate } of all) expect(explain(candidate) === null).toBe(fitOf(demandOf(wanted), candidate) !== null);
        if (all.some((one) => canHold(wanted, one)))
          expect(
            couldEver(
              wanted,
              all.map(({ candidate }) => candidate),
            ).ok,
          ).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('prefers the certain to the possible (P2), and heeds no order of candidates (P3)', () => {
    fc.assert(
      fc.property(world, requirement, policy, fc.infiniteStream(fc.nat()), (all, wanted, policy, draws) => {
        const blurred = all.map(({ candidate }, i): Candidate => {
          const groups = candidate.summary.groups.map((group) =>
            i % 2 === 0 ? group : { ...group, labels: {}, unclearLabels: ['gpu'] },
          );
          return { ...candidate, summary: { ...candidate.summary, groups } };
        });
        const shuffled = blurred
          .map((one) => ({ one, at: draws.next().value ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ one }) => one);
        const result = place(wanted, blurred, policy);
        const again = place(wanted, shuffled, policy);
        expect(again.ok).toBe(result.ok);
        if (!result.ok) return;
        expect(again).toEqual(result);
        const certainty = [result.value, ...result.value.runnersUp].map(({ certain }) => certain);
        expect(certainty).toEqual([...certainty].sort((a, b) => Number(b) - Number(a)));
      }),
      { numRuns: 200 },
    );
  });

  it('places more with more room, and with more candidates', () => {
    fc.assert(
      fc.property(world, known, requirement, policy, (all, more, wanted, policy) => {
        const candidates = all.map(({ candidate }) => candidate);
        if (!place(wanted, candidates, policy).ok) return;
        expect(place(wanted, [...candidates, more('extra').candidate], policy).ok).toBe(true);
        const emptied = all.map(({ candidate, nodes }) => ({
          ...candidate,
          summary: mergeSummaries(nodes.map((node) => summaryOfNode({ ...node, free: node.total }))),
        }));
        expect(place(wanted, emptied, policy).ok).toBe(true);
      }),
    );
  });
});

describe('placeMany', () => {
  it('chooses as one at a time would, and never more than fits (P1, P4)', () => {
    fc.assert(
      fc.property(world, requirement, policy, fc.integer({ min: 0, max: 12 }), (all, wanted, policy, count) => {
        const onNodes = all.filter(({ candidate }) => candidate.kind === 'node');
        const batch = placeMany(
          wanted,
          count,
          onNodes.map(({ candidate }) => candidate),
          policy,
        );
        let now = onNodes;
        for (const choice of batch.choices) {
          const result = place(
            wanted,
            now.map(({ candidate }) => candidate),
            policy,
          );
          expect(result.ok && result.value).toMatchObject(choice);
          now = now.map((one) => (one.candidate.name === choice.child ? holdingOneMore(wanted, one) : one));
        }
        if (batch.choices.length === count) expect(batch.refusals).toEqual([]);
        else expect(now.some((one) => canHold(wanted, one))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a ranking', () => {
  const step = fc.record({
    /** Which child's news come in before, and what they are. */
    changed: fc.option(fc.tuple(fc.nat({ max: 7 }), known)),
    removed: fc.option(fc.nat({ max: 7 })),
    excluded: fc.uniqueArray(fc.nat({ max: 7 }), { maxLength: 2 }),
  });

  it('chooses and has seen what placing anew among all would, whatever has changed (K1, K2, K3)', () => {
    fc.assert(
      fc.property(
        world,
        requirement,
        policy,
        fc.boolean(),
        fc.array(step, { maxLength: 12 }),
        (all, wanted, policy, own, steps) => {
          const now = new Map(all.map(({ candidate }) => [candidate.name, candidate]));
          const counts = new Map(all.map(({ candidate }) => [candidate.name, candidate.instancesOfService]));
          const ranked = (candidate: Candidate) => (own ? candidate : { ...candidate, instancesOfService: 0 });
          const ranking = Ranking.of(demandOf({ ...wanted, exclude: new Map() }), policy, [...now.values()].map(ranked));
          const take = (candidate: Candidate) => {
            now.set(candidate.name, candidate);
            counts.set(candidate.name, candidate.instancesOfService);
            ranking.update(ranked(candidate));
          };
          for (const { changed, removed, excluded } of steps) {
            if (changed) take(changed[1](`c${changed[0]}`).candidate);
            if (removed !== null) {
              now.delete(`c${removed}`);
              counts.delete(`c${removed}`);
              ranking.remove(`c${removed}`);
            }
            const exclude = new Map(excluded.map((at) => [`c${at}`, 'refused']));
            const expected = place({ ...wanted, exclude }, [...now.values()], policy);
            const best = ranking.best({ counts: own ? undefined : counts, exclude });
            expect(best && { child: best.child, seen: best.seen }).toEqual(
              expected.ok ? { child: expected.value.child, seen: expected.value.seen } : null,
            );
            const chosen = best && now.get(best.child);
            if (best && chosen) take({ ...chosen, summary: best.left, instancesOfService: chosen.instancesOfService + 1 });
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** As the node itself would report, once it holds one more. */
function holdingOneMore({ spec }: Requirement, { candidate, nodes }: Known): Known {
  const after = nodes.map((node) => ({ ...node, free: subtract(node.free, requirementOf(spec)) }));
  const ports = spec.ports.map(({ protocol, hostPort }) => `${protocol}/${hostPort}`);
  return {
    nodes: after,
    candidate: {
      ...candidate,
      summary: mergeSummaries(after.map(summaryOfNode)),
      instancesOfService: candidate.instancesOfService + 1,
      usedHostPorts: new Set([...(candidate.usedHostPorts ?? []), ...ports]),
    },
  };
}
