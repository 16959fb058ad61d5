/**
 * The desired state of one child as messages: from the version it knows to the newest, or all of it.
 * Versions are used once each (S3), so a long list splits into messages at any version.
 */
import { must } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import type { Assignment, Desired } from '../model/messages.ts';
import type { ServiceSpec } from '../model/service.ts';
import type { InstanceRecord, Member, OrchestratorState } from './state.ts';

/** An instance as its child shall run it. A target that is left over below the child goes with it. */
export function assignmentFor(state: OrchestratorState, instance: InstanceRecord): Assignment {
  const service = must(state.services.get(instance.service), `service ${instance.service}`);
  const spec = singleOf(state.specOf(instance));
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
  const { session, heartbeatMs } = context;
  // Written out: to spread an object and add to it takes Node 20 microseconds.
  const message = ({ from, to, more, set, unset }: Omit<Desired, 'type' | 'session' | 'epoch' | 'heartbeatMs'>): Desired => ({
    type: 'desired',
    session,
    epoch: state.epoch,
    heartbeatMs,
    from,
    to,
    more,
    set,
    unset,
  });
  const steps = stepsAfter(state, member, from);

  const messages: Desired[] = [];
  let reached = from;
  for (let start = 0; start < steps.length; ) {
    const set: Assignment[] = [];
    const unset: string[] = [];
    let length = 0;
    let end = start;
    for (const step of steps.slice(start, start + limits.desiredBatch)) {
      const assignment = step.set ? assignmentFor(state, step.set) : null;
      // One always goes: nearly all messages are of one, and its length need not be known.
      length += assignment && steps.length > 1 ? JSON.stringify(assignment).length : 0;
      if (length > limits.desiredBatchLength && end > start) break;
      if (assignment) set.push(assignment);
      if (step.unset !== null) unset.push(step.unset);
      end += 1;
    }
    const last = end === steps.length;
    const to = last ? member.version : must(steps[end - 1], 'a step').version;
    messages.push(message({ from: reached, to, more: from === 0 && !last, set, unset }));
    reached = to;
    start = end;
  }
  const { orchestrators } = context;
  if (messages.length === 0 && (context.greet || orchestrators !== null || reached < member.version || from !== known))
    messages.push(message({ from, to: member.version, more: false, set: [], unset: [] }));
  const [first, ...others] = messages;
  if (first && orchestrators !== null && orchestrators.length > 0)
    return [{ ...first, orchestrators: [...orchestrators] }, ...others];
  return messages;
}

/** One change of a desired state. */
interface Step {
  readonly version: number;
  readonly set: InstanceRecord | null;
  readonly unset: string | null;
}

function stepsAfter(state: OrchestratorState, member: Member, from: number): readonly Step[] {
  const steps: Step[] = [];
  for (const instance of state.instancesOn(member.record.name))
    if (instance.leaving === null && instance.since > from) steps.push({ version: instance.since, set: instance, unset: null });
  // Taken away and given again while the child was not listening: only the last word counts.
  if (from > 0 && member.unset.length > 0) {
    const given = new Set(steps.map(({ set }) => set?.id));
    for (const { id, version } of member.unset)
      if (version > from && !given.has(id)) steps.push({ version, set: null, unset: id });
  }
  return steps.length > 1 ? steps.sort((a, b) => a.version - b.version) : steps;
}

const singles = new WeakMap<ServiceSpec, ServiceSpec>();

/** The spec as a child is told it, the same object for all instances. */
function singleOf(spec: ServiceSpec): ServiceSpec {
  const known = singles.get(spec);
  if (known) return known;
  const single = { ...spec, replicas: 1 };
  singles.set(spec, single);
  return single;
}
