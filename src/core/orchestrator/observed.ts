/**
 * What an orchestrator sees but does not write down: links, summaries, how instances are doing, refusals.
 * Rebuilt from the children's hellos after a restart, so an idle system writes nothing.
 *
 * Invariants:
 *  O1. Only messages of a child's present session count.
 *  O2. What a child says of an instance counts only if it said so knowing the version at which it was given
 *      that instance (`knows`): an old REFUSED must not undo a new placement.
 *  O3. A gap in the sequence of reports ends the session: the child says hello again and tells everything.
 *  O4. Of a child that has its link with another replica (`via`), that replica's word counts, the latest heard; while
 *      there is a connection with it, its children are not silent: it would have said so. A child that nobody
 *      speaks of when this replica comes to lead may have been with one that has died since: it is silent from then on.
 */
import type { Hello, InstanceReport, Report } from '../model/messages.ts';
import type { PeerReport } from '../model/peer-report.ts';
import type { Summary } from '../model/summary.ts';
import type { InstanceRecord } from './state.ts';

/** A child that has just been put aside for refusing is not asked again before this, doubled each time ... */
const REFUSAL_PAUSE_MS = 1_000;
/** ... up to this when it has more room than it had ... */
const REFUSAL_PAUSE_MAX_MS = 60_000;
/** ... and up to this when nothing about it has changed: what waits must not write to the disk for ever. */
const UNCHANGED_PAUSE_MAX_MS = 3_600_000;

export interface Link {
  /** null: not connected, or has not said hello yet. */
  session: string | null;
  sequence: number;
  /** Version of desired state that the child has taken up. */
  version: number;
  /** Version that it was last sent. */
  sentVersion: number;
  software: string;
  summary: Summary | null;
  readonly instances: Map<string, InstanceReport>;
  /** Since when each of them has been seen running there, without a restart. */
  readonly runs: Map<string, { readonly restarts: number; sinceMs: number }>;
  /** When it was last heard; at first, when this orchestrator started. */
  lastHeardMs: number;
  /** Whether it was heard since this orchestrator started. */
  seen: boolean;
  /** On demand: name of the replica that has its link; null: this one. */
  via: string | null;
  /** On demand: no replica had it when this one came to lead. */
  isMissed: boolean;
}

interface Refusal {
  readonly reason: string;
  readonly count: number;
  untilMs: number;
  /** From here on a change of the child's room ends the pause. */
  patientUntilMs: number;
}

export class Observed {
  readonly links = new Map<string, Link>();
  /** By instance, then by child. */
  readonly #refusals = new Map<string, Map<string, Refusal>>();
  /** By replica. */
  readonly #loads = new Map<string, number>();
  #refusalsCheckedMs = 0;
  readonly #isInstance: (id: string) => boolean;

  /** `isInstance`: whether there is one of this id. What a child says of others is not kept: it may make up any number. */
  constructor(isInstance: (id: string) => boolean) {
    this.#isInstance = isInstance;
  }

  link(child: string, startedAtMs: number): Link {
    const known = this.links.get(child);
    if (known) return known;
    const link: Link = {
      session: null,
      sequence: 0,
      version: 0,
      sentVersion: 0,
      software: '',
      summary: null,
      instances: new Map(),
      runs: new Map(),
      lastHeardMs: startedAtMs,
      seen: false,
      via: null,
      isMissed: false,
    };
    this.links.set(child, link);
    return link;
  }

  /** Moves the times at which children and their instances were last heard: for time in which this orchestrator itself was not there to hear. */
  forgive(ms: number): void {
    for (const link of this.links.values()) {
      link.lastHeardMs += ms;
      for (const run of link.runs.values()) run.sinceMs += ms;
    }
    for (const byChild of this.#refusals.values()) {
      for (const refusal of byChild.values()) {
        refusal.untilMs += ms;
        refusal.patientUntilMs += ms;
      }
    }
    this.#refusalsCheckedMs += ms;
  }

