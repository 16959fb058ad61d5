/**
 * The desired state of one child as messages: from the version it knows to the newest, or all of it.
 * Versions are used once each (S3), so a long list splits into messages at any version.
 */
import { must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import type { Assignment, Desired } from '../model/messages.ts';
import type { InstanceRecord, Member, OrchestratorState } from './state.ts';

/** An instance as its child shall run it. A target that is left over below the child goes with it. */
export function assignmentFor(state: OrchestratorState, instance: InstanceRecord): Assignment {
  const service = must(state.services.get(instance.service), `service ${instance.service}`);
  const spec = { ...state.specOf(instance), replicas: 1 };
  const node = instance.target?.node;
  return {
    id: instance.id,
    service: service.service,
    spec: node && node !== instance.child ? { ...spec, placement: { ...spec.placement, node } } : spec,
  };
}

/** What the child must be told after `known`; always at least one message when `greet`. */
export function desiredSince(
  state: OrchestratorState,
  member: Member,
  known: number,
  context: {
    readonly session: string;
    readonly heartbeatMs: number;
    /** Where this orchestrator's replicas are, when the child is to be told: with the greeting, and when it changes. */
    readonly orchestrators: readonly string[] | null;
    readonly greet: boolean;
  },
): Desired[] {
  const from = known >= member.forgottenVersion && known <= member.version ? known : 0;
  const base = { type: 'desired', session: context.session, epoch: state.epoch, heartbeatMs: context.heartbeatMs } as const;
  const wanted = state.instancesOn(member.record.name).filter((instance) => instance.leaving === null && instance.since > from);
  // Taken away and given again while the child was not listening: only the last word counts.
  const wantedIds = new Set(wanted.map((instance) => instance.id));
  const unset = from === 0 ? [] : member.unset.filter((entry) => entry.version > from && !wantedIds.has(entry.id));
  const steps = [
    ...wanted.map((instance) => ({ version: instance.since, set: instance })),
    ...unset.map((entry) => ({ version: entry.version, unset: entry.id })),
  ].sort((a, b) => a.version - b.version);

  const messages: Desired[] = [];
  let reached = from;
  for (let start = 0; start < steps.length; ) {
    const set: Assignment[] = [];
    const unset: string[] = [];
    let length = 0;
    let end = start;
    for (const step of steps.slice(start, start + limits.desiredBatch)) {
      const assignment = 'set' in step ? assignmentFor(state, step.set) : null;
      // One always goes: nearly all messages are of one, and its length need not be known.
      length += assignment && steps.length > 1 ? JSON.stringify(assignment).length : 0;
      if (length > limits.desiredBatchLength && end > start) break;
      if (assignment) set.push(assignment);
      if ('unset' in step) unset.push(step.unset);
      end += 1;
    }
    const last = end === steps.length;
    const to = last ? member.version : must(steps[end - 1], 'a step').version;
    messages.push({ ...base, from: reached, to, more: from === 0 && !last, set, unset });
    reached = to;
    start = end;
  }
  const { orchestrators } = context;
  if (messages.length === 0 && (context.greet || orchestrators !== null || reached < member.version || from !== known))
    messages.push({ ...base, from, to: member.version, more: false, set: [], unset: [] });
  const [first, ...others] = messages;
  if (first && orchestrators !== null && orchestrators.length > 0)
    return [{ ...first, orchestrators: [...orchestrators] }, ...others];
  return messages;
}
