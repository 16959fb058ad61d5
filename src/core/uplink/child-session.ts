/**
 * The child's half of the uplink protocol (core/model/messages.ts), the same for a node and for a cluster:
 * what to say, given how things are, and what the parent's messages amount to.
 *
 * Invariants:
 *  C1. Nothing but a hello is said before the parent has answered it: until then the parent knows nothing
 *      to which a change could be added.
 *  C2. hello and the reports after it, added up, are how things are at the child.
 *  C3. A wish is taken up only on top of the version it was made for; otherwise the session is broken and
 *      the link must be opened anew.
 */
import type { Assignment, Desired, Hello, InstanceReport, Report } from '../model/messages.ts';
import { UPLINK_VERSION } from '../model/messages.ts';
import type { Summary } from '../model/summary.ts';

/** How things are at the child. A report object that has not changed is the same object. */
export interface ChildStatus {
  readonly epoch: string;
  readonly version: number;
  readonly summary: Summary;
  readonly instances: ReadonlyMap<string, InstanceReport>;
}

/** What the parent wants, as one change. */
export interface Wish {
  readonly epoch: string;
  readonly version: number;
  /** Whether `set` is everything that it wants. */
  readonly all: boolean;
  readonly set: readonly Assignment[];
  readonly unset: readonly string[];
}

export type Received =
  | { readonly kind: 'wish'; readonly wish: Wish }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'broken'; readonly reason: string };

export class ChildSession {
  readonly #kind: 'node' | 'cluster';
  readonly #software: string;
  #session: string | null = null;
  #answered = false;
  #sequence = 0;
  #toldVersion = 0;
  #toldSummary: Summary | null = null;
  #told = new Map<string, InstanceReport>();
  #lastSaidMs = 0;
  #assembly: Assignment[] | null = null;
  /** Version on top of which the next wish must be made. */
  #wishVersion = 0;
  heartbeatMs = 1_000;

  constructor(kind: 'node' | 'cluster', software: string) {
    this.#kind = kind;
    this.#software = software;
  }

  get open(): boolean {
    return this.#session !== null;
  }

  linkOpened(session: string, status: ChildStatus, nowMs: number): Hello {
    this.#session = session;
    this.#answered = false;
    this.#sequence = 0;
    this.#assembly = null;
    this.#wishVersion = status.version;
    this.#remember(status, nowMs);
    return {
      type: 'hello',
      protocol: UPLINK_VERSION,
      session,
      kind: this.#kind,
      software: this.#software,
      epoch: status.epoch,
      version: status.version,
      summary: status.summary,
      instances: [...status.instances.values()],
    };
  }

  linkClosed(): void {
    this.#session = null;
  }

  desiredReceived(message: Desired): Received {
    if (message.session !== this.#session) return { kind: 'nothing' };
    this.#answered = true;
    this.heartbeatMs = message.heartbeatMs;
    const { epoch, from, to, set, unset, more } = message;
    if (from === 0) this.#assembly = [];
    else if (from !== this.#wishVersion)
      return { kind: 'broken', reason: `desired state skips from version ${this.#wishVersion} to ${from}` };
    this.#wishVersion = to;
    if (this.#assembly) {
      this.#assembly.push(...set);
      if (more) return { kind: 'nothing' };
      const all = this.#assembly;
      this.#assembly = null;
      return { kind: 'wish', wish: { epoch, version: to, all: true, set: all, unset: [] } };
    }
    if (from === to) return { kind: 'nothing' };
    return { kind: 'wish', wish: { epoch, version: to, all: false, set, unset } };
  }

  /** What is to be said now: what has changed, or a heartbeat when one is due; null: nothing. */
  report(status: ChildStatus, nowMs: number): Report | null {
    if (this.#session === null || !this.#answered) return null;
    const changed: InstanceReport[] = [];
    for (const report of status.instances.values()) if (this.#told.get(report.id) !== report) changed.push(report);
    const gone = [...this.#told.keys()].filter((id) => !status.instances.has(id));
    const news = changed.length > 0 || gone.length > 0 || status.version !== this.#toldVersion;
    // Load alone is no news: it rides along with the next heartbeat.
    const freed = this.#toldSummary !== null && !sameCapacity(this.#toldSummary, status.summary);
    // A clock that was set back must not silence the child for as long.
    const due = nowMs - this.#lastSaidMs >= this.heartbeatMs || nowMs < this.#lastSaidMs;
    if (!news && !freed && !due) return null;
    const summary = status.summary === this.#toldSummary ? undefined : status.summary;
    this.#sequence += 1;
    this.#remember(status, nowMs);
    const report: Report = {
      type: 'report',
      session: this.#session,
      sequence: this.#sequence,
      version: status.version,
      changed,
      gone,
    };
    return summary ? { ...report, summary } : report;
  }

  /** When `report` next has a heartbeat to give, if nothing changes before. */
  nextHeartbeatMs(): number {
    return this.#session === null || !this.#answered ? Number.POSITIVE_INFINITY : this.#lastSaidMs + this.heartbeatMs; // C1
  }

  #remember(status: ChildStatus, nowMs: number): void {
    this.#toldVersion = status.version;
    this.#toldSummary = status.summary;
    this.#told = new Map(status.instances);
    this.#lastSaidMs = nowMs;
  }
}

/** Equal in all but measured load. */
export function sameCapacity(a: Summary, b: Summary): boolean {
  if (a === b) return true;
  return JSON.stringify({ ...a, load: 0 }) === JSON.stringify({ ...b, load: 0 });
}