  helloReceived(link: Link, hello: Hello, sameEpoch: boolean, nowMs: number): void {
    link.via = null;
    link.isMissed = false;
    link.session = hello.session;
    link.sequence = 0;
    link.version = sameEpoch ? hello.version : 0;
    link.sentVersion = link.version;
    link.software = hello.software;
    link.summary = hello.summary;
    link.lastHeardMs = nowMs;
    link.seen = true;
    link.instances.clear();
    for (const instance of hello.instances) this.#seen(link, instance, nowMs);
    for (const id of link.runs.keys()) if (!link.instances.has(id)) link.runs.delete(id);
  }

  /** Measured on this clock: the child's may be another. */
  #seen(link: Link, report: InstanceReport, nowMs: number): void {
    if (!this.#isInstance(report.id)) return;
    link.instances.set(report.id, report);
    if (report.state !== 'RUNNING') link.runs.delete(report.id);
    else if (link.runs.get(report.id)?.restarts !== report.restarts)
      link.runs.set(report.id, { restarts: report.restarts, sinceMs: nowMs });
  }

  /** false: a gap (O3). */
  reportReceived(link: Link, report: Report, nowMs: number): boolean {
    if (report.sequence !== link.sequence + 1) return false;
    link.sequence = report.sequence;
    link.lastHeardMs = nowMs;
    link.version = Math.max(link.version, report.version);
    if (report.summary) link.summary = report.summary;
    for (const instance of report.changed) this.#seen(link, instance, nowMs);
    for (const id of report.gone) {
      link.instances.delete(id);
      link.runs.delete(id);
    }
    return true;
  }

  /** What its child says of an instance, if that counts (O2). */
  reportOf(instance: InstanceRecord): InstanceReport | null {
    if (instance.child === null) return null;
    const link = this.links.get(instance.child);
    const report = link?.instances.get(instance.id);
    return link && report && (instance.leaving !== null || link.version >= instance.since) ? report : null;
  }

  isRunning(instance: InstanceRecord): boolean {
    return instance.leaving === null && !instance.lost && this.reportOf(instance)?.state === 'RUNNING';
  }

  /** Whether it has run for so long that another one may go for it. */
  isProven(instance: InstanceRecord, provenAfterMs: number, nowMs: number): boolean {
    const run = instance.child === null ? undefined : this.links.get(instance.child)?.runs.get(instance.id);
    return this.isRunning(instance) && run !== undefined && nowMs - run.sinceMs >= provenAfterMs;
  }

  /** Whether the child has confirmed that nothing of a stopped instance is left. */
  isGone(instance: InstanceRecord): boolean {
    if (instance.child === null) return true;
    const link = this.links.get(instance.child);
    return link !== undefined && link.session !== null && link.version >= instance.since && !link.instances.has(instance.id);
  }

  refused(instance: string, child: string, reason: string, nowMs: number): void {
    const byChild = this.#refusals.get(instance) ?? new Map<string, Refusal>();
    const count = (byChild.get(child)?.count ?? 0) + 1;
    const pauseMs = Math.min(REFUSAL_PAUSE_MS * 2 ** (count - 1), UNCHANGED_PAUSE_MAX_MS);
    const patientUntilMs = nowMs + Math.min(pauseMs, REFUSAL_PAUSE_MAX_MS);
    byChild.set(child, { reason, count, untilMs: nowMs + pauseMs, patientUntilMs });
    this.#refusals.set(instance, byChild);
  }

