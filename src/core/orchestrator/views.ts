/** State and observations in the user's words: what the API answers. Pure reading. */
import { must } from '../base/assert.ts';
import type { InstanceState } from '../model/instance-state.ts';
import type { InstanceReport } from '../model/messages.ts';
import type { ChildView, InstanceView, RefusalView, ServicePhase, ServiceView, TokenView } from '../model/views.ts';
import type { Observed } from './observed.ts';
import type { InstanceRecord, OrchestratorState, ServiceRecord } from './state.ts';

export interface ViewContext {
  readonly state: OrchestratorState;
  readonly observed: Observed;
  readonly nowMs: number;
  /** What each candidate lacked when a place was last looked for. */
  readonly refusals: ReadonlyMap<string, readonly RefusalView[]>;
}

const LEAVING_REASON = {
  scaling: 'fewer replicas are wanted',
  migrating: 'its successor runs',
  updating: 'its successor runs',
  deleting: 'the service is deleted',
  replaced: 'it was replaced while its node was away',
  surplus: 'it is not needed any more',
} as const;

/** An instance's state as the user sees it, and why. */
export function stateOf(instance: InstanceRecord, context: ViewContext): { state: InstanceState; reason: string } {
  const { state, observed, nowMs } = context;
  const report = observed.reportOf(instance);
  if (instance.leaving !== null) {
    const reason = LEAVING_REASON[instance.leaving];
    if (instance.child === null) return { state: 'TERMINATED', reason };
    // Until the child has taken it up; from its version, not its report: that one is missing at first after a restart, and at last.
    const untold = (observed.links.get(instance.child)?.version ?? 0) < instance.since;
    return { state: untold && instance.leaving === 'scaling' ? 'SCALING' : 'STOPPING', reason };
  }
  if (instance.child === null) return { state: 'REQUESTED', reason: waitingReason(context.refusals.get(instance.id)) };
  const link = observed.links.get(instance.child);
  const silentMs = link ? nowMs - link.lastHeardMs : 0;
  if (instance.lost) return { state: 'LOST', reason: `${instance.child} has been silent for ${Math.round(silentMs / 1000)} s` };
  if (!report) {
    const kind = must(state.members.get(instance.child), 'child').record.kind;
    return {
      state: kind === 'cluster' ? 'SCHEDULED_CLUSTER' : 'SCHEDULED_NODE',
      reason: link?.session ? '' : `${instance.child} is not connected`,
    };
  }
  const own = report.state === 'REQUESTED' ? 'SCHEDULED_CLUSTER' : report.state;
  const moving = own === 'RUNNING' && state.hasSuccessor(instance.id);
  return moving ? { state: 'MIGRATING', reason: 'its successor is on the way' } : { state: own, reason: report.reason };
}

function waitingReason(refusals: readonly RefusalView[] | undefined): string {
  if (!refusals) return '';
  if (refusals.length === 0) return 'no nodes yet';
  const [first] = refusals;
  if (refusals.length === 1 && first) return `${first.child}: ${first.detail}`;
  const counts = new Map<string, number>();
  for (const refusal of refusals) counts.set(refusal.kind, (counts.get(refusal.kind) ?? 0) + 1);
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([kind, count]) => `${count} ${kind}`);
  return `no place among ${refusals.length}: ${parts.join(', ')}`;
}

export function instanceView(instance: InstanceRecord, context: ViewContext): InstanceView {
  const report = context.observed.reportOf(instance);
  const { state, reason } = stateOf(instance, context);
  return {
    id: instance.id,
    service: must(context.state.services.get(instance.service), 'service').key,
    generation: instance.generation,
    state,
    reason,
    child: instance.child,
    node: nodePath(instance, report, context),
    endpoints: report ? [...report.endpoints] : [],
    restarts: report?.restarts ?? 0,
    exitCode: report?.exitCode ?? null,
    createdAtMs: instance.createdAtMs,
    sinceMs: Math.max(report?.sinceMs ?? 0, instance.changedAtMs),
    replaces: instance.replaces,
    refusals: instance.child === null ? [...(context.refusals.get(instance.id) ?? [])] : [],
  };
}

