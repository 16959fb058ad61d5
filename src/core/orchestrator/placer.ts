/**
 * Finds places: turns members and what is observed of them into candidates for core/placement, and keeps
 * account of what has been given away but does not show in the children's summaries yet.
 */
import { must } from '../base/assert.ts';
import { type Result, refused } from '../base/result.ts';
import { mergeSummaries } from '../capacity/summaries.ts';
import type { PlacementPolicyName, ServiceSpec } from '../model/service.ts';
import type { Summary } from '../model/summary.ts';
import type { RefusalView } from '../model/views.ts';
import { couldEver } from '../placement/could-ever.ts';
import { type Placement, place, reserveFor } from '../placement/place.ts';
import type { Candidate, Requirement } from '../placement/requirement.ts';
import type { Link, Observed } from './observed.ts';
import { type Member, type OrchestratorState, type Target, userService } from './state.ts';
import { isSilent } from './views.ts';

export interface PlaceWish {
  readonly service: string;
  readonly instance: string;
  readonly target: Target | null;
  readonly avoid: string | null;
}

/** What one child can take, as known and as given away; good while none of `link.summary`, versions and flags has changed. */
interface Known {
  readonly summary: Summary;
  readonly linkVersion: number;
  readonly memberVersion: number;
  /** Of instances, those that are leaving included: when one is forgotten its host ports are free. */
  readonly instances: number;
  readonly candidate: Omit<Candidate, 'instancesOfService'>;
}

export class Placer {
  readonly #state: OrchestratorState;
  readonly #observed: Observed;
  readonly #defaultPolicy: PlacementPolicyName;
  readonly #known = new Map<string, Known>();
  /** Candidates of this round, by what the user knows as one service. */
  #round = new Map<string, Map<string, Candidate>>();
  /** What this round gave to a child, over what `#known` says. */
  #given = new Map<string, Candidate>();
  #nowMs = 0;

  constructor(state: OrchestratorState, observed: Observed, init: { readonly policy: PlacementPolicyName }) {
    this.#state = state;
    this.#observed = observed;
    this.#defaultPolicy = init.policy;
  }

  beginRound(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#round = new Map();
    this.#given = new Map();
  }

  /** A child for the instance, or why none will do. Within a round each answer counts on those before. */
  findPlace(spec: ServiceSpec, wish: PlaceWish): Result<Placement, readonly RefusalView[]> {
    const candidates = this.#candidatesOf(wish.service);
    const requirement = this.#requirement(spec, wish);
    const placed = place(requirement, [...candidates.values()], spec.placement.policy ?? this.#defaultPolicy);
    if (!placed.ok) return refused(placed.error);
    const { child } = placed.value;
    this.#give(requirement, must(candidates.get(child), `candidate ${child}`), candidates);
    return placed;
  }

  /** Whether any child could run it with nothing else on it; the reasons if not. */
  couldEver(spec: ServiceSpec, nowMs: number): Result<null, readonly RefusalView[]> {
    this.beginRound(nowMs);
    const wish = { service: '', instance: '', target: null, avoid: null };
    return couldEver(this.#requirement(spec, wish), [...this.#candidatesOf('').values()]);
  }

  /** All that may take work, merged: what this orchestrator tells its own parent. */
  summary(nowMs: number): Summary {
    this.beginRound(nowMs);
    const able = [...this.#state.members.values()].flatMap((member) => {
      const candidate = this.#candidate(member);
      return candidate?.connected && !candidate.cordoned ? [candidate.summary] : [];
    });
    return mergeSummaries(able);
  }

  #requirement(spec: ServiceSpec, { instance, target, avoid }: PlaceWish): Requirement {
    const exclude = new Map<string, string>();
    for (const refusal of this.#observed.refusalsOf(instance, this.#nowMs))
      exclude.set(refusal.child, `refused: ${refusal.reason}`);
    if (avoid !== null) exclude.set(avoid, 'it is moved away from here');
    const placement = target
      ? {
          ...spec.placement,
          ...(target.cluster === null ? {} : { cluster: target.cluster }),
          ...(target.node === null ? {} : { node: target.node }),
        }
      : spec.placement;
    return { spec: { ...spec, placement }, tieBreaker: instance, exclude, inside: [this.#state.name] };
  }

  #candidatesOf(serviceKey: string): Map<string, Candidate> {
    const service = this.#state.services.get(serviceKey);
    const alike = service ? userService(service) : '';
    const ready = this.#round.get(alike);
    if (ready) return ready;
    const counts = new Map<string, number>();
    for (const instance of this.#state.instancesAlike(serviceKey)) {
      if (instance.leaving === null && instance.child !== null) counts.set(instance.child, (counts.get(instance.child) ?? 0) + 1);
    }
    const candidates = new Map<string, Candidate>();
    for (const member of this.#state.members.values()) {
      const candidate = this.#given.get(member.record.name) ?? this.#candidate(member);
      if (candidate)
        candidates.set(member.record.name, { ...candidate, instancesOfService: counts.get(member.record.name) ?? 0 });
    }
    this.#round.set(alike, candidates);
    return candidates;
  }

  #give(requirement: Requirement, candidate: Candidate, candidates: Map<string, Candidate>): void {
    const taken = requirement.spec.ports.flatMap((port) =>
      port.hostPort === undefined ? [] : [`${port.protocol}/${port.hostPort}`],
    );
    const usedHostPorts = new Set([...(candidate.usedHostPorts ?? []), ...taken]);
    const after = { ...candidate, summary: reserveFor(requirement, candidate), usedHostPorts };
    this.#given.set(candidate.name, after);
    for (const others of this.#round.values()) {
      const there = others.get(candidate.name);
      if (!there || others === candidates) continue;
      others.set(candidate.name, { ...after, instancesOfService: there.instancesOfService });
    }
    candidates.set(candidate.name, { ...after, instancesOfService: candidate.instancesOfService + 1 });
  }

  #candidate(member: Member): Candidate | null {
    const { name } = member.record;
    const link = this.#observed.links.get(name);
    if (!link?.summary) return null;
    const known = this.#known.get(name);
    const fresh =
      known?.summary === link.summary &&
      known.linkVersion === link.version &&
      known.memberVersion === member.version &&
      known.instances === this.#state.countOn(name)
        ? known
        : this.#learn(member, link, link.summary);
    this.#known.set(name, fresh);
    const connected = link.session !== null && !isSilent(link.lastHeardMs, this.#nowMs);
    return { ...fresh.candidate, connected, cordoned: member.cordoned || member.draining, instancesOfService: 0 };
  }

  #learn(member: Member, link: Link, summary: Summary): Known {
    const { name, kind } = member.record;
    const usedHostPorts = new Set<string>();
    let candidate: Candidate = { name, kind, summary, connected: true, cordoned: false, instancesOfService: 0, usedHostPorts };
    for (const instance of this.#state.instancesOn(name)) {
      const spec = this.#state.specOf(instance);
      for (const port of spec.ports)
        if (kind === 'node' && port.hostPort !== undefined) usedHostPorts.add(`${port.protocol}/${port.hostPort}`);
      const shown = instance.leaving !== null || instance.since <= link.version;
      if (shown) continue;
      candidate = { ...candidate, summary: reserveFor({ spec, tieBreaker: instance.id, inside: [this.#state.name] }, candidate) };
    }
    const instances = this.#state.countOn(name);
    return { summary, linkVersion: link.version, memberVersion: member.version, instances, candidate };
  }
}
