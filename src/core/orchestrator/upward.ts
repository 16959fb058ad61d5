/**
 * What a cluster tells its parent: to the parent it is a node. One report for each of the parent's instances,
 * and the merged summary of what its own children have free. What has not changed stays the same object, so
 * that the uplink session sees at a glance what is news.
 */
import { limits } from '../base/limits.ts';
import type { InstanceState } from '../model/instance-state.ts';
import { type InstanceReport, reportedReason } from '../model/messages.ts';
import type { Summary } from '../model/summary.ts';
import { type ChildStatus, sameCapacity } from '../uplink/child-session.ts';
import { assignmentOf } from './services.ts';
import type { OrchestratorState, ServiceRecord } from './state.ts';
import { nodePath, stateOf, type ViewContext } from './views.ts';

/** Measured load moves a summary only in steps of this size. */
const LOAD_STEP = 0.05;

export class UpwardStatus {
  readonly #reports = new Map<string, InstanceReport>();
  readonly #touched = new Set<string>();
  #summary: Summary | null = null;
  #capacityChanged = true;

  /** The service of this key may have to be told of anew. */
  touch(key: string): void {
    this.#touched.add(key);
  }

  touchAll(state: OrchestratorState): void {
    for (const service of state.services.values()) if (service.owner === 'parent') this.#touched.add(service.key);
  }

  capacityChanged(): void {
    this.#capacityChanged = true;
  }

  /** `settled`: whether the cluster knows its nodes well enough to refuse. `summarise` is called only when it may say something new. */
  status(context: ViewContext, settled: boolean, summarise: () => Summary): ChildStatus {
    for (const key of this.#touched) if (key.startsWith('parent:')) this.#refresh(key, context, settled);
    this.#touched.clear();
    const { upstream } = context.state;
    return {
      epoch: upstream?.epoch ?? '',
      version: upstream?.version ?? 0,
      summary: this.#refreshSummary(summarise),
      instances: this.#reports,
    };
  }

  #refresh(key: string, context: ViewContext, settled: boolean): void {
    const service = context.state.services.get(key);
    if (!service) {
      this.#reports.delete(key.slice('parent:'.length));
      return;
    }
    const id = assignmentOf(service);
    const before = this.#reports.get(id);
    const fresh = upwardReport(service, context, settled);
    const sinceMs = before?.state === fresh.state ? before.sinceMs : context.nowMs;
    if (!before || !sameReport(before, fresh)) this.#reports.set(id, { ...fresh, sinceMs });
  }

  #refreshSummary(summarise: () => Summary): Summary {
    const before = this.#summary;
    if (before !== null && !this.#capacityChanged) return before;
    this.#capacityChanged = false;
    const fresh = summarise();
    if (before !== null && Math.abs(fresh.load - before.load) < LOAD_STEP && sameCapacity(fresh, before)) return before;
    this.#summary = fresh;
    return fresh;
  }
}

function sameReport(a: InstanceReport, b: Omit<InstanceReport, 'sinceMs'>): boolean {
  return JSON.stringify({ ...a, sinceMs: 0 }) === JSON.stringify({ ...b, sinceMs: 0 });
}

/** How urgent each state is when one line must stand for all copies of an instance. */
const UPWARD_RANK: readonly InstanceState[] = [
  'RUNNING',
  'MIGRATING',
  'STARTING',
  'FAILED',
  'SCHEDULED_NODE',
  'SCHEDULED_CLUSTER',
  'REFUSED',
  'REQUESTED',
  'LOST',
];

/**
 * What this cluster tells its parent of one of the parent's instances: the best of the copies here.
 * `settled`: whether the cluster knows its nodes well enough to refuse.
 */
function upwardReport(service: ServiceRecord, context: ViewContext, settled: boolean): Omit<InstanceReport, 'sinceMs'> {
  const blank = { id: assignmentOf(service), node: '', endpoints: [], restarts: 0, exitCode: null };
  if (service.deleting) return { ...blank, state: 'STOPPING', reason: '' };
  const best = context.state
    .instancesOf(service.key)
    .filter((instance) => instance.leaving === null)
    .map((instance) => ({ instance, ...stateOf(instance, context) }))
    .sort((a, b) => UPWARD_RANK.indexOf(a.state) - UPWARD_RANK.indexOf(b.state))[0];
  if (!best || best.state === 'LOST') return { ...blank, state: 'SCHEDULED_CLUSTER', reason: reportedReason(best?.reason ?? '') };
  if (best.state === 'REQUESTED' || best.state === 'REFUSED') {
    const looked = context.refusals.has(best.instance.id);
    return { ...blank, state: looked && settled ? 'REFUSED' : 'SCHEDULED_CLUSTER', reason: reportedReason(best.reason) };
  }
  const report = context.observed.reportOf(best.instance);
  return {
    ...blank,
    // The parent has a word of its own for a move that it asked for.
    state: best.state === 'MIGRATING' ? 'RUNNING' : best.state,
    reason: reportedReason(best.reason),
    node: nodePath(best.instance, report, context).slice(0, limits.nodePathLength),
    endpoints: report?.endpoints ?? [],
    restarts: report?.restarts ?? 0,
    exitCode: report?.exitCode ?? null,
  };
}
