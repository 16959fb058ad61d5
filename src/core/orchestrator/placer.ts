/**
 * Finds places: turns members and what is observed of them into candidates for core/placement, and keeps
 * account of what has been given away but does not show in the children's summaries yet.
 *
 * Candidates and their rankings live on from round to round: a round brings up to date what has changed since the
 * last one, and instances with the same demand share one ranking.
 *
 * Invariants:
 *  F1. The first placement of a round sees every candidate as it is now, without what an earlier round gave that was not committed.
 *  F2. Whoever decides on the same facts decides the same: ties are settled by the demand, not by what was ranked before.
 */
import { must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { ok, type Result, refused } from '../base/result.ts';
import { mergeSummaries } from '../capacity/summaries.ts';
import type { Seen } from '../model/decisions.ts';
import type { PlacementPolicyName, ServiceSpec } from '../model/service.ts';
import type { Summary } from '../model/summary.ts';
import type { RefusalView } from '../model/views.ts';
import { couldEver } from '../placement/could-ever.ts';
import { refusalsOf, reserveDemand } from '../placement/place.ts';
import { Ranking } from '../placement/ranking.ts';
import { type Candidate, type Demand, demandOf, type Requirement } from '../placement/requirement.ts';
import type { Link, Observed } from './observed.ts';
import { type InstanceRecord, type Member, type OrchestratorState, type Target, userService } from './state.ts';
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

interface Ranked {
  readonly ranking: Ranking;
  /** How many of the changes it has taken in. */
  changes: number;
}

/** What a spec asks for, made ready once. */
interface Demanded {
  readonly policy: PlacementPolicyName;
  /** The same for all who ask for the same. */
  readonly text: string;
  readonly demand: Demand;
}

interface Found {
  readonly child: string;
  readonly seen: Seen;
}

const NOBODY: ReadonlyMap<string, string> = new Map();

export class Placer {
  readonly #state: OrchestratorState;
  readonly #observed: Observed;
  readonly #defaultPolicy: PlacementPolicyName;
  readonly #known = new Map<string, Known>();
  readonly #demands = new WeakMap<ServiceSpec, Demanded>();
  /** Each less what this round gave to it. `instancesOfService` is 0 here. */
  readonly #candidates = new Map<string, Candidate>();
  /** Children whose candidate has changed, in order; a ranking takes in those that it has not. */
  #changes: string[] = [];
  /** By demand, policy and, where the service has one of its own, service; the one used last comes last. */
  readonly #rankings = new Map<string, Ranked>();
  /** Keys of the rankings that are of one service, for this round only. */
  readonly #own = new Set<string>();
  /** Children that were given something which may not be committed. */
  readonly #given = new Set<string>();
  /** Instances on each child, by what the user knows as one service; for policies that ask. */
  readonly #counts = new Map<string, Map<string, number>>();
  /** What judging counted children one by one has cost this round, by the same. */
  readonly #spent = new Map<string, number>();
  /** Why nobody could, by demand, until something changes. */
  readonly #refusals = new Map<string, { readonly changes: number; readonly refusals: readonly RefusalView[] }>();
  #fresh = false;
  #nowMs = 0;

  constructor(state: OrchestratorState, observed: Observed, init: { readonly policy: PlacementPolicyName }) {
    this.#state = state;
    this.#observed = observed;
    this.#defaultPolicy = init.policy;
  }

  beginRound(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#fresh = false;
    this.#counts.clear();
    this.#spent.clear();
    this.#dropOwnRankings();
  }

  /** A child for the instance, or why none will do. Within a round each answer counts on those before. */
  findPlace(spec: ServiceSpec, wish: PlaceWish): Result<Found, readonly RefusalView[]> {
    this.#refresh();
    const exclude = this.#excludedFor(wish);
    const { policy, text, demand } = this.#demandFor(spec, wish.target);
    const counts = policy === 'spread' ? this.#countsOf(wish.service) : undefined;
    const own = counts && this.#deservesOwn(wish.service, counts);
    const ownKey = `${text} ${this.#alike(wish.service)}`;
    if (own) this.#own.add(ownKey);
    const ranking = own ? this.#rankingOf(ownKey, demand, policy, counts) : this.#rankingOf(text, demand, policy);
    const found = ranking.best({ counts: own ? undefined : counts, exclude });
    if (!found) return refused(this.#whyNot(text, { ...demand, exclude }));
    this.#give(demand, must(this.#candidates.get(found.child), `candidate ${found.child}`), found.left);
    counts?.set(found.child, (counts.get(found.child) ?? 0) + 1);
    return ok({ child: found.child, seen: found.seen });
  }

  /** Whether any child could run it with nothing else on it; the reasons if not. */
  couldEver(spec: ServiceSpec, nowMs: number): Result<null, readonly RefusalView[]> {
    this.beginRound(nowMs);
    this.#refresh();
    return couldEver(this.#requirement(spec, null), [...this.#candidates.values()]);
  }

  /** All that may take work, merged: what this orchestrator tells its own parent. */
  summary(nowMs: number): Summary {
    this.beginRound(nowMs);
    this.#refresh();
    const able = [...this.#candidates.values()].filter(({ connected, cordoned }) => connected && !cordoned);
    return mergeSummaries(able.map(({ summary }) => summary));
  }

  #excludedFor({ instance, avoid }: PlaceWish): ReadonlyMap<string, string> {
    const refusals = this.#observed.refusalsOf(instance, this.#nowMs);
    if (refusals.length === 0 && avoid === null) return NOBODY;
    const exclude = new Map(refusals.map(({ child, reason }) => [child, `refused: ${reason}`]));
    if (avoid !== null) exclude.set(avoid, 'it is moved away from here');
    return exclude;
  }

  #demandFor(spec: ServiceSpec, target: Target | null): Demanded {
    const known = target === null ? this.#demands.get(spec) : undefined;
    if (known) return known;
    const policy = spec.placement.policy ?? this.#defaultPolicy;
    const demand = demandOf(this.#requirement(spec, target));
    const text = `${policy} ${JSON.stringify({ ...demand, exclude: undefined })}`;
    const demanded = { policy, text, demand: { ...demand, tieBreaker: text } }; // F2
    if (target === null) this.#demands.set(spec, demanded);
    return demanded;
  }

  #requirement(spec: ServiceSpec, target: Target | null): Requirement {
    const placement = target
      ? {
          ...spec.placement,
          ...(target.cluster === null ? {} : { cluster: target.cluster }),
          ...(target.node === null ? {} : { node: target.node }),
        }
      : spec.placement;
    return { spec: { ...spec, placement }, tieBreaker: '', inside: [this.#state.name] };
  }

  /** F1. */
  #refresh(): void {
    if (this.#fresh) return;
    this.#fresh = true;
    for (const member of this.#state.members.values()) this.#refreshOne(member);
    this.#given.clear();
    for (const name of this.#candidates.keys()) if (!this.#state.members.has(name)) this.#drop(name);
    this.#forgetOldChanges();
  }

  #refreshOne(member: Member): void {
    const { name } = member.record;
    const before = this.#candidates.get(name);
    const link = this.#observed.links.get(name);
    if (!link?.summary) {
      if (before) this.#drop(name);
      return;
    }
    const known = this.#known.get(name);
    const isFresh =
      known?.summary === link.summary &&
      known.linkVersion === link.version &&
      known.memberVersion === member.version &&
      known.instances === this.#state.countOn(name);
    const connected = link.session !== null && !isSilent(link.lastHeardMs, this.#nowMs);
    const cordoned = member.cordoned || member.draining;
    const same = before?.connected === connected && before.cordoned === cordoned && before.kind === member.record.kind;
    if (isFresh && same && !this.#given.has(name)) return;
    const { candidate } = isFresh ? known : this.#learn(member, link, link.summary);
    this.#changed({ ...candidate, connected, cordoned, instancesOfService: 0 });
  }

  #changed(candidate: Candidate): void {
    this.#candidates.set(candidate.name, candidate);
    this.#changes.push(candidate.name);
  }

  #drop(name: string): void {
    this.#candidates.delete(name);
    this.#known.delete(name);
    this.#changes.push(name);
  }

  /** A ranking that would have to judge most candidates anew anyway is made anew when it is asked for. */
  #forgetOldChanges(): void {
    const { length } = this.#changes;
    if (length <= this.#candidates.size) return;
    for (const [key, { changes }] of this.#rankings) if (changes < length) this.#rankings.delete(key);
    for (const ranked of this.#rankings.values()) ranked.changes = 0;
    this.#refusals.clear();
    this.#changes = [];
  }

  #rankingOf(key: string, demand: Demand, policy: PlacementPolicyName, counts?: ReadonlyMap<string, number>): Ranking {
    const counted = (candidate: Candidate): Candidate => {
      const instancesOfService = counts?.get(candidate.name) ?? 0;
      return instancesOfService === 0 ? candidate : { ...candidate, instancesOfService };
    };
    const ready = this.#rankings.get(key);
    this.#rankings.delete(key);
    const ranked = ready ?? {
      ranking: new Ranking(demand, policy, [...this.#candidates.values()].map(counted)),
      changes: this.#changes.length,
    };
    this.#rankings.set(key, ranked);
    for (; ranked.changes < this.#changes.length; ranked.changes += 1) {
      const name = must(this.#changes[ranked.changes], 'a change');
      const candidate = this.#candidates.get(name);
      if (candidate) ranked.ranking.update(counted(candidate));
      else ranked.ranking.remove(name);
    }
    const [oldest] = this.#rankings.keys();
    if (oldest !== undefined && this.#rankings.size > limits.placementRankings) this.#rankings.delete(oldest);
    return ranked.ranking;
  }

  #whyNot(key: string, demand: Demand): readonly RefusalView[] {
    const known = this.#refusals.get(key);
    if (demand.exclude.size === 0 && known?.changes === this.#changes.length) return known.refusals;
    const refusals = refusalsOf(demand, [...this.#candidates.values()]);
    if (demand.exclude.size > 0) return refusals;
    this.#refusals.set(key, { changes: this.#changes.length, refusals });
    const [oldest] = this.#refusals.keys();
    if (oldest !== undefined && this.#refusals.size > limits.placementRankings) this.#refusals.delete(oldest);
    return refusals;
  }

  #alike(serviceKey: string): string {
    const service = this.#state.services.get(serviceKey);
    return service ? userService(service) : '';
  }

  #countsOf(serviceKey: string): Map<string, number> {
    const alike = this.#alike(serviceKey);
    const ready = this.#counts.get(alike);
    if (ready) return ready;
    const counts = new Map<string, number>();
    for (const instance of this.#state.instancesAlike(serviceKey)) {
      if (instance.leaving === null && instance.child !== null) counts.set(instance.child, (counts.get(instance.child) ?? 0) + 1);
    }
    this.#counts.set(alike, counts);
    return counts;
  }

  /**
   * Services share a ranking in which nobody has any of their instances, and judge those who do one by one. Once that
   * has cost a service as much as a ranking of its own, it gets one, for this round.
   */
  #deservesOwn(serviceKey: string, counts: ReadonlyMap<string, number>): boolean {
    const alike = this.#alike(serviceKey);
    const spent = (this.#spent.get(alike) ?? 0) + counts.size;
    this.#spent.set(alike, spent);
    return spent > this.#candidates.size;
  }

  /** They know counts of a round that is over. */
  #dropOwnRankings(): void {
    for (const key of this.#own) this.#rankings.delete(key);
    this.#own.clear();
  }

  #give({ hostPorts }: Demand, candidate: Candidate, left: Summary): void {
    const usedHostPorts =
      hostPorts.length === 0 ? candidate.usedHostPorts : new Set([...(candidate.usedHostPorts ?? []), ...hostPorts]);
    this.#given.add(candidate.name);
    this.#changed({ ...candidate, summary: left, usedHostPorts });
  }

  #learn(member: Member, link: Link, summary: Summary): Known {
    const { name, kind } = member.record;
    const instances = this.#state.countOn(name);
    const all = this.#state.instancesOn(name);
    const before = this.#known.get(name);
    const added =
      before && before.summary === summary && before.linkVersion === link.version ? addedSince(before, member, all) : null;
    const usedHostPorts = new Set(added ? before?.candidate.usedHostPorts : []);
    const blank: Candidate = { name, kind, summary, connected: true, cordoned: false, instancesOfService: 0 };
    let left = (added && before?.candidate.summary) ?? summary;
    for (const instance of added ?? all) {
      const spec = this.#state.specOf(instance);
      for (const port of spec.ports)
        if (kind === 'node' && port.hostPort !== undefined) usedHostPorts.add(`${port.protocol}/${port.hostPort}`);
      const shown = instance.leaving !== null || instance.since <= link.version;
      if (!shown) left = reserveDemand(this.#demandFor(spec, null).demand, { ...blank, summary: left });
    }
    const candidate = { ...blank, summary: left, usedHostPorts };
    const known = { summary, linkVersion: link.version, memberVersion: member.version, instances, candidate };
    this.#known.set(name, known);
    return known;
  }
}

/**
 * What the member was given since, if that is all that has happened to it; else null. Every change has a version of its
 * own (S3): when as many instances came as versions, and are new by their own version, no other has gone or changed.
 */
function addedSince(before: Known, member: Member, all: readonly InstanceRecord[]): readonly InstanceRecord[] | null {
  const added = all.filter(({ since, leaving }) => leaving === null && since > before.memberVersion);
  const came = all.length - before.instances;
  return came === added.length && came === member.version - before.memberVersion ? added : null;
}
