/**
 * Applies one log entry to the state: total, deterministic, never refusing an entry as such. A request that
 * cannot be granted changes nothing and answers why; a decision that no longer holds is skipped.
 */
import { unreachable } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import type { ClientRequest } from '../model/requests.ts';
import { applyDecision } from './apply-decision.ts';
import { applyRecovery, foundGroup } from './apply-replicas.ts';
import { applyRequest } from './apply-request.ts';
import { type Applied, Changes, type RequestAnswer } from './changes.ts';
import type { Command, LoggedCommand } from './commands.ts';
import { addService, finishService, markDeleting, parentKey } from './services.ts';
import type { OrchestratorState } from './state.ts';

export function apply(state: OrchestratorState, { command, atMs }: LoggedCommand): Applied {
  const changes = new Changes();
  applyCommand(state, command, atMs, changes);
  return changes;
}

function applyCommand(state: OrchestratorState, command: Command, atMs: number, changes: Changes): void {
  switch (command.type) {
    case 'initialise':
      if (state.epoch !== '') return;
      state.epoch = state.firstEpoch = command.epoch;
      state.name = command.name;
      state.createdAtMs = atMs;
      state.decisions.begin(command.epoch);
      return;
    case 'foundGroup':
      if (state.replicas.size === 0) foundGroup(state, command.replica, atMs);
      return;
    case 'recovered':
      applyRecovery(state, command, changes);
      return;
    case 'request':
      changes.answer = answerOnce(state, command.idempotencyKey, () => {
        const answer = applyRequest(state, command.request, atMs, changes);
        if (answer.ok && answer.value.effect !== 'unchanged') noteRequest(state, command.request, command.idempotencyKey);
        return answer;
      });
      return;
    case 'decide': {
      const { tip, by = { term: 1, leader: state.name, votes: [] } } = command;
      if (tip) state.decisions.witness(tip);
      const decider = { ...by, atMs };
      for (const decision of command.decisions) applyDecision(state, decision, decider, changes);
      return;
    }
    case 'parentDesired':
      applyParentDesired(state, command, atMs, changes);
      return;
    default:
      unreachable(command);
  }
}

/** For the records of the decisions that follow from it. */
function noteRequest(state: OrchestratorState, request: ClientRequest, key: string | undefined): void {
  if (request.type === 'applyService' || request.type === 'scaleService') {
    const service = state.services.get(request.name);
    if (service) service.request = key;
  }
  if (request.type !== 'migrateInstance') return;
  const instance = state.instances.get(request.instance);
  if (instance?.move) state.setMove(instance, { ...instance.move, request: key });
}

function answerOnce(state: OrchestratorState, key: string | undefined, run: () => RequestAnswer): RequestAnswer {
  if (key === undefined) return run();
  const before = state.remembered.get(key);
  if (before) return before;
  const answer = run();
  state.remembered.set(key, answer);
  if (state.remembered.size > limits.rememberedRequests) {
    for (const oldest of state.remembered.keys()) {
      state.remembered.delete(oldest);
      break;
    }
  }
  return answer;
}

function applyParentDesired(
  state: OrchestratorState,
  command: Extract<Command, { type: 'parentDesired' }>,
  atMs: number,
  changes: Changes,
): void {
  const wanted = new Set(command.set.map((assignment) => parentKey(assignment.id)));
  for (const assignment of command.set) {
    const key = parentKey(assignment.id);
    const service = state.services.get(key);
    if (service) {
      // Wanted again before the last of it was gone, or told twice: an instance's spec never changes.
      // (Where it was meant to go may: the placement comes with the wish.)
      if (service.deleting) service.deleting = false;
      service.specs.set(service.generation, { ...assignment.spec, replicas: 1 });
    } else {
      const spec = { ...assignment.spec, replicas: 1 };
      addService(state, { key, service: assignment.service, owner: 'parent', labels: {}, spec, atMs });
    }
    changes.touched.add(key);
  }
  const dropped = command.all
    ? [...state.services.values()].filter((service) => service.owner === 'parent' && !wanted.has(service.key))
    : command.unset.flatMap((id) => (wanted.has(parentKey(id)) ? [] : (state.services.get(parentKey(id)) ?? [])));
  for (const service of dropped) markDeleting(service, changes);
  for (const service of dropped) finishService(state, service.key, changes);
  state.upstream = { epoch: command.epoch, version: command.version };
}