export function nodePath(instance: InstanceRecord, report: InstanceReport | null, { state }: ViewContext): string {
  if (instance.child === null) return '';
  if (report?.node) return `${instance.child}/${report.node}`;
  return state.members.get(instance.child)?.record.kind === 'node' ? instance.child : '';
}

export function serviceView(service: ServiceRecord, context: ViewContext): ServiceView {
  const instances = context.state.instancesOf(service.key);
  const running = instances.filter((instance) => context.observed.isRunning(instance)).length;
  const { phase, reason } = phaseOf(service, instances, running, context);
  const spec = must(service.specs.get(service.generation), 'present spec');
  return {
    name: service.key,
    labels: service.labels,
    owner: service.owner,
    generation: service.generation,
    phase,
    reason,
    wanted: service.deleting ? 0 : service.replicas,
    running,
    createdAtMs: service.createdAtMs,
    updatedAtMs: service.updatedAtMs,
    spec: { ...spec, replicas: service.replicas },
  };
}

function phaseOf(
  service: ServiceRecord,
  instances: readonly InstanceRecord[],
  running: number,
  context: ViewContext,
): { phase: ServicePhase; reason: string } {
  if (service.deleting) return { phase: 'STOPPING', reason: `${instances.length} still stopping` };
  const states = instances.map((instance) => stateOf(instance, context));
  const current = instances.filter((instance) => instance.leaving === null);
  const waiting = states.find((one) => one.state === 'REQUESTED' && one.reason !== '');
  const failed = states.find((one) => one.state === 'FAILED');
  if (current.some((instance) => instance.generation !== service.generation))
    return { phase: 'UPDATING', reason: (waiting ?? failed)?.reason ?? '' };
  if (states.some((one) => one.state === 'MIGRATING')) return { phase: 'MIGRATING', reason: waiting?.reason ?? '' };
  if (failed && running < service.replicas) return { phase: 'FAILED', reason: failed.reason };
  if (running >= service.replicas)
    return { phase: states.some((one) => one.state === 'SCALING') ? 'SCALING' : 'RUNNING', reason: '' };
  if (running > 0) return { phase: 'SCALING', reason: waiting?.reason ?? '' };
  return { phase: 'REQUESTED', reason: waiting?.reason ?? '' };
}

export function childView(name: string, context: ViewContext): ChildView {
  const member = must(context.state.members.get(name), `child ${name}`);
  const link = context.observed.links.get(name);
  const { record } = member;
  return {
    name,
    kind: record.kind,
    state: childState(name, context),
    software: link?.software ?? '',
    registeredAtMs: record.joinedAtMs,
    lastHeardMs: link?.seen ? link.lastHeardMs : null,
    instances: context.state.countOn(name),
    summary: link?.summary ?? null,
  };
}

function childState(name: string, { state, observed, nowMs }: ViewContext): ChildView['state'] {
  const member = must(state.members.get(name), `child ${name}`);
  const link = observed.links.get(name);
  if (!link?.seen) return 'expected';
  if (link.session === null || isSilent(link.lastHeardMs, nowMs))
    return nowMs - link.lastHeardMs > SHOWN_LOST_AFTER_MS ? 'lost' : 'silent';
  if (member.draining) return 'draining';
  return member.cordoned ? 'cordoned' : 'ready';
}

/** Services have patience of their own; a list of nodes needs one number. */
const SHOWN_LOST_AFTER_MS = 60_000;
const SILENT_AFTER_MS = 4_000;

export function isSilent(lastHeardMs: number, nowMs: number): boolean {
  return nowMs - lastHeardMs > SILENT_AFTER_MS;
}

export function tokenViews(state: OrchestratorState): TokenView[] {
  return [...state.tokens.values()].map(({ id, role, createdAtMs, expiresAtMs, usesLeft }) => ({
    id,
    role,
    createdAtMs,
    expiresAtMs,
    usesLeft,
  }));
}
