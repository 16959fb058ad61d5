/** Applies what reconciliation decided; what no longer holds is skipped. */
import { must, unreachable } from '../base/assert.ts';
import type { DecidedBy, DecisionCause, Seen } from '../model/decisions.ts';
import type { Changes } from './changes.ts';
import type { Decision } from './commands.ts';
import { finishService } from './services.ts';
import { describeTarget, type InstanceRecord, type OrchestratorState } from './state.ts';

/** What a member was told to stop is remembered this long back; one that missed more is told everything anew. */
const UNSET_REMEMBERED = 256;

/** Who decided, and when. */
interface Decider extends DecidedBy {
  readonly atMs: number;
}

export function applyDecision(state: OrchestratorState, decision: Decision, decider: Decider, changes: Changes): void {
  const { atMs } = decider;
  if (decision.do === 'create') {
    createInstance(state, decision, decider, changes);
    return;
  }
  const instance = state.instances.get(decision.instance);
  if (!instance) {
    if (decision.do === 'place') changes.roomGrew = true;
    return;
  }
  switch (decision.do) {
    case 'place':
      if (instance.leaving !== null || instance.child !== null) {
        changes.roomGrew = true;
        return;
      }
      tell(state, instance, decision, decider, changes);
      break;
    case 'unplace':
      if (instance.leaving !== null || instance.child === null) return;
      untell(state, instance, changes);
      state.assign(instance, null);
      forgetFinishedMove(state, instance);
      state.setMove(instance, null); // it has no place any more that it could leave
      break;
    case 'stop':
      if (instance.leaving !== null) return;
      instance.leaving = decision.leaving;
      untell(state, instance, changes);
      break;
    case 'forget':
      if (instance.leaving === null) return;
      if (instance.child !== null) changes.changedMembers.add(instance.child);
      changes.roomGrew = true;
      state.removeInstance(instance);
      changes.removedInstances.push(instance.id);
      for (const other of state.instancesOf(instance.service))
        if (other.replaces === instance.id && other.child === null) forgetFinishedMove(state, other);
      finishService(state, instance.service, changes);
      break;
    case 'lose':
      if (instance.lost || instance.leaving !== null || instance.child === null) return;
      instance.lost = true;
      changes.event(`instance/${instance.id}`, `lost: ${instance.child} is silent`, 'warning');
      break;
    case 'regain':
      instance.lost = false;
      changes.event(`instance/${instance.id}`, `is back with ${instance.child}`);
      break;
    case 'giveUpMove':
      if (instance.move === null) return;
      changes.event(
        `instance/${instance.id}`,
        `stays: no place found at ${describeTarget(instance.move.target)} in time`,
        'warning',
      );
      state.setMove(instance, null);
      break;
    default:
      unreachable(decision);
  }
  instance.changedAtMs = atMs;
  changes.touched.add(instance.service);
  changes.touchedInstances.add(instance.id);
  if (instance.replaces !== null) changes.touchedInstances.add(instance.replaces);
}

/** Where a move was to go binds until what it moved is gone; later, when that place is lost, any other will do. */
function forgetFinishedMove(state: OrchestratorState, instance: InstanceRecord): void {
  const old = instance.replaces === null ? undefined : state.instances.get(instance.replaces);
  if (old && old.leaving === null) return;
  instance.target = null;
  instance.avoid = null;
}

function createInstance(
  state: OrchestratorState,
  decision: Extract<Decision, { do: 'create' }>,
  decider: Decider,
  changes: Changes,
): void {
  const { atMs } = decider;
  const service = state.services.get(decision.service);
  if (!service?.specs.has(decision.generation) || service.deleting || decision.number < state.nextNumber) {
    if (decision.child !== null) changes.roomGrew = true;
    return;
  }
  state.nextNumber = decision.number + 1;
  const instance: InstanceRecord = {
    id: decision.id,
    service: decision.service,
    generation: decision.generation,
    createdAtMs: atMs,
    replaces: decision.replaces,
    target: decision.target,
    avoid: decision.avoid,
    child: null,
    since: 0,
    leaving: null,
    lost: false,
    move: null,
    changedAtMs: atMs,
  };
  state.addInstance(instance);
  changes.touched.add(decision.service);
  changes.touchedInstances.add(instance.id);
  // It now is, or is no longer, the successor of this one.
  if (decision.replaces !== null) changes.touchedInstances.add(decision.replaces);
  if (decision.child !== null) tell(state, instance, { child: decision.child, seen: decision.seen }, decider, changes);
}

interface Placed {
  readonly child: string;
  readonly seen?: Seen | undefined;
}

/** Gives the instance to the child, under a new version of the child's desired state, and leaves a record of it. */
function tell(state: OrchestratorState, instance: InstanceRecord, placed: Placed, decider: Decider, changes: Changes): void {
  const { child, seen = null } = placed;
  const { atMs, term, leader, votes } = decider;
  const member = state.members.get(child);
  if (!member) return;
  const cause = causeOf(state, instance);
  const { id, service, replaces } = instance;
  const request = requestBehind(state, instance, cause);
  state.decisions.append({ atMs, cause, service, instance: id, replaces, request, seen, choice: child, term, leader, votes });
  member.version += 1;
  state.assign(instance, child);
  instance.since = member.version;
  instance.changedAtMs = atMs;
  changes.told.add(child);
  changes.event(`instance/${instance.id}`, `placed on ${child}`);
}

/** Why it needs a place now. */
function causeOf(state: OrchestratorState, instance: InstanceRecord): DecisionCause {
  if (instance.since > 0) return 'refused'; // a child has been told of it before
  if (instance.replaces === null) return 'create';
  const old = state.instances.get(instance.replaces);
  if (!old || old.lost) return 'replace';
  return old.generation === instance.generation ? 'migrate' : 'update';
}

function requestBehind(state: OrchestratorState, instance: InstanceRecord, cause: DecisionCause): string | null {
  const old = instance.replaces === null ? undefined : state.instances.get(instance.replaces);
  if (cause === 'migrate') return old?.move?.request ?? null;
  return cause === 'create' || cause === 'update' ? (state.services.get(instance.service)?.request ?? null) : null;
}

/** Takes it out of its child's desired state; the record stays until the child says that nothing is left. */
function untell(state: OrchestratorState, instance: InstanceRecord, changes: Changes): void {
  if (instance.child === null) return;
  const member = must(state.members.get(instance.child), `child ${instance.child}`);
  member.version += 1;
  instance.since = member.version;
  member.unset.push({ id: instance.id, version: member.version });
  while (member.unset.length > UNSET_REMEMBERED) member.forgottenVersion = must(member.unset.shift(), 'unset').version;
  changes.told.add(instance.child);
  changes.roomGrew = true;
}
