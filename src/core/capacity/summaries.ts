/**
 * The summary of a node, and the merge by which a cluster becomes, to its parent, a node.
 *
 * Merging is associative and commutative: order and nesting do not matter to `nodes`, `total`, `free` (whole
 * numbers, exact up to 2^53) and `nodeNames`. They may matter to the last bits of `load` and of positions,
 * to radii (a circle around circles is never too small, and may be too large), and to what is given up, but
 * only when more kinds of nodes or points meet than the limits allow; what is promised holds in any order
 * (invariants H1 to H4 in points.ts, G1 to G3 in groups.ts).
 *
 * Merge what may take work: a node that is cordoned or cut off has no room to promise.
 */
import { limits } from '../base/limits.ts';
import type { Position } from '../model/service.ts';
import { type ResourceVector, SUMMARY_MAX, type Summary } from '../model/summary.ts';
import { canonicalArchitecture } from './architecture.ts';
import { compareText, gather } from './groups.ts';
import { limitPoints, mergePoints } from './points.ts';
import { add, ZERO } from './vectors.ts';

/** What a node knows of itself. */
export interface NodeCapacity {
  readonly name: string;
  readonly total: ResourceVector;
  /** `total` less what is reserved. */
  readonly free: ResourceVector;
  /** CPU in use, 0 to 1. */
  readonly load: number;
  readonly architecture: string;
  readonly runtimes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly position?: Position | undefined;
}

export function summaryOfNode(node: NodeCapacity): Summary {
  return {
    nodes: 1,
    total: node.total,
    free: node.free,
    load: node.load,
    groups: [
      {
        architecture: canonicalArchitecture(node.architecture),
        runtimes: [...new Set(node.runtimes)].sort(),
        labels: { ...node.labels },
        unclearLabels: [],
        ...(node.position ? { position: node.position } : {}),
        radiusKm: 0,
        largest: node.total,
        points: [{ free: node.free, count: 1 }],
      },
    ],
    nodeNames: [node.name],
    namesComplete: true,
  };
}

/** One summary of all that `summaries` cover; of none, the summary of nothing. */
export function mergeSummaries(summaries: readonly Summary[]): Summary {
  let nodes = 0;
  let total = ZERO;
  let free = ZERO;
  let load = 0;
  let namesComplete = true;
  const names = new Set<string>();
  for (const summary of summaries) {
    nodes = Math.min(nodes + summary.nodes, SUMMARY_MAX.nodes);
    total = limited(add(total, summary.total));
    free = limited(add(free, summary.free));
    load += summary.load * summary.nodes;
    namesComplete &&= summary.namesComplete;
    for (const name of summary.nodeNames) names.add(name);
  }
  const groups = gather(
    summaries.flatMap((summary) => summary.groups),
    limits.summaryGroups,
  );
  return {
    nodes,
    total,
    free,
    load: nodes > 0 ? Math.min(load / nodes, SUMMARY_MAX.load) : 0,
    groups: groups.map((group) => ({ ...group, points: limitPoints(mergePoints([group.points]), limits.summaryPoints) })),
    // The first in the alphabet: the same ones, however the tree is nested.
    nodeNames: [...names].sort(compareText).slice(0, limits.summaryNodes),
    namesComplete: namesComplete && names.size <= limits.summaryNodes,
  };
}

function limited({ cpuMilli, memoryBytes, diskBytes }: ResourceVector): ResourceVector {
  const { amount } = SUMMARY_MAX;
  return {
    cpuMilli: Math.min(cpuMilli, amount),
    memoryBytes: Math.min(memoryBytes, amount),
    diskBytes: Math.min(diskBytes, amount),
  };
}
