/** Amounts of resources and distances, as a person reads them in the reason for a refusal. */
import type { ResourceVector } from '../model/summary.ts';

type Resource = keyof ResourceVector;
const RESOURCES: readonly Resource[] = ['cpuMilli', 'memoryBytes', 'diskBytes'];

/**
 * What of `need` none of `room` has: `needs 2 cores, at most 1.5 free on any node`. With `ever`, `room` is what
 * there is with nothing running. `room` must be of at least one node, and `need` fit none of it.
 */
export function lacking(
  need: ResourceVector,
  room: readonly ResourceVector[],
  when: 'free' | 'ever',
  where: 'here' | 'any node' | 'any matching node',
): string {
  const short: string[] = [];
  for (const resource of RESOURCES) {
    const most = Math.max(0, ...room.map((free) => free[resource]));
    if (need[resource] > most) short.push(shortOf(resource, need[resource], most, when, where));
  }
  if (short.length > 0) return short.join('; ');
  const all = RESOURCES.filter((resource) => need[resource] > 0).map((resource) => amount(resource, need[resource]));
  return `no single ${where === 'any matching node' ? 'matching ' : ''}node has ${all.join(' and ')} ${when === 'free' ? 'free' : 'at all'}`;
}

function shortOf(resource: Resource, need: number, most: number, when: 'free' | 'ever', where: string): string {
  const wanted = amount(resource, need);
  let has = bare(resource, most);
  // So near that rounding hides the difference: then to the byte.
  if (has === bare(resource, need)) has = `${most} bytes`;
  if (where === 'here') return when === 'free' ? `needs ${wanted}, ${has} free` : `needs ${wanted}, has ${has}`;
  return `needs ${wanted}, at most ${has} ${when === 'free' ? 'free ' : ''}on ${where}`;
}

function amount(resource: Resource, value: number): string {
  if (resource === 'cpuMilli') return `${bare(resource, value)} ${value === 1000 ? 'core' : 'cores'}`;
  return `${bare(resource, value)} of ${resource === 'memoryBytes' ? 'memory' : 'disk'}`;
}

function bare(resource: Resource, value: number): string {
  return resource === 'cpuMilli' ? String(value / 1000) : bytesText(value);
}

/** With three digits, in the unit that suits. */
function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < 5) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))}${['B', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'][unit]}`;
}

export function distanceText(km: number): string {
  if (km < 1) return `${Math.round(km * 1000)} m`;
  return `${km < 10 ? Math.round(km * 10) / 10 : Math.round(km)} km`;
}
