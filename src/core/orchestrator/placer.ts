/**
 * Finds places. Rankings of the candidates live on from round to round, and take in what has changed since they were
 * last asked; instances with the same demand share one.
 *
 * Invariants:
 *  B2. Whoever decides on the same facts decides the same: ties are settled by the demand, not by what was ranked before.
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
import { refusalsOf } from '../placement/place.ts';
import { Ranking } from '../placement/ranking.ts';
import type { Candidate, Demand } from '../placement/requirement.ts';
import { Candidates } from './candidates.ts';
import { type Demanded, Demands } from './demands.ts';
import type { Observed } from './observed.ts';
import { type OrchestratorState, type Target, userService } from './state.ts';

export interface PlaceWish {
  readonly service: string;
  readonly instance: string;
  readonly target: Target | null;
  readonly avoid: string | null;
}

export interface Found {
  readonly child: string;
  readonly seen: Seen;
}

/** How many instances of a service each child has; whoever has none is not listed. */
type Counts = ReadonlyMap<string, number>;

interface Ranked {
  readonly ranking: Ranking;
  /** How many of the changes it has taken in. */
  changes: number;
  /** The counts that it has taken in. */
  counts: Counts;
  usedMs: number;
}

const NOBODY: ReadonlyMap<string, string> = new Map();
const NO_COUNTS: Counts = new Map();

/** So many candidates are copied into a fork in the time that it takes to judge one. */
const FORK_ADVANTAGE = 8;

/** A ranking that nobody has asked for so long is memory only. */
const RANKING_KEPT_MS = 30_000;

export class Placer {
  readonly #state: OrchestratorState;
  readonly #observed: Observed;
  readonly #demands: Demands;
  readonly #candidates: Candidates;
  /** By demand, policy and, where the service has one of its own, service; the one used last comes last. */
  readonly #rankings = new Map<string, Ranked>();
  /** Instances on each child, by what the user knows as one service; for policies that ask. */
  readonly #counts = new Map<string, Map<string, number>>();
  /** What judging counted children one by one has cost this round, by the same. */
  readonly #spent = new Map<string, number>();
  /** Why nobody could, by demand, until something changes. */
  readonly #refusals = new Map<string, { readonly changes: number; readonly refusals: readonly RefusalView[] }>();
  #isRefreshed = false;
  #nowMs = 0;

  constructor(state: OrchestratorState, observed: Observed, init: { readonly policy: PlacementPolicyName }) {
    this.#state = state;
    this.#observed = observed;
    this.#demands = new Demands(state, init.policy);
    this.#candidates = new Candidates(state, observed, this.#demands);
  }

  /** Something about the child may have changed. */
  touch(child: string): void {
    this.#candidates.touch(child);
  }

  /** Something may have changed about any child. */
  touchAll(nowMs: number): void {
    this.#candidates.touchAll(nowMs);
  }

