/** What a parent has given to a child, taken off the child's summary until the child's own report shows it. */
import type { FreePoint, ResourceVector, Summary, SummaryGroup } from '../model/summary.ts';
import { dominates, fits, subtract, tightness } from './vectors.ts';

/** The point of `group` that `need` fits most tightly, -1 if none. */
export function tightestPoint(group: SummaryGroup, need: ResourceVector): number {
  let tightest = -1;
  let best = -1;
  for (const [index, { free }] of group.points.entries()) {
    if (!fits(need, free)) continue;
    const score = tightness(need, free);
    if (score > best) {
      best = score;
      tightest = index;
    }
  }
  return tightest;
}

/**
 * The summary with `need` taken off one node: of the groups that `mayHold` accepts (of all, if it accepts
 * none), the node that it fits most tightly. When it fits nowhere, which says that the child has less than
 * was thought, a node that has most goes down to what is left, zero at least. Shares all else with `summary`.
 */
export function reserve(summary: Summary, need: ResourceVector, mayHold: (group: SummaryGroup) => boolean = () => true): Summary {
  const free = subtract(summary.free, need);
  const accepted = summary.groups.filter((group) => mayHold(group));
  const choice = choosePoint(accepted.length > 0 ? accepted : summary.groups, need);
  if (!choice) return { ...summary, free };
  const groups = summary.groups.map((group) => (group === choice.group ? takeOff(group, choice.point, need) : group));
  return { ...summary, free, groups };
}

function choosePoint(groups: readonly SummaryGroup[], need: ResourceVector): { group: SummaryGroup; point: number } | null {
  let tightest: { group: SummaryGroup; point: number } | null = null;
  let best = -1;
  let biggest: { group: SummaryGroup; point: number; free: ResourceVector } | null = null;
  for (const group of groups) {
    const point = tightestPoint(group, need);
    const fitting = group.points[point];
    const score = fitting ? tightness(need, fitting.free) : -1;
    if (fitting && score > best) {
      best = score;
      tightest = { group, point };
    }
    const first = group.points[0];
    if (first && (!biggest || dominates(first.free, biggest.free))) biggest = { group, point: 0, free: first.free };
  }
  return tightest ?? biggest;
}

function takeOff(group: SummaryGroup, index: number, need: ResourceVector): SummaryGroup {
  const points: FreePoint[] = [];
  for (const [at, point] of group.points.entries()) {
    if (at !== index) {
      points.push(point);
      continue;
    }
    if (point.count > 1) points.push({ free: point.free, count: point.count - 1 });
    points.push({ free: subtract(point.free, need), count: 1 });
  }
  return { ...group, points };
}
