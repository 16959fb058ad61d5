/** One instance on a node, as the engine sees it. */
import { assertFollows, type InstanceState } from '../model/instance-state.ts';
import { type Assignment, type Endpoint, type InstanceReport, reportedReason } from '../model/messages.ts';

export class InstanceOnNode {
  assignment: Assignment;
  /** Does the parent want it? */
  wanted = true;
  /** Stopped by this node itself after too long without a parent (`stopOnNodeAfter`). */
  held = false;
  /** An effect on it is under way; its outcome comes as an input. */
  busy = false;
  /** Whether the runtime may have a trace of it. */
  touched = false;
  /** Why it is refused; the parent is told when the save of this number is done. */
  refusal: { readonly reason: string; readonly save: number } | null = null;
  failures = 0;
  startedAtMs = 0;
  nextStartAtMs = 0;
  #report: InstanceReport;

  constructor(assignment: Assignment, nowMs: number) {
    this.assignment = assignment;
    this.#report = {
      id: assignment.id,
      state: 'SCHEDULED_NODE',
      reason: '',
      node: '',
      endpoints: [],
      restarts: 0,
      sinceMs: nowMs,
      exitCode: null,
    };
  }

  get id(): string {
    return this.assignment.id;
  }

  get state(): InstanceState {
    return this.#report.state;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#report.endpoints;
  }

  /** What the parent is told; a new object whenever it says something new. */
  get report(): InstanceReport {
    return this.#report;
  }

  become(
    state: InstanceState,
    nowMs: number,
    news: Partial<Pick<InstanceReport, 'reason' | 'endpoints' | 'restarts' | 'exitCode'>> = {},
  ): void {
    assertFollows(this.#report.state, state, this.id);
    const sinceMs = state === this.#report.state ? this.#report.sinceMs : nowMs;
    this.#report = { ...this.#report, ...news, reason: reportedReason(news.reason ?? ''), state, sinceMs };
  }

  /** Whether it holds a share of the node: everything but what was refused. */
  get reserves(): boolean {
    return this.refusal === null;
  }
}
