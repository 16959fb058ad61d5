/** Applies what a client asked for. A request that cannot be granted changes nothing and answers why. */
import { must, unreachable } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { ok, refused } from '../base/result.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { ClientRequest } from '../model/requests.ts';
import type { ServiceSpec } from '../model/service.ts';
import { admit } from './admission.ts';
import { moveReplica, registerReplica, removeReplica, replicaNamed, setReplicaRole } from './apply-replicas.ts';
import type { Changes, RequestAnswer } from './changes.ts';
import { addMember, subjectOf } from './members.ts';
import { addService, dropUnusedSpecs, finishService, markDeleting } from './services.ts';
import { describeTarget, MOVE_PATIENCE_MS, type OrchestratorState, type Target } from './state.ts';

function no(code: ErrorCode, what: string): RequestAnswer {
  return refused({ code, what, details: [] });
}

export function applyRequest(state: OrchestratorState, request: ClientRequest, atMs: number, changes: Changes): RequestAnswer {
  switch (request.type) {
    case 'applyService':
      return applyService(state, request, atMs, changes);
    case 'deleteService': {
      const service = state.services.get(request.name);
      if (service?.owner !== 'user') return no('not_found', `service ${request.name}`);
      if (service.deleting) return ok({ effect: 'unchanged', name: request.name });
      markDeleting(service, changes);
      finishService(state, service.key, changes);
      return ok({ effect: 'deleted', name: request.name });
    }
    case 'scaleService': {
      const service = state.services.get(request.name);
      if (service?.owner !== 'user' || service.deleting) return no('not_found', `service ${request.name}`);
      if (service.replicas === request.replicas) return ok({ effect: 'unchanged', name: request.name });
      if (wantedInstances(state) - service.replicas + request.replicas > limits.instances)
        return no('limit_reached', `${limits.instances} instances in one orchestrator`);
      changes.event(`service/${service.key}`, `scaled from ${service.replicas} to ${request.replicas}`);
      service.replicas = request.replicas;
      service.updatedAtMs = atMs;
      changes.touched.add(service.key);
      return ok({ effect: 'changed', name: request.name });
    }
    case 'migrateInstance':
      return migrateInstance(state, request, atMs, changes);
    case 'cordonChild': {
      const member = state.members.get(request.child);
      if (!member) return no('not_found', `node or cluster ${request.child}`);
      if (member.cordoned === request.cordoned) return ok({ effect: 'unchanged', name: request.child });
      member.cordoned = request.cordoned;
      if (!request.cordoned) member.draining = false;
      changes.changedMembers.add(request.child);
      changes.event(subjectOf(member), request.cordoned ? 'cordoned' : 'uncordoned');
      return ok({ effect: 'changed', name: request.child });
    }
    case 'drainChild': {
      const member = state.members.get(request.child);
      if (!member) return no('not_found', `node or cluster ${request.child}`);
      if (member.draining === request.draining) return ok({ effect: 'unchanged', name: request.child });
      member.draining = request.draining;
      if (request.draining) member.cordoned = true;
      changes.changedMembers.add(request.child);
      for (const instance of state.instancesOn(request.child)) changes.touched.add(instance.service);
      changes.event(subjectOf(member), request.draining ? 'draining: its instances move elsewhere' : 'draining ended');
      return ok({ effect: 'changed', name: request.child });
    }
    case 'removeChild': {
      const member = state.members.get(request.child);
      const replica = removeReplica(state, request.child, changes);
      if (replica !== null && !replica.ok) return replica;
      if (!member) return replica ?? no('not_found', `node or cluster ${request.child}`);
      for (const instance of state.instancesOn(request.child)) {
        // A copy may go on running there, so its id is not given to another node: a successor takes its place.
        state.assign(instance, null);
        instance.leaving ??= 'replaced';
        changes.touchedInstances.add(instance.id);
        changes.touched.add(instance.service);
      }
      changes.event(subjectOf(member), 'removed');
      state.removeMember(request.child);
      changes.told.add(request.child);
      return ok({ effect: 'deleted', name: request.child });
    }
    case 'createToken': {
      if (state.tokens.has(request.id)) return no('conflict', `token ${request.id}`);
      dropDeadTokens(state, atMs);
      if (state.tokens.size >= limits.tokens) return no('limit_reached', `${limits.tokens} tokens`);
      const { id, secretHash, role, expiresAtMs, uses } = request;
      state.tokens.set(id, { id, secretHash, role, createdAtMs: atMs, expiresAtMs, usesLeft: uses });
      return ok({ effect: 'created', name: id });
    }
    case 'revokeToken':
      if (!state.tokens.delete(request.id)) return no('not_found', `token ${request.id}`);
      return ok({ effect: 'deleted', name: request.id });
    case 'registerChild':
      return registerChild(state, request, atMs, changes);
    case 'registerReplica':
      return registerReplica(state, request, atMs, changes);
    case 'setReplicaRole':
      return setReplicaRole(state, request, changes);
    case 'moveReplica':
      return moveReplica(state, request, changes);
    default:
      return unreachable(request);
  }
}