  /** Children that refused this instance a moment ago, with their reasons. */
  refusalsOf(instance: string, nowMs: number): { readonly child: string; readonly reason: string; readonly untilMs: number }[] {
    return [...(this.#refusals.get(instance) ?? [])]
      .filter(([, refusal]) => refusal.untilMs > nowMs)
      .map(([child, { reason, untilMs }]) => ({ child, reason, untilMs }));
  }

  /** The child may have room now for what it refused. */
  roomChanged(child: string, nowMs: number): void {
    for (const byChild of this.#refusals.values()) {
      const refusal = byChild.get(child);
      if (refusal) refusal.untilMs = Math.min(refusal.untilMs, Math.max(nowMs, refusal.patientUntilMs));
    }
  }

  /** Whether a pause after a refusal has ended since this was last asked. */
  refusalsExpired(nowMs: number): boolean {
    let expired = false;
    for (const byChild of this.#refusals.values()) {
      for (const refusal of byChild.values()) expired ||= refusal.untilMs > this.#refusalsCheckedMs && refusal.untilMs <= nowMs;
    }
    this.#refusalsCheckedMs = nowMs;
    return expired;
  }

  /** What this replica tells others of the children that have their links with it. */
  peerReport(nowMs: number): PeerReport {
    const own = [...this.links].filter(([, link]) => link.via === null && link.session !== null && link.summary !== null);
    const summaries = own.flatMap(([, { summary }]) => summary ?? []);
    const nodes = summaries.reduce((sum, summary) => sum + summary.nodes, 0);
    return {
      load: nodes === 0 ? 0 : summaries.reduce((sum, summary) => sum + summary.load * summary.nodes, 0) / nodes,
      children: own.flatMap(([name, { session, software, version, summary, instances, runs, lastHeardMs }]) => {
        if (session === null || summary === null) return [];
        const runningForMs = Object.fromEntries([...runs].map(([id, { sinceMs }]) => [id, Math.max(0, nowMs - sinceMs)]));
        const heardAgoMs = Math.max(0, nowMs - lastHeardMs);
        return [{ name, session, software, version, summary, instances: [...instances.values()], runningForMs, heardAgoMs }];
      }),
    };
  }

  /** O4. `isMember`: whether there is such a child. True if any of it is news. */
  peerTold(peer: string, report: PeerReport, nowMs: number, isMember: (name: string) => boolean): boolean {
    let isNews = false;
    const there = new Set<string>();
    for (const child of report.children) {
      if (!isMember(child.name)) continue;
      there.add(child.name);
      const link = this.link(child.name, nowMs);
      const heardMs = nowMs - child.heardAgoMs;
      if (link.via === null && link.session !== null && link.lastHeardMs >= heardMs) continue;
      isNews = true;
      link.via = peer;
      link.isMissed = false;
      link.session = child.session;
      link.software = child.software;
      link.version = child.version;
      link.sentVersion = child.version;
      link.summary = child.summary;
      link.lastHeardMs = heardMs;
      link.seen = true;
      link.instances.clear();
      link.runs.clear();
      for (const instance of child.instances) {
        if (!this.#isInstance(instance.id)) continue;
        link.instances.set(instance.id, instance);
        const runningForMs = child.runningForMs[instance.id];
        if (instance.state === 'RUNNING' && runningForMs !== undefined)
          link.runs.set(instance.id, { restarts: instance.restarts, sinceMs: nowMs - runningForMs });
      }
    }
    for (const [name, link] of this.links) {
      if (link.via !== peer || there.has(name) || link.session === null) continue;
      link.session = null;
      link.lastHeardMs = nowMs;
      isNews = true;
    }
    this.#loads.set(peer, report.load);
    return isNews;
  }

  /** O4. */
  presume(connected: ReadonlySet<string>, nowMs: number): void {
    for (const link of this.links.values())
      if (link.via !== null && link.session !== null && connected.has(link.via)) link.lastHeardMs = nowMs;
  }

  /** O4. `isComplete`: all replicas have spoken, so that whoever is missing now has not moved to another one. */
  takenOver(connected: ReadonlySet<string>, lastGoneAtMs: number, isComplete: boolean): void {
    for (const link of this.links.values()) {
      const isSpokenOf = link.session !== null && (link.via === null || connected.has(link.via));
      if (isSpokenOf) link.isMissed = false;
      else if (!link.isMissed) {
        link.lastHeardMs = Math.max(link.lastHeardMs, lastGoneAtMs);
        link.isMissed = isComplete;
      }
    }
  }

  /** As the replica of this name last told; 0 while it has not. */
  loadOf(peer: string): number {
    return this.#loads.get(peer) ?? 0;
  }

  forgetInstance(instance: string): void {
    this.#refusals.delete(instance);
  }

  forgetChild(child: string): void {
    this.links.delete(child);
  }
}
