/**
 * The histogram of what nodes still have free: `count` nodes with at least `free` each.
 *
 * Invariants, whatever is given up to stay within a limit:
 *  H1. The counts sum up to the number of nodes.
 *  H2. No point promises more than each of its nodes has: amounts are rounded down, never up.
 *  H3. Per resource, the node with the most of it keeps its point exactly, and so does a node that has at
 *      least as much of everything as any other.
 *  H4. A requirement fits some node if and only if it fits a point that no other dominates. While there are
 *      no more than half the limit of those, they are kept exactly: then rounding hides no fit.
 */
import { type FreePoint, type ResourceVector, SUMMARY_MAX } from '../model/summary.ts';
import { dominates, largestOf, ZERO } from './vectors.ts';

/** All the points as one histogram, equal ones counted together, in any order. */
export function mergePoints(lists: Iterable<readonly FreePoint[]>): FreePoint[] {
  const merged = new Map<string, { free: ResourceVector; count: number }>();
  for (const list of lists)
    for (const { free, count } of list) {
      const key = `${free.cpuMilli}/${free.memoryBytes}/${free.diskBytes}`;
      const known = merged.get(key);
      if (known) known.count = Math.min(known.count + count, SUMMARY_MAX.nodes);
      else merged.set(key, { free, count });
    }
  return [...merged.values()];
}

/** At most `limit` points (at least 8), biggest first; see the invariants above. */
export function limitPoints(points: readonly FreePoint[], limit: number): FreePoint[] {
  const sorted = biggestFirst(points);
  if (sorted.length <= limit) return sorted;
  const exact = keptExactly(sorted, Math.floor(limit / 2));
  const others = sorted.filter((point) => !exact.has(point));
  for (let coarseness = 0; ; coarseness += 1) {
    const rounded = mergePoints([[...exact], others.map(({ free, count }) => ({ free: roundDown(free, coarseness), count }))]);
    if (rounded.length <= limit) return biggestFirst(rounded);
  }
}

function biggestFirst(points: readonly FreePoint[]): FreePoint[] {
  let most = ZERO;
  for (const { free } of points) most = largestOf(most, free);
  const sizeOf = ({ free }: FreePoint): number =>
    free.cpuMilli / (most.cpuMilli || 1) + free.memoryBytes / (most.memoryBytes || 1) + free.diskBytes / (most.diskBytes || 1);
  return points
    .map((point) => ({ point, size: sizeOf(point) }))
    .sort((a, b) => b.size - a.size || lexicographic(b.point.free, a.point.free))
    .map(({ point }) => point);
}

function lexicographic(a: ResourceVector, b: ResourceVector): number {
  return a.cpuMilli - b.cpuMilli || a.memoryBytes - b.memoryBytes || a.diskBytes - b.diskBytes;
}

/** The champions of H3, then as many of the undominated of H4 as there is room for. */
function keptExactly(sorted: readonly FreePoint[], room: number): Set<FreePoint> {
  const kept = new Set<FreePoint>();
  for (const resource of ['cpuMilli', 'memoryBytes', 'diskBytes'] as const) {
    let champion: FreePoint | undefined;
    for (const point of sorted) if (!champion || point.free[resource] > champion.free[resource]) champion = point;
    if (champion) kept.add(champion);
  }
  // Whoever dominates a point is bigger, so it stands before it; equal sizes stand in lexicographic order.
  const undominated: FreePoint[] = [];
  for (const point of sorted) {
    if (kept.size >= room) break;
    if (undominated.some((bigger) => dominates(bigger.free, point.free))) continue;
    undominated.push(point);
    kept.add(point);
  }
  return kept;
}

function roundDown(free: ResourceVector, coarseness: number): ResourceVector {
  return {
    cpuMilli: roundAmountDown(free.cpuMilli, coarseness),
    memoryBytes: roundAmountDown(free.memoryBytes, coarseness),
    diskBytes: roundAmountDown(free.diskBytes, coarseness),
  };
}

/** To 4, 3, 2, 1 significant bits, then to powers of 4, 16, 256, 65,536, at last to nothing. */
function roundAmountDown(amount: number, coarseness: number): number {
  if (amount < 1 || coarseness > 7) return 0;
  let exponent = Math.floor(Math.log2(amount));
  if (2 ** exponent > amount) exponent -= 1;
  if (coarseness <= 3) {
    const step = 2 ** Math.max(0, exponent - 3 + coarseness);
    return Math.floor(amount / step) * step;
  }
  return 2 ** (exponent - (exponent % 2 ** (coarseness - 3)));
}
