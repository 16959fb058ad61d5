/**
 * Applies one log entry to the state: total, deterministic, never refusing an entry as such. A request that
 * cannot be granted changes nothing and answers why; a decision that no longer holds is skipped.
 */
import { must, unreachable } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { ok, type Result, refused } from '../base/result.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { ClientRequest, RequestOutcome, RequestRefusal } from '../model/requests.ts';
import type { ServiceSpec } from '../model/service.ts';
import type { EventView } from '../model/views.ts';
import { admit } from './admission.ts';
import type { Command, Decision, LoggedCommand } from './commands.ts';
import type { InstanceRecord, Member, OrchestratorState, ServiceRecord, Target } from './state.ts';

/** How long a requested move may wait for its new place. */
const MOVE_PATIENCE_MS = 120_000;
/** What a member was told to stop is remembered this long back; one that missed more is told everything anew. */
const UNSET_REMEMBERED = 256;

export type RequestAnswer = Result<RequestOutcome, RequestRefusal>;
export type NewEvent = Pick<EventView, 'level' | 'subject' | 'message'>;

export interface Applied {
  /** Of a request; null for everything else. */
  readonly answer: RequestAnswer | null;
  /** Services to reconcile. */
  readonly touched: ReadonlySet<string>;
  /** Members whose desired state changed. */
  readonly told: ReadonlySet<string>;
  /** Members of which something else changed that a view or a summary shows. */
  readonly changedMembers: ReadonlySet<string>;
  /** Instances and services that are no more. */
  readonly removedInstances: readonly string[];
  readonly removedServices: readonly string[];
  readonly events: readonly NewEvent[];
}

class Changes {
  answer: RequestAnswer | null = null;
  readonly touched = new Set<string>();
  readonly told = new Set<string>();
  readonly changedMembers = new Set<string>();
  readonly removedInstances: string[] = [];
  readonly removedServices: string[] = [];
  readonly events: NewEvent[] = [];

  event(subject: string, message: string, level: 'info' | 'warning' = 'info'): void {
    this.events.push({ subject, message, level });
  }
}

export function apply(state: OrchestratorState, { command, atMs }: LoggedCommand): Applied {
  const changes = new Changes();
  applyCommand(state, command, atMs, changes);
  return changes;
}

function applyCommand(state: OrchestratorState, command: Command, atMs: number, changes: Changes): void {
  switch (command.type) {
    case 'initialise':
      if (state.epoch !== '') return;
      state.epoch = command.epoch;
      state.name = command.name;
      state.createdAtMs = atMs;
      return;
    case 'request':
      changes.answer = answerOnce(state, command.idempotencyKey, () => applyRequest(state, command.request, atMs, changes));
      return;
    case 'decide':
      for (const decision of command.decisions) applyDecision(state, decision, atMs, changes);
      return;
    case 'parentDesired':
      applyParentDesired(state, command, atMs, changes);
      return;
    default:
      unreachable(command);
  }
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

function no(code: ErrorCode, what: string): RequestAnswer {
  return refused({ code, what, details: [] });
}

function applyRequest(state: OrchestratorState, request: ClientRequest, atMs: number, changes: Changes): RequestAnswer {
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
      if (!member) return no('not_found', `node or cluster ${request.child}`);
      for (const instance of state.instancesOn(request.child)) {
        // A copy may go on running there, so its id is not given to another node: a successor takes its place.
        state.assign(instance, null);
        instance.leaving ??= 'replaced';
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
  instance.move = { target, deadlineMs: atMs + MOVE_PATIENCE_MS };
  changes.touched.add(instance.service);
  changes.event(`instance/${instance.id}`, `moves to ${describeTarget(target)}`);
  return ok({ effect: 'changed', name: instance.id });
}

export function describeTarget(target: Target): string {
  if (target.cluster !== null && target.node !== null) return `${target.cluster}/${target.node}`;
  return target.node ?? target.cluster ?? 'another place';
}

function registerChild(
  state: OrchestratorState,
  request: Extract<ClientRequest, { type: 'registerChild' }>,
  atMs: number,
  changes: Changes,
): RequestAnswer {
  const member = state.members.get(request.name);
  const admission = admit({ ...request, nowMs: atMs }, state.tokens.get(request.tokenId), member?.record);
  if (!admission.ok) return no(admission.error, request.name);
  if (!member && state.members.size >= limits.children) return no('limit_reached', `${limits.children} nodes and clusters`);
  state.tokens.set(request.tokenId, admission.value.token);
  if (member) {
    member.record = admission.value.child;
    return ok({ effect: 'unchanged', name: request.name });
  }
  const added: Member = {
    record: admission.value.child,
    cordoned: false,
    draining: false,
    version: 0,
    unset: [],
    forgottenVersion: 0,
  };
  state.members.set(request.name, added);
  changes.changedMembers.add(request.name);
  changes.event(subjectOf(added), 'joined');
  return ok({ effect: 'created', name: request.name });
}

function applyDecision(state: OrchestratorState, decision: Decision, atMs: number, changes: Changes): void {
  if (decision.do === 'create') {
    createInstance(state, decision, atMs, changes);
    return;
  }
  const instance = state.instances.get(decision.instance);
  if (!instance) return;
  switch (decision.do) {
    case 'place':
      if (instance.leaving !== null || instance.child !== null) return;
      tell(state, instance, decision.child, atMs, changes);
      break;
    case 'unplace':
      if (instance.leaving !== null || instance.child === null) return;
      untell(state, instance, changes);
      state.assign(instance, null);
      break;
    case 'stop':
      if (instance.leaving !== null) return;
      instance.leaving = decision.leaving;
      untell(state, instance, changes);
      break;
    case 'forget':
      if (instance.leaving === null) return;
      if (instance.child !== null) changes.changedMembers.add(instance.child);
      state.removeInstance(instance);
      changes.removedInstances.push(instance.id);
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
      instance.move = null;
      break;
    default:
      unreachable(decision);
  }
  instance.changedAtMs = atMs;
  changes.touched.add(instance.service);
}

function createInstance(
  state: OrchestratorState,
  decision: Extract<Decision, { do: 'create' }>,
  atMs: number,
  changes: Changes,
): void {
  const service = state.services.get(decision.service);
  if (!service?.specs.has(decision.generation) || service.deleting || decision.number < state.nextNumber) return;
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
  if (decision.child !== null) tell(state, instance, decision.child, atMs, changes);
}

/** Gives the instance to the child, under a new version of the child's desired state. */
function tell(state: OrchestratorState, instance: InstanceRecord, child: string, atMs: number, changes: Changes): void {
  const member = state.members.get(child);
  if (!member) return;
  member.version += 1;
  state.assign(instance, child);
  instance.since = member.version;
  instance.changedAtMs = atMs;
  changes.told.add(child);
  changes.event(`instance/${instance.id}`, `placed on ${child}`);
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
      if (service.deleting) service.deleting = false;
    } else {
      const spec = { ...assignment.spec, replicas: 1 };
      addService(state, { key, service: assignment.service, owner: 'parent', labels: {}, spec, atMs });
    }
    changes.touched.add(key);
  }
  const dropped = command.all
    ? [...state.services.values()].filter((service) => service.owner === 'parent' && !wanted.has(service.key))
    : command.unset.flatMap((id) => state.services.get(parentKey(id)) ?? []);
  for (const service of dropped) markDeleting(service, changes);
  for (const service of dropped) finishService(state, service.key, changes);
  state.upstream = { epoch: command.epoch, version: command.version };
}

