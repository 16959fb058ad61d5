/**
 * How candidates that passed the filter are ranked: a policy gives each a score, higher is better. Adding one
 * is adding a line to the table below.
 */
import { distanceKm, HALF_WAY_ROUND_KM } from '../capacity/geo.ts';
import { busyFraction } from '../capacity/load.ts';
import { tightestPoint } from '../capacity/reserve.ts';
import { tightness } from '../capacity/vectors.ts';
import type { PlacementPolicyName } from '../model/service.ts';
import type { Summary, SummaryGroup } from '../model/summary.ts';
import type { Demand } from './requirement.ts';

/** What a policy sees of a candidate. */
export interface Contender {
  readonly summary: Summary;
  /** The groups that have room for the demand. */
  readonly groups: readonly SummaryGroup[];
  readonly instancesOfService: number;
}

export interface Policy {
  readonly score: (demand: Demand, contender: Contender) => number;
  /** Who comes first of those with the same score: by name, or by the hash that spreads equals. */
  readonly ties: 'name' | 'hash';
}

export const POLICIES: Readonly<Record<PlacementPolicyName, Policy>> = {
  /** The first that has enough capacity (edgeIO, section 4.7), in the order of names. */
  'first-fit': { score: () => 0, ties: 'name' },
  /** The lowest load (Messina, section 4), measured and reserved. */
  'least-loaded': { score: idleness, ties: 'hash' },
  /** Where the least of what is free on a node stays free: large gaps are kept for large services. */
  'best-fit': { score: bestTightness, ties: 'hash' },
  /** The fewest instances of the same service, so that one loss takes few of them; then the least loaded. */
  spread: { score: (demand, contender) => idleness(demand, contender) - contender.instancesOfService, ties: 'hash' },
  /** The shortest way to the place it serves; within the same hundred metres the least loaded. */
  nearest: { score: nearness, ties: 'hash' },
};

function idleness(demand: Demand, { summary }: Contender): number {
  return 1 - busyFraction(summary, demand.need);
}

function bestTightness(demand: Demand, { groups }: Contender): number {
  let best = 0;
  for (const group of groups) {
    const point = group.points[tightestPoint(group, demand.need)];
    if (point) best = Math.max(best, tightness(demand.need, point.free));
  }
  return best;
}

const SAME_PLACE_KM = 0.1;

/** Minus the kilometres to the nearest group; who is nowhere is farthest. Without a place to be near, all are equally near. */
function nearness(demand: Demand, contender: Contender): number {
  const { near } = demand;
  let nearestKm = near === null ? 0 : HALF_WAY_ROUND_KM;
  if (near !== null)
    for (const { position } of contender.groups) if (position) nearestKm = Math.min(nearestKm, distanceKm(near, position));
  return SAME_PLACE_KM * (idleness(demand, contender) - Math.round(nearestKm / SAME_PLACE_KM));
}
