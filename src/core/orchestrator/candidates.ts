/**
 * What each child can take: members and what is observed of them, as candidates for core/placement, less what has been
 * given away but does not show in the children's summaries yet. They live on from round to round; of a child of which
 * nothing was said since, nothing is looked up.
 *
 * Invariants:
 *  B1. The first placement of a round sees every candidate as it is now, without what an earlier round gave that was
 *      not committed. Silence counts from the next passing of time on.
 *  B3. What a round gave and what was then committed is the same sum: when a child got these instances, for these
 *      demands, in this order, and nothing else happened to it, its candidate stays as the round left it.
 */
import { assert, must } from '../base/assert.ts';
import type { Summary } from '../model/summary.ts';
import { reserveDemand } from '../placement/place.ts';
import type { Candidate } from '../placement/requirement.ts';
import type { Demanded, Demands } from './demands.ts';
import type { Link, Observed } from './observed.ts';
import type { InstanceRecord, Member, OrchestratorState } from './state.ts';
import { isSilent } from './views.ts';

/** What one child can take, as known and as given away; good while none of `link.summary`, versions and flags has changed. */
interface Known {
  readonly summary: Summary;
  readonly linkVersion: number;
  readonly memberVersion: number;
  /** Of instances, those that are leaving included: when one is forgotten its host ports are free. */
  readonly instances: number;
  readonly candidate: Candidate;
}

interface Given {
  readonly instance: string;
  readonly demanded: Demanded;
}

export class Candidates {
  readonly #state: OrchestratorState;
  readonly #observed: Observed;
  readonly #demands: Demands;
  readonly #known = new Map<string, Known>();
  /** Each less what this round gave to it. `instancesOfService` is 0 here. */
  readonly #candidates = new Map<string, Candidate>();
  /** What this round gave to each child, in order; it may not be committed. */
  readonly #given = new Map<string, Given[]>();
  /** Children of which something may have changed; null: all. */
  #touched: Set<string> | null = null;
  #changes: string[] = [];
  #nowMs = 0;

  constructor(state: OrchestratorState, observed: Observed, demands: Demands) {
    this.#state = state;
    this.#observed = observed;
    this.#demands = demands;
  }

  get size(): number {
    return this.#candidates.size;
  }

  /** Children whose candidate has changed, in order. */
  get changes(): readonly string[] {
    return this.#changes;
  }

  get(child: string): Candidate | undefined {
    return this.#candidates.get(child);
  }

  all(): Iterable<Candidate> {
    return this.#candidates.values();
  }

  touch(child: string): void {
    this.#touched?.add(child);
  }

  touchAll(nowMs: number): void {
    this.#touched = null;
    this.#nowMs = nowMs;
  }

