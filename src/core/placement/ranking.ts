/**
 * Candidates in the order in which a demand would choose them, kept from one placement to the next. `place` looks
 * at every candidate for each instance; here each is scored once, and again only when something about it changes.
 *
 * Invariants:
 *  K1. The best of a ranking is whom `place` would choose for the same demand among the same candidates.
 *  K2. What was seen is what `place` would say: the same best few, the same counts of the others.
 *  K3. The heap holds whoever fits, each once.
 */
import { must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { reserve } from '../capacity/reserve.ts';
import type { Rejection, Seen } from '../model/decisions.ts';
import type { PlacementPolicyName } from '../model/service.ts';
import type { Summary } from '../model/summary.ts';
import { Heap } from './heap.ts';
import { before, contend, type Scored, seenOf } from './place.ts';
import { POLICIES } from './policies.ts';
import type { Candidate, Demand } from './requirement.ts';
import { rejectionOf } from './seen.ts';

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
  readonly #entries: Map<string, Scored | Rejection>;
  readonly #rejected: Partial<Record<Rejection, number>> = {};
  readonly #heap: Heap<Scored>;

  /** `demand` excludes nobody: that is for the wishes. */
  static of(demand: Demand, policy: PlacementPolicyName, candidates: Iterable<Candidate>): Ranking {
    const entries = new Map<string, Scored | Rejection>();
    for (const candidate of candidates) entries.set(candidate.name, judge(demand, policy, candidate));
    return new Ranking(demand, policy, entries);
  }

  /** Takes over `entries`. */
  private constructor(demand: Demand, policy: PlacementPolicyName, entries: Map<string, Scored | Rejection>) {
    this.#demand = demand;
    this.#policy = policy;
    this.#entries = entries;
    const scored: Scored[] = [];
    for (const entry of entries.values())
      if (typeof entry === 'string') this.#countRejected(entry, 1);
      else scored.push(entry);
    this.#heap = new Heap(scored, (a, b) => before(demand, POLICIES[policy], a, b));
  }

  /** One that knows the same, and goes its own way from here on. */
  fork(): Ranking {
    const entries = new Map<string, Scored | Rejection>();
    for (const [name, entry] of this.#entries) entries.set(name, typeof entry === 'string' ? entry : { ...entry });
    return new Ranking(this.#demand, this.#policy, entries);
  }

  /** The candidate is new, or something about it has changed. */
  update(candidate: Candidate): void {
    const { name } = candidate;
    const known = this.#entries.get(name);
    const entry = judge(this.#demand, this.#policy, candidate);
    this.#entries.set(name, entry);
    if (typeof known === 'string') this.#countRejected(known, -1);
    if (typeof entry === 'string') this.#countRejected(entry, 1);
    const [was, is] = [scoredOf(known), scoredOf(entry)];
    if (was && is) this.#heap.replace(was, is);
    else if (was) this.#heap.remove(was);
    else if (is) this.#heap.push(is);
  }

  remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    if (typeof entry === 'string') this.#countRejected(entry, -1);
    else this.#heap.remove(entry);
  }

  /** Whom to choose; null when nobody can take it. */
  best({ counts = NONE, exclude = NOBODY }: Wish = {}): Best | null {
    const listed = this.#top(counts, exclude);
    const [first] = listed;
    if (!first) return null;
    const rejected = this.#rejectedBut(exclude);
    const seen: Seen = {
      policy: this.#policy,
      candidates: listed.map((scored) => seenOf(this.#demand, scored)),
      others: this.#heap.size - this.#fittingOf(exclude) - listed.length,
      rejected,
    };
    const { candidate, fit } = first;
    const left = reserve(candidate.summary, this.#demand.need, (group) => fit.groups.includes(group));
    return { child: candidate.name, seen, left };
  }

  /** The best few. Those of `counts` score otherwise than the heap knows, and are judged one by one. */
  #top(counts: ReadonlyMap<string, number>, exclude: ReadonlyMap<string, string>): Scored[] {
    const found: Scored[] = [];
    for (const item of this.#heap.inOrder()) {
      const { name } = item.candidate;
      if (counts.has(name) || exclude.has(name)) continue;
      found.push(item);
      if (found.length === limits.decisionCandidates) break;
    }
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

  #countRejected(reason: Rejection, change: 1 | -1): void {
    this.#rejected[reason] = (this.#rejected[reason] ?? 0) + change;
  }
}

function judge(demand: Demand, policy: PlacementPolicyName, candidate: Candidate): Scored | Rejection {
  return contend(demand, candidate, POLICIES[policy]) ?? rejectionOf(demand, candidate);
}

function scoredOf(entry: Scored | Rejection | undefined): Scored | null {
  return entry === undefined || typeof entry === 'string' ? null : entry;
}
