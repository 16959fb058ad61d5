/**
 * Why a candidate cannot take a demand, in words for the person who waits for it. Written only when somebody
 * asks: the filter itself builds no text. An explainer refuses exactly whom `fitOf` refuses.
 */

import { distanceKm } from '../capacity/geo.ts';
import { fits } from '../capacity/vectors.ts';
import { type ResourceVector, type SummaryGroup, UNCLEAR } from '../model/summary.ts';
import { distanceText, lacking } from './amounts.ts';
import {
  type Answer,
  architectureAnswer,
  areaAnswer,
  labelAnswer,
  locationAnswer,
  NO,
  nameAnswer,
  openLocation,
  runtimeAnswer,
  takenPort,
} from './filter.ts';
import type { Candidate, Demand } from './requirement.ts';

export type RefusalKind =
  | 'not_connected'
  | 'cordoned'
  | 'excluded'
  | 'cluster'
  | 'node'
  | 'no_nodes'
  | 'architecture'
  | 'runtime'
  | 'labels'
  | 'location'
  | 'area'
  | 'combination' // each requirement is met by some node, all of them by none
  | 'resources'
  | 'host_port';

export interface Refusal {
  readonly child: string;
  readonly kind: RefusalKind;
  /** For a person: `needs 2 cores, at most 1.5 free on any node`. */
  readonly detail: string;
}

/** Says of each candidate why it cannot take the demand now; null when it can. */
export function explainer(demand: Demand): (candidate: Candidate) => Refusal | null {
  const traits = traitsOf(demand);
  return (candidate) => explain(demand, traits, candidate);
}

/** Says of each candidate why it could not take the demand even with nothing else on it; null when it might. */
export function everExplainer(demand: Demand): (candidate: Candidate) => Refusal | null {
  const traits = traitsOf(demand);
  return (candidate) => explainByNature(demand, traits, candidate, (group) => [group.largest], 'ever');
}

function explain(demand: Demand, traits: readonly Trait[], candidate: Candidate): Refusal | null {
  const refuse = (kind: RefusalKind, detail: string): Refusal => ({ child: candidate.name, kind, detail });
  if (!candidate.connected) return refuse('not_connected', 'not connected');
  if (candidate.cordoned) return refuse('cordoned', 'cordoned');
  const reason = demand.exclude.get(candidate.name);
  if (reason !== undefined) return refuse('excluded', reason);
  const unmet = explainByNature(demand, traits, candidate, (group) => group.points.map((point) => point.free), 'free');
  if (unmet) return unmet;
  const port = takenPort(demand, candidate);
  return port === undefined ? null : refuse('host_port', `host port ${port} in use`);
}

function explainByNature(
  demand: Demand,
  traits: readonly Trait[],
  candidate: Candidate,
  roomOf: (group: SummaryGroup) => readonly ResourceVector[],
  when: 'free' | 'ever',
): Refusal | null {
  const refuse = (kind: RefusalKind, detail: string): Refusal => ({ child: candidate.name, kind, detail });
  const { name, kind, summary } = candidate;
  const one = kind === 'node';
  if (demand.cluster !== null && (one || name !== demand.cluster))
    return refuse('cluster', `not the requested cluster ${demand.cluster}`);
  if (nameAnswer(demand, candidate) === NO)
    return refuse('node', one ? `not the requested node ${demand.node}` : `has no node ${demand.node}`);
  if (summary.groups.length === 0) return refuse('no_nodes', one ? 'has not reported what it has' : 'has no nodes');

  let matching: readonly SummaryGroup[] = summary.groups;
  const location = openLocation(demand, candidate);
  for (const trait of traits) {
    if (trait.kind === 'location' && location === null) continue;
    const narrowed = matching.filter((group) => trait.answer(group) !== NO);
    if (narrowed.length === 0) {
      if (!summary.groups.some((group) => trait.answer(group) !== NO))
        return refuse(trait.kind, trait.detail(summary.groups, one));
      const asked = traits.slice(0, traits.indexOf(trait) + 1).map(({ term }) => term);
      return refuse('combination', `no single node has all of: ${asked.join(', ')}`);
    }
    matching = narrowed;
  }
  const room = matching.flatMap(roomOf);
  if (room.some((free) => fits(demand.need, free))) return null;
  const where = one ? 'here' : matching.length === summary.groups.length ? 'any node' : 'any matching node';
  return refuse('resources', lacking(demand.need, room, when, where));
}

/** One thing that a node must be or have, besides room. */
interface Trait {
  readonly kind: RefusalKind;
  readonly term: string;
  readonly answer: (group: SummaryGroup) => Answer;
  readonly detail: (groups: readonly SummaryGroup[], one: boolean) => string;
}

function traitsOf(demand: Demand): Trait[] {
  const { area, location } = demand;
  const traits: Trait[] = [];
  if (demand.architectures.length > 0) {
    const wanted = demand.architectures.join(' or ');
    traits.push({
      kind: 'architecture',
      term: `architecture ${wanted}`,
      answer: (group) => architectureAnswer(demand, group),
      detail: (groups, one) =>
        `${one ? 'not' : 'no node'} of architecture ${wanted} (has ${listOf(groups.map((group) => group.architecture))})`,
    });
  }
  traits.push({
    kind: 'runtime',
    term: `runtime ${demand.runtime}`,
    answer: (group) => runtimeAnswer(demand, group),
    detail: (groups, one) =>
      `${one ? 'lacks' : 'no node has'} runtime ${demand.runtime} (has ${listOf(groups.flatMap((group) => group.runtimes))})`,
  });
  for (const [key, value] of demand.labels)
    traits.push({
      kind: 'labels',
      term: `label ${key}=${value}`,
      answer: (group) => labelAnswer(group, key, value),
      detail: (groups, one) => {
        const others = groups.flatMap((group) => (Object.hasOwn(group.labels, key) ? (group.labels[key] ?? []) : []));
        return `${one ? 'lacks' : 'no node with'} label ${key}=${value}${others.length > 0 ? ` (has ${listOf(others)})` : ''}`;
      },
    });
  if (location !== null)
    traits.push({
      kind: 'location',
      term: `location ${location}`,
      answer: (group) => locationAnswer(location, group),
      detail: (_groups, one) => `${one ? 'not' : 'no node'} in location ${location}`,
    });
  if (area !== null) {
    const circle = `within ${distanceText(area.radiusKm)} of ${area.center.latitude},${area.center.longitude}`;
    traits.push({
      kind: 'area',
      term: circle,
      answer: (group) => areaAnswer(demand, group),
      detail: (groups) => {
        const nearestKm = Math.min(
          ...groups.map(({ position, radiusKm }) =>
            position ? Math.max(0, distanceKm(area.center, position) - radiusKm) : Number.POSITIVE_INFINITY,
          ),
        );
        return `not ${circle} (${Number.isFinite(nearestKm) ? `nearest ${distanceText(nearestKm)}` : 'position unknown'})`;
      },
    });
  }
  return traits;
}

function listOf(names: readonly string[]): string {
  const distinct = [...new Set(names)].filter((name) => name !== UNCLEAR).sort();
  if (distinct.length === 0) return 'none';
  return distinct.length <= 5 ? distinct.join(', ') : `${distinct.slice(0, 5).join(', ')} and ${distinct.length - 5} more`;
}