  timePassed(nowMs: number): void {
    this.#candidates.timePassed(nowMs);
    for (const [key, { usedMs }] of this.#rankings) if (Math.abs(nowMs - usedMs) > RANKING_KEPT_MS) this.#rankings.delete(key);
  }

  beginRound(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#isRefreshed = false;
    this.#counts.clear();
    this.#spent.clear();
  }

  /** A child for the instance, or why none will do. Within a round each answer counts on those before. */
  findPlace(spec: ServiceSpec, wish: PlaceWish): Result<Found, readonly RefusalView[]> {
    this.#refresh();
    const exclude = this.#excludedFor(wish);
    const demanded = this.#demands.of(spec, wish.target);
    const counts = demanded.policy === 'spread' ? this.#countsOf(wish.service) : undefined;
    const own = counts && this.#ownRanking(wish.service, demanded, counts);
    const found = (own ?? this.#sharedRanking(demanded)).best({ counts: own ? undefined : counts, exclude });
    if (!found) return refused(this.#whyNot(demanded.text, { ...demanded.demand, exclude }));
    this.#candidates.give(found.child, { instance: wish.instance, demanded }, found.left);
    counts?.set(found.child, (counts.get(found.child) ?? 0) + 1);
    return ok({ child: found.child, seen: found.seen });
  }

  /** Whether any child could run it with nothing else on it; the reasons if not. */
  couldEver(spec: ServiceSpec, nowMs: number): Result<null, readonly RefusalView[]> {
    this.beginRound(nowMs);
    this.#refresh();
    return couldEver(this.#demands.requirementOf(spec, null), [...this.#candidates.all()]);
  }

  /** All that may take work, merged: what this orchestrator tells its own parent. */
  summary(nowMs: number): Summary {
    this.beginRound(nowMs);
    this.#refresh();
    const able = [...this.#candidates.all()].filter(({ connected, cordoned }) => connected && !cordoned);
    return mergeSummaries(able.map(({ summary }) => summary));
  }

  /** For simulation and tests: B1 of the candidates. */
  assertFresh(): void {
    this.#candidates.assertFresh();
  }

  #refresh(): void {
    if (this.#isRefreshed) return;
    this.#isRefreshed = true;
    this.#candidates.refresh();
    this.#forgetOldChanges();
  }

  #excludedFor({ instance, avoid }: PlaceWish): ReadonlyMap<string, string> {
    const refusals = this.#observed.refusalsOf(instance, this.#nowMs);
    if (refusals.length === 0 && avoid === null) return NOBODY;
    const exclude = new Map(refusals.map(({ child, reason }) => [child, `refused: ${reason}`]));
    if (avoid !== null) exclude.set(avoid, 'it is moved away from here');
    return exclude;
  }

  /** A ranking that would have to judge most candidates anew anyway is made anew when it is asked for. */
  #forgetOldChanges(): void {
    const { length } = this.#candidates.changes;
    if (length <= this.#candidates.size) return;
    for (const [key, { changes }] of this.#rankings) if (changes < length) this.#rankings.delete(key);
    for (const ranked of this.#rankings.values()) ranked.changes = 0;
    this.#refusals.clear();
    this.#candidates.forgetChanges();
  }

  /** Of all who ask for the same: in it nobody has any of their instances. */
  #sharedRanking({ text, demand, policy }: Demanded): Ranking {
    const ranked = this.#rankings.get(text) ?? this.#ranked(Ranking.of(demand, policy, this.#candidates.all()));
    return this.#upToDate(text, ranked, NO_COUNTS);
  }

  /**
   * Services share a ranking, and judge children who have some of their instances one by one. Once that has cost a
   * service as much as a fork of its own, which knows its counts, it gets one.
   */
  #ownRanking(serviceKey: string, demanded: Demanded, counts: Counts): Ranking | null {
    const alike = this.#alike(serviceKey);
    const key = `${demanded.text} ${alike}`;
    const kept = this.#rankings.get(key);
    const isFar = kept && FORK_ADVANTAGE * (this.#candidates.changes.length - kept.changes) > this.#candidates.size;
    if (kept && !isFar) return this.#upToDate(key, kept, counts);
    this.#rankings.delete(key);
    const spent = (this.#spent.get(alike) ?? 0) + counts.size;
    this.#spent.set(alike, spent);
    if (FORK_ADVANTAGE * spent < this.#candidates.size) return null;
    return this.#upToDate(key, this.#ranked(this.#sharedRanking(demanded).fork()), counts);
  }

  #ranked(ranking: Ranking): Ranked {
    return { ranking, changes: this.#candidates.changes.length, counts: NO_COUNTS, usedMs: this.#nowMs };
  }

  #upToDate(key: string, ranked: Ranked, counts: Counts): Ranking {
    const { changes } = this.#candidates;
    if (ranked.counts !== counts) {
      for (const name of ranked.counts.keys()) if (!counts.has(name)) this.#bringUpToDate(ranked.ranking, name, counts);
      for (const [name, count] of counts)
        if (ranked.counts.get(name) !== count) this.#bringUpToDate(ranked.ranking, name, counts);
      ranked.counts = counts;
    }
    for (; ranked.changes < changes.length; ranked.changes += 1)
      this.#bringUpToDate(ranked.ranking, must(changes[ranked.changes], 'a change'), counts);
    ranked.usedMs = this.#nowMs;
    this.#rankings.delete(key);
    this.#rankings.set(key, ranked);
    const [oldest] = this.#rankings.keys();
    if (oldest !== undefined && this.#rankings.size > limits.placementRankings) this.#rankings.delete(oldest);
    return ranked.ranking;
  }

  #bringUpToDate(ranking: Ranking, child: string, counts: Counts): void {
    const candidate = this.#candidates.get(child);
    if (candidate) ranking.update(counted(candidate, counts));
    else ranking.remove(child);
  }

  #whyNot(key: string, demand: Demand): readonly RefusalView[] {
    const known = this.#refusals.get(key);
    const changes = this.#candidates.changes.length;
    if (demand.exclude.size === 0 && known?.changes === changes) return known.refusals;
    const refusals = refusalsOf(demand, [...this.#candidates.all()]);
    if (demand.exclude.size > 0) return refusals;
    this.#refusals.set(key, { changes, refusals });
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
}

function counted(candidate: Candidate, counts: Counts): Candidate {
  const instancesOfService = counts.get(candidate.name) ?? 0;
  return instancesOfService === 0 ? candidate : { ...candidate, instancesOfService };
}
