/** What a record of a decision says of the candidates: as many as there were, each for the reason that the explainer gives. */
import { expect, it } from 'vitest';
import { limits } from '../base/limits.ts';
import { summaryOfNode } from '../capacity/summaries.ts';
import { serviceSpecSchema } from '../model/service.ts';
import { place } from './place.ts';
import type { Candidate } from './requirement.ts';

function node(
  name: string,
  { cores = 4, load = 0, ...more }: Partial<Candidate> & { cores?: number; load?: number } = {},
): Candidate {
  const total = { cpuMilli: cores * 1_000, memoryBytes: 2 ** 32, diskBytes: 0 };
  const given = { name, total, free: total, load, architecture: 'amd64', runtimes: ['process'], labels: {} };
  return { name, kind: 'node', summary: summaryOfNode(given), connected: true, cordoned: false, instancesOfService: 0, ...more };
}

const spec = serviceSpecSchema.parse({
  runtime: 'process',
  command: ['web'],
  resources: { cpu: 1 },
  ports: [{ name: 'http', hostPort: 80 }],
});

it('lists the best few with what the score saw, and counts all others by what kept them out', () => {
  const python = node('python');
  const candidates = [
    ...['a', 'b', 'c', 'd', 'e'].map((name, at) => node(name, { load: at / 10 })),
    node('away', { connected: false }),
    node('cordoned', { cordoned: true }),
    node('refused'),
    node('taken', { usedHostPorts: new Set(['tcp/80']) }),
    node('small', { cores: 0.5 }),
    {
      ...python,
      summary: { ...python.summary, groups: python.summary.groups.map((group) => ({ ...group, runtimes: ['python'] })) },
    },
    node('empty', { kind: 'cluster', summary: { ...python.summary, groups: [], nodes: 0 } }),
  ];
  const exclude = new Map([['refused', 'refused: full']]);
  const placed = place({ spec, tieBreaker: 'web-1', exclude }, candidates, 'least-loaded');
  expect(placed).toMatchObject({ ok: true, value: { child: 'a' } });
  if (!placed.ok) return;
  const { seen } = placed.value;
  expect(seen.candidates.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  expect(seen.candidates).toHaveLength(limits.decisionCandidates);
  // Half measured (idle), half reserved (one of four cores).
  expect(seen.candidates[0]).toEqual({ name: 'a', score: 0.875, load: 0.125, cpuMilli: 4_000, memoryBytes: 2 ** 32 });
  expect(seen.others).toBe(2);
  expect(seen.rejected).toEqual({
    not_connected: 1,
    cordoned: 1,
    excluded: 1,
    host_port: 1,
    resources: 1,
    unsuitable: 1,
    no_nodes: 1,
  });
  const elsewhere = { ...spec, placement: { ...spec.placement, node: 'a' } };
  const named = place({ spec: elsewhere, tieBreaker: 'web-1' }, candidates, 'spread');
  expect(named).toMatchObject({ ok: true, value: { seen: { others: 0, rejected: { not_named: 8 } } } });
});
