/**
 * Candidates in the order in which a demand would choose them, kept from one placement to the next. `place` looks
 * at every candidate for each instance; here each is scored once, and again only when something about it changes.
 *
 * Invariants:
 *  K1. The best of a ranking is whom `place` would choose for the same demand among the same candidates.
 *  K2. What was seen is what `place` would say: the same best few, the same counts of the others.
 *  K3. An item of the heap counts only while it is its candidate's latest; older ones are dropped when they surface.
 */
import { must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { reserve } from '../capacity/reserve.ts';
import type { Rejection, Seen } from '../model/decisions.ts';
import type { PlacementPolicyName } from '../model/service.ts';
import type { Summary } from '../model/summary.ts';
import { Heap } from './heap.ts';
import { before, contend, type Scored } from './place.ts';
import { POLICIES } from './policies.ts';
import type { Candidate, Demand } from './requirement.ts';
import { rejectionOf, seenCandidate } from './seen.ts';

/** A heap of which more than this many times its candidates is stale is built anew. */
const STALE_FACTOR = 2;

const NONE: ReadonlyMap<string, number> = new Map();
const NOBODY: ReadonlyMap<string, string> = new Map();

/** What differs between two instances with the same demand. */
export interface Wish {
  /** Children that already have instances of the service, and how many; none where the ranking knows. */
  readonly counts?: ReadonlyMap<string, number> | undefined;
  /** As `Requirement.exclude`. */
  readonly exclude?: ReadonlyMap<string, string> | undefined;
}

export interface Best {
  readonly child: string;
  readonly seen: Seen;
  /** The child's summary once it has been given this. */
  readonly left: Summary;
}

export class Ranking {
  readonly #demand: Demand;
  readonly #policy: PlacementPolicyName;
  /** Everyone: with a score, or with why not. */
  readonly #entries = new Map<string, Scored | Rejection>();
  readonly #rejected: Partial<Record<Rejection, number>> = {};
  #fitting = 0;
  #heap: Heap<Scored>;

  /** `demand` excludes nobody: that is for the wishes. */
  constructor(demand: Demand, policy: PlacementPolicyName, candidates: Iterable<Candidate>) {
    this.#demand = demand;
    this.#policy = policy;
    const scored: Scored[] = [];
    for (const candidate of candidates) {
      const entry = this.#judge(candidate);
      if (typeof entry !== 'string') scored.push(entry);
    }
    this.#heap = this.#heapOf(scored);
  }

  /** The candidate is new, or something about it has changed. */
  update(candidate: Candidate): void {
    this.remove(candidate.name);
    const entry = this.#judge(candidate);
    if (typeof entry === 'string') return;
    this.#heap.push(entry);
    if (this.#heap.size > STALE_FACTOR * this.#entries.size + limits.decisionCandidates)
      this.#heap = this.#heapOf([...this.#entries.values()].filter((each) => typeof each !== 'string'));
  }

  remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    if (typeof entry === 'string') this.#rejected[entry] = (this.#rejected[entry] ?? 0) - 1;
    else this.#fitting -= 1;
  }

  /** Whom to choose; null when nobody can take it. */
  best({ counts = NONE, exclude = NOBODY }: Wish = {}): Best | null {
    const listed = this.#top(counts, exclude);
    const [first] = listed;
    if (!first) return null;
    const rejected = this.#rejectedBut(exclude);
    const seen: Seen = {
      policy: this.#policy,
      candidates: listed.map(({ candidate, score }) => seenCandidate(this.#demand, candidate, score)),
      others: this.#fitting - this.#fittingOf(exclude) - listed.length,
      rejected,
    };
    const { candidate, fit } = first;
    const left = reserve(candidate.summary, this.#demand.need, (group) => fit.groups.includes(group));
    return { child: candidate.name, seen, left };
  }

  /** The best few. Those of `counts` score otherwise than the heap knows, and are judged one by one. */
  #top(counts: ReadonlyMap<string, number>, exclude: ReadonlyMap<string, string>): Scored[] {
    const found: Scored[] = [];
    const put: Scored[] = [];
    while (found.length < limits.decisionCandidates) {
      const item = this.#heap.pop();
      if (!item) break;
      const { name } = item.candidate;
      if (this.#entries.get(name) !== item) continue; // K3
      put.push(item);
      if (!counts.has(name) && !exclude.has(name)) found.push(item);
    }
    for (const item of put) this.#heap.push(item);
    if (counts.size === 0) return found;
    const policy = POLICIES[this.#policy];
    for (const [name, instancesOfService] of counts) {
      const entry = this.#entries.get(name);
      if (entry === undefined || typeof entry === 'string' || exclude.has(name)) continue;
      found.push(must(contend(this.#demand, { ...entry.candidate, instancesOfService }, policy), `${name} still fits`));
    }
    return found.sort((a, b) => (before(this.#demand, policy, a, b) ? -1 : 1)).slice(0, limits.decisionCandidates);
  }

  #fittingOf(names: ReadonlyMap<string, string>): number {
    let count = 0;
    for (const name of names.keys()) {
      const entry = this.#entries.get(name);
      if (entry !== undefined && typeof entry !== 'string') count += 1;
    }
    return count;
  }

  /** By reason. That one is excluded counts before all that can be said of it, but that it takes nothing at all. */
  #rejectedBut(exclude: ReadonlyMap<string, string>): Partial<Record<Rejection, number>> {
    const counts = { ...this.#rejected };
    for (const name of exclude.keys()) {
      const entry = this.#entries.get(name);
      if (entry === undefined || entry === 'not_connected' || entry === 'cordoned') continue;
      if (typeof entry === 'string') counts[entry] = (counts[entry] ?? 0) - 1;
      counts.excluded = (counts.excluded ?? 0) + 1;
    }
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  }

  #judge(candidate: Candidate): Scored | Rejection {
    const entry = contend(this.#demand, candidate, POLICIES[this.#policy]) ?? rejectionOf(this.#demand, candidate);
    this.#entries.set(candidate.name, entry);
    if (typeof entry === 'string') this.#rejected[entry] = (this.#rejected[entry] ?? 0) + 1;
    else this.#fitting += 1;
    return entry;
  }

  #heapOf(scored: Scored[]): Heap<Scored> {
    const policy = POLICIES[this.#policy];
    return new Heap(scored, (a, b) => before(this.#demand, policy, a, b));
  }
}