export function parentKey(assignmentId: string): string {
  return `parent:${assignmentId}`;
}

/** The parent's name for what a parent-owned service keeps running. */
export function assignmentOf(service: ServiceRecord): string {
  return service.key.slice('parent:'.length);
}

function addService(
  state: OrchestratorState,
  init: Pick<ServiceRecord, 'key' | 'service' | 'owner' | 'labels'> & { spec: ServiceSpec; atMs: number },
): void {
  const { key, service, owner, labels, spec, atMs } = init;
  state.services.set(key, {
    key,
    service,
    owner,
    labels,
    generation: 1,
    replicas: spec.replicas,
    specs: new Map([[1, spec]]),
    createdAtMs: atMs,
    updatedAtMs: atMs,
    deleting: false,
  });
}

function markDeleting(service: ServiceRecord, changes: Changes): void {
  service.deleting = true;
  changes.touched.add(service.key);
  changes.event(`service/${service.key}`, 'is being deleted');
}

/** A deleted service goes with its last instance. */
function finishService(state: OrchestratorState, key: string, changes: Changes): void {
  const service = must(state.services.get(key), `service ${key}`);
  if (state.instancesOf(key).length > 0) {
    dropUnusedSpecs(state, service);
    return;
  }
  if (!service.deleting) return;
  state.removeService(key);
  changes.removedServices.push(key);
  changes.touched.delete(key);
  changes.event(`service/${key}`, 'is gone');
}

function dropUnusedSpecs(state: OrchestratorState, service: ServiceRecord): void {
  if (service.specs.size === 1) return;
  const used = new Set(state.instancesOf(service.key).map((instance) => instance.generation));
  for (const generation of service.specs.keys()) {
    if (generation !== service.generation && !used.has(generation)) service.specs.delete(generation);
  }
}

/** Used-up ones stay while there is room: a child whose answer was lost asks again with its token (A3). */
function dropDeadTokens(state: OrchestratorState, atMs: number): void {
  for (const token of state.tokens.values()) {
    if (token.expiresAtMs !== null && token.expiresAtMs <= atMs) state.tokens.delete(token.id);
  }
  if (state.tokens.size < limits.tokens) return;
  for (const token of state.tokens.values()) if (token.usesLeft === 0) state.tokens.delete(token.id);
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

function subjectOf(member: Member): string {
  return `${member.record.kind}/${member.record.name}`;
}