  /** Silence begins with time alone. Everything else that changes a child touches it. */
  timePassed(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#touched === null) return;
    for (const [name, link] of this.#observed.links) {
      const known = this.#candidates.get(name);
      if (known && known.connected !== this.#isConnected(link)) this.#touched.add(name);
    }
  }

  forgetChanges(): void {
    this.#changes = [];
  }

  /** B1. At the beginning of a round. */
  refresh(): void {
    const touched = this.#touched;
    if (touched === null) {
      for (const name of this.#state.members.keys()) this.#refreshOne(name);
      for (const name of this.#candidates.keys()) if (!this.#state.members.has(name)) this.#drop(name);
    } else {
      for (const name of this.#given.keys()) touched.add(name);
      for (const name of touched) this.#refreshOne(name);
    }
    this.#touched = new Set();
    this.#given.clear();
  }

  give(child: string, given: Given, left: Summary): void {
    const candidate = must(this.#candidates.get(child), `candidate ${child}`);
    const { hostPorts } = given.demanded.demand;
    const usedHostPorts =
      hostPorts.length === 0 ? candidate.usedHostPorts : new Set([...(candidate.usedHostPorts ?? []), ...hostPorts]);
    const before = this.#given.get(child);
    if (before) before.push(given);
    else this.#given.set(child, [given]);
    this.#changed({ ...candidate, summary: left, usedHostPorts });
  }

  #refreshOne(name: string): void {
    const member = this.#state.members.get(name);
    const link = this.#observed.links.get(name);
    const before = this.#candidates.get(name);
    if (!member || !link?.summary) {
      if (before) this.#drop(name);
      return;
    }
    const known = this.#known.get(name);
    const isFresh =
      known?.summary === link.summary &&
      known.linkVersion === link.version &&
      known.memberVersion === member.version &&
      known.instances === this.#state.countOn(name);
    const connected = this.#isConnected(link);
    const cordoned = member.cordoned || member.draining;
    const same = before?.connected === connected && before.cordoned === cordoned && before.kind === member.record.kind;
    const given = this.#given.get(name);
    if (isFresh && same && !given) return;
    if (given && known && before && same && this.#isCommitted(given, known, member, link)) {
      this.#know(member, link, link.summary, before); // B3
      return;
    }
    const { candidate } = isFresh ? known : this.#learn(member, link, link.summary);
    this.#changed({ ...candidate, connected, cordoned });
  }

  #isConnected({ session, lastHeardMs }: Link): boolean {
    return session !== null && !isSilent(lastHeardMs, this.#nowMs);
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

  /** B3. */
  #isCommitted(given: readonly Given[], known: Known, member: Member, link: Link): boolean {
    if (known.summary !== link.summary || known.linkVersion !== link.version) return false;
    const added = addedSince(known, member, this.#state.instancesOn(member.record.name));
    if (added?.length !== given.length) return false;
    return given.every(({ instance, demanded }, at) => {
      const record = must(added[at], 'as many');
      return record.id === instance && this.#demands.of(this.#state.specOf(record)) === demanded;
    });
  }

  #learn(member: Member, link: Link, summary: Summary): Known {
    const { name, kind } = member.record;
    const all = this.#state.instancesOn(name);
    const before = this.#known.get(name);
    const added =
      before && before.summary === summary && before.linkVersion === link.version ? addedSince(before, member, all) : null;
    const usedHostPorts = new Set(added ? before?.candidate.usedHostPorts : []);
    const blank: Candidate = { name, kind, summary, connected: true, cordoned: false, instancesOfService: 0, usedHostPorts };
    let left = (added && before?.candidate.summary) ?? summary;
    for (const instance of added ?? all) {
      const spec = this.#state.specOf(instance);
      for (const port of spec.ports)
        if (kind === 'node' && port.hostPort !== undefined) usedHostPorts.add(`${port.protocol}/${port.hostPort}`);
      const shown = instance.leaving !== null || instance.since <= link.version;
      if (!shown) left = reserveDemand(this.#demands.of(spec).demand, { ...blank, summary: left });
    }
    return this.#know(member, link, summary, { ...blank, summary: left });
  }

  #know({ record: { name }, version }: Member, link: Link, summary: Summary, candidate: Candidate): Known {
    const instances = this.#state.countOn(name);
    const known = { summary, linkVersion: link.version, memberVersion: version, instances, candidate };
    this.#known.set(name, known);
    return known;
  }

  /** For simulation and tests, B1: whoever would not be looked up again is as it would be found. */
  assertFresh(): void {
    const touched = this.#touched;
    if (touched === null) return;
    const anew = new Candidates(this.#state, this.#observed, this.#demands);
    anew.touchAll(this.#nowMs);
    anew.refresh();
    for (const name of new Set([...this.#candidates.keys(), ...anew.#candidates.keys()])) {
      if (touched.has(name) || this.#given.has(name)) continue;
      const [kept, found] = [this.get(name), anew.get(name)];
      if (isSame(kept, found)) continue;
      assert(textOf(kept) === textOf(found), `B1: ${name} is kept as ${textOf(kept)} and would be found as ${textOf(found)}`);
    }
  }
}

/** At a glance; they may be the same otherwise. */
function isSame(a: Candidate | undefined, b: Candidate | undefined): boolean {
  if (!a || !b) return a === b;
  const hasPorts = (a.usedHostPorts?.size ?? 0) + (b.usedHostPorts?.size ?? 0) > 0;
  return a.summary === b.summary && a.connected === b.connected && a.cordoned === b.cordoned && a.kind === b.kind && !hasPorts;
}

/** A cluster's host ports say nothing. */
function textOf(candidate: Candidate | undefined): string {
  if (!candidate) return 'none';
  const { usedHostPorts = [] } = candidate;
  return JSON.stringify({ ...candidate, usedHostPorts: candidate.kind === 'node' ? [...usedHostPorts].sort() : [] });
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
