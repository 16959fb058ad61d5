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
import { must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { type SummaryGroup, UNCLEAR } from '../model/summary.ts';
import { cellOf, enclose } from './geo.ts';
import { largestOf, ZERO } from './vectors.ts';

/**
 * Cells of 360 / 2^bits degrees. Nodes in one of 16 bits, some 600 m, count as one site from the start; of 12
 * bits, some 10 km, as one town. Then each is twice as wide as the one before, up to the globe.
 */
const SITE = 16;
const TOWN = 12;
const REGION = 6;
const GLOBE = 0;

/** A group with the key of all that it is, apart from where: built once, compared at every width of cells. */
interface Member {
  readonly group: SummaryGroup;
  readonly nature: string;
  /** The sum of the group's counts. */
  readonly nodes: number;
}

/**
 * Gathers like nodes. At most `limit` groups come out (two, if need be: with and without a position). Their
 * points are put side by side; counting equal ones together is left to `mergePoints`.
 */
export function gather(groups: readonly SummaryGroup[], limit: number): SummaryGroup[] {
  let members = combineLike(groups.map(memberOf), SITE);
  for (const coarser of steps(limit)) {
    if (members.length <= limit) break;
    members = coarser(members);
  }
  return members
    .sort((a, b) => compareText(a.nature, b.nature) || compareText(cellKey(a, SITE), cellKey(b, SITE)))
    .map(({ group }) => group);
}

/**
 * In this order: a label with very many values (a host name, a serial number) tells single nodes apart, for
 * which there are the names of nodes, and would cost every other detail if it were kept.
 */
function steps(limit: number): ((members: readonly Member[]) => Member[])[] {
  const cells = (from: number, to: number) => (members: readonly Member[]) => {
    let combined = combineLike(members, from);
    for (let bits = from - 1; bits >= to && combined.length > limit; bits -= 1) combined = combineLike(combined, bits);
    return combined;
  };
  return [
    cells(TOWN, TOWN),
    (members) => giveUpLabels(members, TOWN, limit, limit / 4),
    cells(TOWN - 1, REGION),
    (members) => giveUpLabels(members, REGION, limit, 1),
    (members) => change(members, REGION, (group) => ({ ...group, labels: {}, unclearLabels: [UNCLEAR] })),
    cells(REGION - 1, GLOBE),
    (members) => {
      const runtimes = runtimesOf(members);
      return change(members, GLOBE, (group) => ({ ...group, runtimes }));
    },
    (members) => change(members, GLOBE, (group) => ({ ...group, architecture: UNCLEAR })),
  ];
}

/** The labels with more than `variety` values, those with the most first, twice as many each time. */
function giveUpLabels(members: readonly Member[], cellBits: number, limit: number, variety: number): Member[] {
  const keys = keysByVariety(members, variety);
  let combined = [...members];
  for (let given = 0; given < keys.length && combined.length > limit; ) {
    given = Math.min(keys.length, Math.max(1, given * 2));
    const blurred = new Set(keys.slice(0, given));
    combined = change(combined, cellBits, (group) => blurLabels(group, blurred));
  }
  return combined;
}

/** Keys of labels with more than `variety` different values (none and unclear count as values), most first. */
function keysByVariety(members: readonly Member[], variety: number): string[] {
  const values = new Map<string, Set<string>>();
  const carriers = new Map<string, number>();
  const note = (key: string, value: string) => {
    const known = values.get(key);
    if (known) known.add(value);
    else values.set(key, new Set([value]));
    carriers.set(key, (carriers.get(key) ?? 0) + 1);
  };
  for (const { group } of members) {
    for (const [key, value] of Object.entries(group.labels)) note(key, `=${value}`);
    for (const key of group.unclearLabels) note(key, UNCLEAR);
  }
  const varietyOf = (key: string) => (values.get(key)?.size ?? 0) + (carriers.get(key) === members.length ? 0 : 1);
  return [...values.keys()]
    .filter((key) => key !== UNCLEAR && varietyOf(key) > variety)
    .sort((a, b) => varietyOf(b) - varietyOf(a) || compareText(a, b));
}

function blurLabels(group: SummaryGroup, keys: ReadonlySet<string>): SummaryGroup {
  const labels = Object.fromEntries(Object.entries(group.labels).filter(([key]) => !keys.has(key)));
  const distinct = [...new Set([...group.unclearLabels, ...keys])].sort();
  const all = distinct.includes(UNCLEAR) || distinct.length > limits.labels;
  return { ...group, labels, unclearLabels: all ? [UNCLEAR] : distinct };
}

function runtimesOf(members: readonly Member[]): string[] {
  const all = new Set(members.flatMap(({ group }) => group.runtimes));
  all.delete(UNCLEAR);
  return [UNCLEAR, ...[...all].sort().slice(0, 15)];
}

/** Makes each group what `to` says, and combines those that are alike now. */
function change(members: readonly Member[], cellBits: number, to: (group: SummaryGroup) => SummaryGroup): Member[] {
  return combineLike(
    members.map(({ group }) => memberOf(to(group))),
    cellBits,
  );
}

function combineLike(members: readonly Member[], cellBits: number): Member[] {
  // Two levels of keys: the long half is hashed once in a member's life, not again for every width of cells.
  const alike = new Map<string, Map<string, Member[]>>();
  for (const member of members) {
    const cells = alike.get(member.nature) ?? new Map<string, Member[]>();
    alike.set(member.nature, cells);
    const cell = cellKey(member, cellBits);
    const others = cells.get(cell);
    if (others) others.push(member);
    else cells.set(cell, [member]);
  }
  return [...alike.values()].flatMap((cells) => [...cells.values()].map(combine));
}

function memberOf(group: SummaryGroup): Member {
  const labels = Object.keys(group.labels).sort();
  const values = labels.map((key) => group.labels[key]);
  const nature = JSON.stringify([group.architecture, group.runtimes, labels, values, group.unclearLabels]);
  return { group, nature, nodes: group.points.reduce((nodes, { count }) => nodes + count, 0) };
}

function cellKey({ group }: Member, cellBits: number): string {
  return group.position ? cellOf(group.position, cellBits) : '';
}

function combine(members: readonly Member[]): Member {
  const first = must(members[0], 'a member');
  if (members.length === 1) return first;
  const circles = members.flatMap(({ group: { position, radiusKm }, nodes }) =>
    position ? [{ position, radiusKm, weight: nodes }] : [],
  );
  const group = {
    ...first.group,
    ...(circles.length > 0 ? enclose(circles) : {}),
    largest: members.reduce((largest, { group }) => largestOf(largest, group.largest), ZERO),
    points: members.flatMap(({ group }) => group.points),
  };
  return { group, nature: first.nature, nodes: members.reduce((nodes, member) => nodes + member.nodes, 0) };
}

/** By code units: the same order on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
