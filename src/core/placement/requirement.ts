/** What is to be placed, as the user wrote it and as the filter reads it, and among whom. */
import { canonicalArchitecture } from '../capacity/architecture.ts';
import type { Point } from '../capacity/geo.ts';
import { requirementOf } from '../capacity/vectors.ts';
import type { RuntimeName, ServiceSpec } from '../model/service.ts';
import type { ResourceVector, Summary } from '../model/summary.ts';

export interface Requirement {
  readonly spec: ServiceSpec;
  /**
   * Settles ties between equally good candidates, by hash: an instance's id spreads instances over equals.
   * A hash and not a random number, so that whoever decides again on the same facts, be it after a crash,
   * on another replica or in a replay, decides the same.
   */
  readonly tieBreaker: string;
  /** Children to avoid, each with the reason, which is shown as it is: they refused, they are being left ... */
  readonly exclude?: ReadonlyMap<string, string> | undefined;
  /**
   * The names of the cluster that places and of the clusters around it, as far as it knows them: a
   * requirement for one of these is met by every child. Empty at the root.
   */
  readonly inside?: readonly string[] | undefined;
}

export interface Candidate {
  readonly name: string;
  readonly kind: 'node' | 'cluster';
  /** Less what was given to it since it last reported: see `reserve` and `reserveFor`. */
  readonly summary: Summary;
  readonly connected: boolean;
  readonly cordoned: boolean;
  /** Instances of the same service that it has already. */
  readonly instancesOfService: number;
  /** On a node: the fixed ports that are taken, as `tcp/8080`. */
  readonly usedHostPorts?: ReadonlySet<string> | undefined;
}

/** A requirement made ready for reading ten thousand times. */
export interface Demand {
  readonly need: ResourceVector;
  readonly runtime: RuntimeName;
  /** Canonical names; empty accepts all. */
  readonly architectures: readonly string[];
  readonly labels: readonly (readonly [key: string, value: string])[];
  readonly area: { readonly center: Point; readonly radiusKm: number } | null;
  /** Where `nearest` measures from. */
  readonly near: Point | null;
  /** In lower case; null as well when all children are in it. */
  readonly location: string | null;
  /** Null as well when all children are in it. */
  readonly cluster: string | null;
  readonly node: string | null;
  /** As `tcp/8080`. */
  readonly hostPorts: readonly string[];
  readonly exclude: ReadonlyMap<string, string>;
  readonly tieBreaker: string;
}

export function demandOf(requirement: Requirement): Demand {
  const { spec, inside = [] } = requirement;
  const { placement } = spec;
  const area = placement.area ?? null;
  const center = area && { latitude: area.latitude, longitude: area.longitude };
  const location = placement.location?.toLowerCase() ?? null;
  const cluster = placement.cluster ?? null;
  return {
    need: requirementOf(spec),
    runtime: spec.runtime,
    architectures: placement.architecture.map(canonicalArchitecture),
    labels: Object.entries(placement.labels),
    area: area && center && { center, radiusKm: area.radiusKm },
    near: placement.near ?? center,
    location: location !== null && inside.some((name) => name.toLowerCase() === location) ? null : location,
    cluster: cluster !== null && inside.includes(cluster) ? null : cluster,
    node: placement.node ?? null,
    hostPorts: spec.ports.flatMap(({ protocol, hostPort }) => (hostPort === undefined ? [] : [`${protocol}/${hostPort}`])),
    exclude: requirement.exclude ?? new Map(),
    tieBreaker: requirement.tieBreaker,
  };
}
