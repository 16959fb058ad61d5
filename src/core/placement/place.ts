/**
 * Filter, score, choose: the one function that places at every level of the tree, over children's summaries
 * (DESIGN.md, Placement). Pure: the same facts give the same choice.
 *
 * Invariants:
 *  P1. Whoever is chosen passed the filter, with what was chosen before in the same call already taken off.
 *  P2. Who certainly can is preferred to who may have to refuse, whatever their scores.
 *  P3. The order of the candidates does not matter.
 *  P4. Placing n at once chooses as placing one n times would, each time with the summaries brought up to date.
 */

import { assert, must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { ok, type Result, refused } from '../base/result.ts';
import { compareText } from '../capacity/groups.ts';
import { reserve } from '../capacity/reserve.ts';
import type { Rejection, Seen, SeenCandidate } from '../model/decisions.ts';
import type { PlacementPolicyName } from '../model/service.ts';
import type { Summary } from '../model/summary.ts';
import { explainer, type Refusal } from './explain.ts';
import { type Fit, fitOf } from './filter.ts';
import { Heap, type HeapItem } from './heap.ts';
import { POLICIES, type Policy } from './policies.ts';
import { type Candidate, type Demand, demandOf, type Requirement } from './requirement.ts';
import { rejectionOf, seenCandidate } from './seen.ts';

export interface Choice {
  readonly child: string;
  /** The policy's; only comparable within one decision. */
  readonly score: number;
  /** Whether the child's summary leaves no doubt that it can. */
  readonly certain: boolean;
}

export interface Placement extends Choice {
  /** Who would have been next, best first. */
  readonly runnersUp: readonly Choice[];
  readonly seen: Seen;
}

const RUNNERS_UP = 3;

/** Chooses a child for one instance; when none can take it, says why, for each of them. */
export function place(
  requirement: Requirement,
  candidates: readonly Candidate[],
  policy: PlacementPolicyName,
): Result<Placement, readonly Refusal[]> {
  const demand = demandOf(requirement);
  const rejected: Partial<Record<Rejection, number>> = {};
  const heap = contenders(demand, candidates, POLICIES[policy], (candidate) => {
    const reason = rejectionOf(demand, candidate);
    rejected[reason] = (rejected[reason] ?? 0) + 1;
  });
  const fitting = heap.size;
  const best = heap.pop();
  if (!best) return refused(refusalsOf(demand, candidates));
  const runnersUp: Scored[] = [];
  while (runnersUp.length < RUNNERS_UP) {
    const next = heap.pop();
    if (!next) break;
    runnersUp.push(next);
  }
  const listed = [best, ...runnersUp].slice(0, limits.decisionCandidates);
  const seen: Seen = {
    policy,
    candidates: listed.map((scored) => seenOf(demand, scored)),
    others: fitting - listed.length,
    rejected,
  };
  return ok({ ...choiceOf(best), runnersUp: runnersUp.map(choiceOf), seen });
}

export interface Batch {
  /** One child an instance, in the order of choosing; as many as found room. */
  readonly choices: readonly Choice[];
  /** Why no more than these found room; empty when all did. */
  readonly refusals: readonly Refusal[];
}

/** Chooses children for `count` instances of one service: filters once, then takes off what is chosen. */
export function placeMany(
  requirement: Requirement,
  count: number,
  candidates: readonly Candidate[],
  policy: PlacementPolicyName,
): Batch {
  const demand = demandOf(requirement);
  const rule = POLICIES[policy];
  const heap = contenders(demand, candidates, rule);
  const choices: Choice[] = [];
  const changed = new Map<string, Candidate>();
  while (choices.length < count) {
    const best = heap.pop();
    if (!best) {
      const now = candidates.map((candidate) => changed.get(candidate.name) ?? candidate);
      return { choices, refusals: refusalsOf(demand, now) };
    }
    choices.push(choiceOf(best));
    const candidate = withOneMore(demand, best);
    changed.set(candidate.name, candidate);
    const again = contend(demand, candidate, rule);
    if (again) heap.push(again);
  }
  return { choices, refusals: [] };
}

/**
 * The candidate's summary with one instance taken off that was given to it and that its own report does not
 * show yet. For every child, also those that would not be chosen now.
 */
export function reserveFor(requirement: Requirement, candidate: Candidate): Summary {
  return reserveDemand(demandOf(requirement), candidate);
}

/** The same, for a demand that is at hand. */
export function reserveDemand(demand: Demand, candidate: Candidate): Summary {
  const open: Candidate = { ...candidate, connected: true, cordoned: false, usedHostPorts: undefined };
  const fit = fitOf({ ...demand, exclude: new Map() }, open);
  return reserve(candidate.summary, demand.need, (group) => fit === null || fit.groups.includes(group));
}

/** Why each of the candidates, none of which can take it, cannot. */
export function refusalsOf(demand: Demand, candidates: readonly Candidate[]): Refusal[] {
  const explain = explainer(demand);
  return candidates.map((candidate) => must(explain(candidate), `why ${candidate.name} was refused`));
}

/** A candidate that passed the filter, with its score. */
export interface Scored extends HeapItem {
  readonly candidate: Candidate;
  readonly fit: Fit;
  readonly score: number;
  /** Of `Demand.tieBreaker` and the name; -1 until a tie asks for it. */
  tieHash: number;
  /** As records show it; null until one does. The next ones name the same. */
  seen: SeenCandidate | null;
}

function contenders(
  demand: Demand,
  candidates: readonly Candidate[],
  policy: Policy,
  rejected: (candidate: Candidate) => void = () => {},
): Heap<Scored> {
  const scored: Scored[] = [];
  for (const candidate of candidates) {
    const one = contend(demand, candidate, policy);
    if (one) scored.push(one);
    else rejected(candidate);
  }
  return new Heap(scored, (a, b) => before(demand, policy, a, b));
}

export function contend(demand: Demand, candidate: Candidate, policy: Policy): Scored | null {
  const fit = fitOf(demand, candidate);
  if (fit === null) return null;
  const { summary, instancesOfService } = candidate;
  const score = policy.score(demand, { summary, groups: fit.groups, instancesOfService });
  assert(Number.isFinite(score), 'a score is a number');
  return { candidate, fit, score, tieHash: -1, seen: null, at: -1 };
}

export function before(demand: Demand, policy: Policy, a: Scored, b: Scored): boolean {
  if (a.fit.certain !== b.fit.certain) return a.fit.certain;
  if (a.score !== b.score) return a.score > b.score;
  if (policy.ties === 'hash') {
    const hashA = tieHash(demand, a);
    const hashB = tieHash(demand, b);
    if (hashA !== hashB) return hashA < hashB;
  }
  return compareText(a.candidate.name, b.candidate.name) < 0;
}

/** FNV-1a over both names, then mixed (MurmurHash3's finaliser): names that differ in the last digit land far apart. */
function tieHash(demand: Demand, scored: Scored): number {
  if (scored.tieHash >= 0) return scored.tieHash;
  let hash = 0x811c9dc5;
  for (const text of [demand.tieBreaker, '/', scored.candidate.name])
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  scored.tieHash = (hash ^ (hash >>> 16)) >>> 0;
  return scored.tieHash;
}

export function seenOf(demand: Demand, scored: Scored): SeenCandidate {
  scored.seen ??= seenCandidate(demand, scored.candidate, scored.score);
  return scored.seen;
}

function choiceOf({ candidate, score, fit }: Scored): Choice {
  return { child: candidate.name, score, certain: fit.certain };
}

function withOneMore(demand: Demand, { candidate, fit }: Scored): Candidate {
  const summary = reserve(candidate.summary, demand.need, (group) => fit.groups.includes(group));
  const instancesOfService = candidate.instancesOfService + 1;
  if (demand.hostPorts.length === 0) return { ...candidate, summary, instancesOfService };
  const usedHostPorts = new Set([...(candidate.usedHostPorts ?? []), ...demand.hostPorts]);
  return { ...candidate, summary, instancesOfService, usedHostPorts };
}
