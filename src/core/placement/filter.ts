/**
 * The filter: which candidates can take a demand. One group of like nodes must meet all of it: a cluster
 * with the architecture on one node and the memory on another can run nothing that needs both.
 *
 * An answer is yes, no or maybe. Maybe is what a summary that gave up detail cannot decide, or what only the
 * child can see (a node by name, deep inside). A maybe is worth asking: the child may refuse.
 */
import { distanceKm, leastDistanceKm } from '../capacity/geo.ts';
import { fits } from '../capacity/vectors.ts';
import { type Summary, type SummaryGroup, UNCLEAR } from '../model/summary.ts';
import type { Candidate, Demand } from './requirement.ts';

export const NO = 0;
export const MAYBE = 1;
export const YES = 2;
export type Answer = typeof NO | typeof MAYBE | typeof YES;

/** What of a candidate can take the demand. */
export interface Fit {
  /** Whether nothing but a change since its last report can make it refuse. */
  readonly certain: boolean;
  /** The groups with room; only those that certainly do, if there are any. */
  readonly groups: readonly SummaryGroup[];
}

export function architectureAnswer(demand: Demand, group: SummaryGroup): Answer {
  if (demand.architectures.length === 0 || demand.architectures.includes(group.architecture)) return YES;
  return group.architecture === UNCLEAR ? MAYBE : NO;
}

export function runtimeAnswer(demand: Demand, group: SummaryGroup): Answer {
  if (!group.runtimes.includes(demand.runtime)) return NO;
  return group.runtimes[0] === UNCLEAR || group.runtimes.includes(UNCLEAR) ? MAYBE : YES;
}

export function labelAnswer(group: SummaryGroup, key: string, value: string): Answer {
  const actual = group.labels[key];
  if (actual === value) return YES;
  // Not `!== undefined`: "constructor" is a legal key, and every object inherits something of that name.
  if (typeof actual === 'string' || group.unclearLabels.length === 0) return NO;
  return group.unclearLabels.includes(key) || group.unclearLabels.includes(UNCLEAR) ? MAYBE : NO;
}

export function labelsAnswer(demand: Demand, group: SummaryGroup): Answer {
  let answer: Answer = YES;
  for (const [key, value] of demand.labels) {
    const one = labelAnswer(group, key, value);
    if (one === NO) return NO;
    if (one === MAYBE) answer = MAYBE;
  }
  return answer;
}

/** The name of a child cluster (edgeIO's cluster location) is checked on the candidate, not here. */
export function locationAnswer(location: string, group: SummaryGroup): Answer {
  const actual = group.labels.location;
  if (actual !== undefined) return actual.toLowerCase() === location ? YES : NO;
  return group.unclearLabels.includes('location') || group.unclearLabels.includes(UNCLEAR) ? MAYBE : NO;
}

export function areaAnswer(demand: Demand, group: SummaryGroup): Answer {
  if (demand.area === null) return YES;
  const { position, radiusKm } = group;
  if (position === undefined) return NO;
  const { center } = demand.area;
  if (leastDistanceKm(center, position) > demand.area.radiusKm + radiusKm + 1e-6) return NO;
  const distance = distanceKm(center, position);
  if (distance + radiusKm <= demand.area.radiusKm) return YES;
  return distance - radiusKm <= demand.area.radiusKm ? MAYBE : NO;
}

/** What the nodes of `group` are, their free resources aside. `location` is null where the candidate meets it by name. */
export function groupAnswer(demand: Demand, location: string | null, group: SummaryGroup): Answer {
  const architecture = architectureAnswer(demand, group);
  if (architecture === NO) return NO;
  const runtime = runtimeAnswer(demand, group);
  if (runtime === NO) return NO;
  const labels = labelsAnswer(demand, group);
  if (labels === NO) return NO;
  const place = location === null ? YES : locationAnswer(location, group);
  if (place === NO) return NO;
  const area = areaAnswer(demand, group);
  if (area === NO) return NO;
  return architecture === MAYBE || runtime === MAYBE || labels === MAYBE || place === MAYBE || area === MAYBE ? MAYBE : YES;
}

/** The demanded location as far as the candidate's own name does not settle it. */
export function openLocation(demand: Demand, candidate: Pick<Candidate, 'name' | 'kind'>): string | null {
  const { location } = demand;
  return location !== null && candidate.kind === 'cluster' && candidate.name.toLowerCase() === location ? null : location;
}

/** Whether the candidate is, or has, what the demand names: the exact cluster and node. */
export function nameAnswer(demand: Demand, { name, kind, summary }: Pick<Candidate, 'name' | 'kind' | 'summary'>): Answer {
  if (demand.cluster !== null && (kind === 'node' || name !== demand.cluster)) return NO;
  if (demand.node === null) return YES;
  if (kind === 'node') return name === demand.node ? YES : NO;
  if (summary.nodeNames.includes(demand.node)) return summary.nodes === 1 ? YES : MAYBE;
  return summary.namesComplete ? NO : MAYBE;
}

export function hasRoom(demand: Demand, group: SummaryGroup): boolean {
  for (const point of group.points) if (fits(demand.need, point.free)) return true;
  return false;
}

/** Whether the candidate takes anything at all at the moment, and this. */
export function isOpen(demand: Demand, candidate: Candidate): boolean {
  if (!candidate.connected || candidate.cordoned) return false;
  if (demand.exclude.size > 0 && demand.exclude.has(candidate.name)) return false;
  return demand.hostPorts.length === 0 || takenPort(demand, candidate) === undefined;
}

/** In a cluster, a port that is taken on one node may be free on another: only the cluster knows. */
export function takenPort(demand: Demand, candidate: Candidate): string | undefined {
  if (candidate.kind === 'cluster') return undefined;
  return demand.hostPorts.find((port) => candidate.usedHostPorts?.has(port) === true);
}

/** What of the candidate can take the demand; null when nothing can (an explainer says why). */
export function fitOf(demand: Demand, candidate: Candidate, summary: Summary = candidate.summary): Fit | null {
  if (!isOpen(demand, candidate)) return null;
  const named = nameAnswer(demand, candidate);
  if (named === NO) return null;
  const location = openLocation(demand, candidate);
  const certain: SummaryGroup[] = [];
  const possible: SummaryGroup[] = [];
  for (const group of summary.groups) {
    if (!hasRoom(demand, group)) continue;
    const answer = groupAnswer(demand, location, group);
    if (answer === YES) certain.push(group);
    else if (answer === MAYBE) possible.push(group);
  }
  if (certain.length > 0) return { certain: named === YES, groups: certain };
  return possible.length > 0 ? { certain: false, groups: possible } : null;
}