function applyService(
  state: OrchestratorState,
  request: Extract<ClientRequest, { type: 'applyService' }>,
  atMs: number,
  changes: Changes,
): RequestAnswer {
  const { name, labels, spec } = request;
  const service = state.services.get(name);
  if (service?.deleting) return no('conflict', `service ${name} is being deleted; apply it again when it is gone`);
  const wanted = wantedInstances(state) - (service?.replicas ?? 0) + spec.replicas;
  if (wanted > limits.instances) return no('limit_reached', `${limits.instances} instances in one orchestrator`);
  if (!service) {
    if (state.services.size >= limits.services) return no('limit_reached', `${limits.services} services in one orchestrator`);
    addService(state, { key: name, service: name, owner: 'user', labels, spec, atMs });
    changes.touched.add(name);
    changes.event(`service/${name}`, `created with ${spec.replicas} ${spec.replicas === 1 ? 'replica' : 'replicas'}`);
    return ok({ effect: 'created', name });
  }
  const current = must(service.specs.get(service.generation), 'present spec');
  const specChanged = !sameJson(withoutReplicas(current), withoutReplicas(spec));
  const scaled = service.replicas !== spec.replicas;
  if (!specChanged && !scaled && sameJson(service.labels, labels)) return ok({ effect: 'unchanged', name });
  service.labels = labels;
  service.replicas = spec.replicas;
  service.updatedAtMs = atMs;
  if (specChanged) {
    service.generation += 1;
    changes.event(`service/${name}`, `changed: generation ${service.generation}`);
  }
  service.specs.set(service.generation, spec);
  if (scaled) changes.event(`service/${name}`, `scaled to ${spec.replicas}`);
  dropUnusedSpecs(state, service);
  changes.touched.add(name);
  return ok({ effect: 'changed', name });
}

function migrateInstance(
  state: OrchestratorState,
  request: Extract<ClientRequest, { type: 'migrateInstance' }>,
  atMs: number,
  changes: Changes,
): RequestAnswer {
  const instance = state.instances.get(request.instance);
  if (!instance || instance.leaving !== null) return no('not_found', `instance ${request.instance}`);
  if (instance.child === null) return no('conflict', `instance ${instance.id} has no place yet that it could leave`);
  const target: Target = { cluster: request.cluster ?? null, node: request.node ?? null };
  if (target.cluster !== null && !state.members.has(target.cluster)) return no('not_found', `cluster ${target.cluster}`);
  if (target.cluster === null && target.node === instance.child) return ok({ effect: 'unchanged', name: instance.id });
  if (target.node === null && target.cluster === instance.child) return ok({ effect: 'unchanged', name: instance.id });
  state.setMove(instance, { target, deadlineMs: atMs + MOVE_PATIENCE_MS });
  changes.touched.add(instance.service);
  changes.touchedInstances.add(instance.id);
  changes.event(`instance/${instance.id}`, `moves to ${describeTarget(target)}`);
  return ok({ effect: 'changed', name: instance.id });
}

function registerChild(
  state: OrchestratorState,
  request: Extract<ClientRequest, { type: 'registerChild' }>,
  atMs: number,
  changes: Changes,
): RequestAnswer {
  const member = state.members.get(request.name);
  const replica = replicaNamed(state, request.name);
  if (replica && replica.publicKeyFingerprint !== request.publicKeyFingerprint) return no('name_taken', request.name);
  const admission = admit({ ...request, nowMs: atMs }, state.tokens.get(request.tokenId), member?.record);
  if (!admission.ok) return no(admission.error, request.name);
  if (!member && state.members.size >= limits.children) return no('limit_reached', `${limits.children} nodes and clusters`);
  state.tokens.set(request.tokenId, admission.value.token);
  if (member) {
    member.record = admission.value.child;
    return ok({ effect: 'unchanged', name: request.name });
  }
  addMember(state, admission.value.child, changes);
  return ok({ effect: 'created', name: request.name });
}

/** Whoever comes with it within this time is told that it has expired, not that nobody knows it. */
const EXPIRED_KEPT_MS = 7 * 86_400_000;

/** While there is room used-up ones stay as well: a child whose answer was lost asks again with its token (A3). */
function dropDeadTokens(state: OrchestratorState, atMs: number): void {
  const full = state.tokens.size >= limits.tokens;
  const keptMs = full ? 0 : EXPIRED_KEPT_MS;
  for (const { id, expiresAtMs, usesLeft } of state.tokens.values())
    if ((expiresAtMs !== null && expiresAtMs + keptMs <= atMs) || (full && usesLeft === 0)) state.tokens.delete(id);
}

function wantedInstances(state: OrchestratorState): number {
  let count = 0;
  for (const service of state.services.values()) if (!service.deleting) count += service.replicas;
  return count;
}

function withoutReplicas(spec: ServiceSpec): unknown {
  return { ...spec, replicas: 0 };
}

/** Both sides come from the same schema, so their keys stand in the same order. */
function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
