/**
 * Groups of like nodes, and what is given up when there are too many kinds to tell apart. In the spirit of
 * VineIO's capacity grids (section 3.1.2): neighbours share a cell, and the cells grow with the area that a
 * summary covers. Here what nodes can do is kept apart first, and where exactly they stand is given up first.
 *
 * Invariants:
 *  G1. No node is lost: the counts of all points stay the same in sum.
 *  G2. A requirement that a node meets is at least a maybe for the group it came to be in: labels,
 *      architecture and runtimes become UNCLEAR, and circles grow. Resources are promised by points only.
 *  G3. Grouping again, alone or together with more, tells no more apart and gives nothing else up.
 */
import { limits } from '../base/limits.ts';
import { type SummaryGroup, UNCLEAR } from '../model/summary.ts';
import { cellOf, enclose } from './geo.ts';
import { mergePoints } from './points.ts';
import { largestOf, ZERO } from './vectors.ts';

/** Cells of 360 / 2^16 degrees, some 600 m: a site. Then some 10, 80 and 600 km, then the globe. */
const CELL_BITS = { site: 16, town: 12, district: 9, country: 6, globe: 0 } as const;

/** Gathers like nodes. At most `limit` groups come out (two, if need be: with and without a position). */
export function gather(members: readonly SummaryGroup[], limit: number): SummaryGroup[] {
  let groups = combineLike(members, CELL_BITS.site);
  for (const coarser of steps(limit)) {
    if (groups.length <= limit) break;
    groups = coarser(groups);
  }
  return groups.sort((a, b) => compareText(keyOf(a, CELL_BITS.site), keyOf(b, CELL_BITS.site)));
}

/**
 * In this order: a label with very many values (a host name, a serial number) tells single nodes apart, for
 * which there are the names of nodes, and would cost every other detail if it were kept.
 */
function steps(limit: number): ((groups: SummaryGroup[]) => SummaryGroup[])[] {
  const cells = (bits: number) => (groups: SummaryGroup[]) => combineLike(groups, bits);
  return [
    cells(CELL_BITS.town),
    (groups) => combineLike(blurLabels(groups, keysByVariety(groups, limit / 4)), CELL_BITS.town),
    cells(CELL_BITS.district),
    cells(CELL_BITS.country),
    (groups) => giveUpLabels(groups, CELL_BITS.country, limit),
    cells(CELL_BITS.globe),
    (groups) => combineLike(blurRuntimes(groups), CELL_BITS.globe),
    (groups) =>
      combineLike(
        groups.map((group) => ({ ...group, architecture: UNCLEAR })),
        CELL_BITS.globe,
      ),
  ];
}

/** The labels in which groups differ, those with the most values first, twice as many each time. */
function giveUpLabels(groups: SummaryGroup[], cellBits: number, limit: number): SummaryGroup[] {
  const keys = keysByVariety(groups, 1);
  let combined = groups;
  for (let count = 1; count < keys.length && combined.length > limit; count *= 2)
    combined = combineLike(blurLabels(combined, keys.slice(0, count)), cellBits);
  if (combined.length <= limit) return combined;
  return combineLike(
    combined.map((group) => ({ ...group, labels: {}, unclearLabels: [UNCLEAR] })),
    cellBits,
  );
}

/** Keys of labels with more than `variety` different values (none and unclear count as values), most first. */
function keysByVariety(groups: readonly SummaryGroup[], variety: number): string[] {
  const values = new Map<string, Set<string>>();
  const carriers = new Map<string, number>();
  const note = (key: string, value: string) => {
    const known = values.get(key);
    if (known) known.add(value);
    else values.set(key, new Set([value]));
    carriers.set(key, (carriers.get(key) ?? 0) + 1);
  };
  for (const group of groups) {
    for (const [key, value] of Object.entries(group.labels)) note(key, `=${value}`);
    for (const key of group.unclearLabels) note(key, UNCLEAR);
  }
  const varietyOf = (key: string) => (values.get(key)?.size ?? 0) + (carriers.get(key) === groups.length ? 0 : 1);
  return [...values.keys()]
    .filter((key) => key !== UNCLEAR && varietyOf(key) > variety)
    .sort((a, b) => varietyOf(b) - varietyOf(a) || compareText(a, b));
}

function blurLabels(groups: readonly SummaryGroup[], keys: readonly string[]): SummaryGroup[] {
  const blurred = new Set(keys);
  return groups.map((group) => {
    const labels = Object.fromEntries(Object.entries(group.labels).filter(([key]) => !blurred.has(key)));
    return { ...group, labels, unclearLabels: unclear([...group.unclearLabels, ...keys]) };
  });
}

function unclear(keys: readonly string[]): string[] {
  const distinct = [...new Set(keys)].sort();
  return distinct.includes(UNCLEAR) || distinct.length > limits.labels ? [UNCLEAR] : distinct;
}

function blurRuntimes(groups: readonly SummaryGroup[]): SummaryGroup[] {
  const all = [...new Set(groups.flatMap((group) => group.runtimes))].filter((name) => name !== UNCLEAR).sort();
  const runtimes = [UNCLEAR, ...all.slice(0, 15)];
  return groups.map((group) => ({ ...group, runtimes }));
}

function combineLike(members: readonly SummaryGroup[], cellBits: number): SummaryGroup[] {
  const like = new Map<string, SummaryGroup[]>();
  for (const member of members) {
    const key = keyOf(member, cellBits);
    const others = like.get(key);
    if (others) others.push(member);
    else like.set(key, [member]);
  }
  return [...like.values()].map(combine);
}

function keyOf(group: SummaryGroup, cellBits: number): string {
  const labels = Object.entries(group.labels).sort(([a], [b]) => compareText(a, b));
  const cell = group.position ? cellOf(group.position, cellBits) : 'nowhere';
  return JSON.stringify([group.architecture, group.runtimes, labels, group.unclearLabels, cell]);
}

function combine(members: readonly SummaryGroup[]): SummaryGroup {
  const [first, ...others] = members as [SummaryGroup, ...SummaryGroup[]];
  if (others.length === 0) return first;
  const circles = members.flatMap(({ position, radiusKm, points }) =>
    position ? [{ position, radiusKm, weight: points.reduce((nodes, { count }) => nodes + count, 0) }] : [],
  );
  return {
    ...first,
    ...(circles.length > 0 ? enclose(circles) : {}),
    largest: members.reduce((largest, member) => largestOf(largest, member.largest), ZERO),
    points: mergePoints(members.map((member) => member.points)),
  };
}

/** By code units: the same order on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
