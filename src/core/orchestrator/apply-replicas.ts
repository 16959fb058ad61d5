/**
 * Who shall be a replica of this orchestrator, and in which role. Raft's membership follows (core/raft/next-change.ts).
 *
 *  A4. A name belongs to one replica, the life of one disk, until it is removed; its node has the same name and key.
 *  A5. There is always one that shall be a voter.
 */
import { limits } from '../base/limits.ts';
import { ok, refused } from '../base/result.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { ReplicaRecord } from '../model/replicas.ts';
import type { ClientRequest } from '../model/requests.ts';
import { admitReplica } from './admission.ts';
import type { Changes, RequestAnswer } from './changes.ts';
import type { Command } from './commands.ts';
import { addMember } from './members.ts';
import type { OrchestratorState } from './state.ts';

/** More instances than were made in whatever is lost: their ids are not given out again (S4). */
const NUMBERS_LEFT_OUT = 100_000;

type Request<T extends ClientRequest['type']> = Extract<ClientRequest, { type: T }>;
type Recovery = Extract<Command, { type: 'recovered' }>;

function no(code: ErrorCode, what: string): RequestAnswer {
  return refused({ code, what, details: [] });
}

export function foundGroup(
  state: OrchestratorState,
  replica: Pick<ReplicaRecord, 'id' | 'name' | 'url' | 'publicKeyFingerprint'>,
  atMs: number,
): void {
  state.replicas.set(replica.id, { ...replica, role: 'voter', joinedAtMs: atMs, joinedWith: '' });
}

export function registerReplica(
  state: OrchestratorState,
  request: Request<'registerReplica'>,
  atMs: number,
  changes: Changes,
): RequestAnswer {
  const { id, name, works } = request;
  const known = state.replicas.get(id);
  const named = replicaNamed(state, name);
  const member = state.members.get(name);
  const admission = admitReplica(
    { ...request, nowMs: atMs },
    { token: state.tokens.get(request.tokenId), replica: known ?? named, child: member?.record },
  );
  if (!admission.ok) return no(admission.error, name);
  const { token, replica, child } = admission.value;
  if (!known && state.replicas.size >= limits.orchestratorReplicas)
    return no('limit_reached', `${limits.orchestratorReplicas} replicas of one orchestrator`);
  const isNewVoter = replica.role === 'voter' && known?.role !== 'voter';
  if (isNewVoter && votersIn(state) >= limits.orchestratorVoters)
    return no('limit_reached', `${limits.orchestratorVoters} voters; join as a learner instead`);
  if (works && !member && state.members.size >= limits.children)
    return no('limit_reached', `${limits.children} nodes and clusters`);
  state.tokens.set(token.id, token);
  state.replicas.set(id, replica);
  changes.groupChanged = true;
  if (works) {
    if (member) member.record = child;
    else addMember(state, child, changes);
  }
  if (known) return ok({ effect: 'unchanged', name });
  changes.event(`replica/${name}`, `joins as a ${replica.role}`);
  return ok({ effect: 'created', name });
}

export function setReplicaRole(state: OrchestratorState, request: Request<'setReplicaRole'>, changes: Changes): RequestAnswer {
  const { name, role } = request;
  const replica = replicaNamed(state, name);
  if (!replica) return no('not_found', `replica ${name}`);
  if (replica.role === role) return ok({ effect: 'unchanged', name });
  const voters = votersIn(state);
  if (role === 'learner' && voters === 1) return no('conflict', `${name} is the last voter; promote another one first`);
  if (role === 'voter' && voters >= limits.orchestratorVoters)
    return no('limit_reached', `${limits.orchestratorVoters} voters; demote one first`);
  state.replicas.set(replica.id, { ...replica, role });
  changes.groupChanged = true;
  changes.event(`replica/${name}`, `is to be a ${role}`);
  return ok({ effect: 'changed', name });
}

export function moveReplica(state: OrchestratorState, { id, url }: Request<'moveReplica'>, changes: Changes): RequestAnswer {
  const replica = state.replicas.get(id);
  if (!replica) return no('not_found', `replica ${id}`);
  if (replica.url === url) return ok({ effect: 'unchanged', name: replica.name });
  state.replicas.set(id, { ...replica, url });
  changes.groupChanged = true;
  return ok({ effect: 'changed', name: replica.name });
}

/** null: there is none of this name. */
export function removeReplica(state: OrchestratorState, name: string, changes: Changes): RequestAnswer | null {
  const replica = replicaNamed(state, name);
  if (!replica) return null;
  if (replica.role === 'voter' && votersIn(state) === 1)
    return no('conflict', `${name} is the last voter of this orchestrator; promote another one first`);
  state.replicas.delete(replica.id);
  changes.groupChanged = true;
  changes.event(`replica/${name}`, 'removed');
  return ok({ effect: 'deleted', name });
}

/** The others have decided nothing that this replica does not know, or what they did is given up: an operator has said so. */
export function applyRecovery(state: OrchestratorState, { id, name, former, epoch }: Recovery, changes: Changes): void {
  // Versions and numbers that the others may have given out stand for something else from here on.
  state.epoch = epoch;
  state.nextNumber += NUMBERS_LEFT_OUT;
  for (const replica of [...state.replicas.values()]) if (replica.id !== id) state.replicas.delete(replica.id);
  changes.groupChanged = true;
  const own = state.replicas.get(id);
  if (own) state.replicas.set(id, { ...own, role: 'voter' });
  const others = former.filter((other) => other !== name);
  const without = others.length === 0 ? '' : `, without ${others.join(', ')}`;
  changes.event('orchestrator', `recovered by hand: ${name} goes on alone${without}`, 'warning');
}

export function replicaNamed(state: OrchestratorState, name: string): ReplicaRecord | undefined {
  return [...state.replicas.values()].find((replica) => replica.name === name);
}

function votersIn(state: OrchestratorState): number {
  return [...state.replicas.values()].filter(({ role }) => role === 'voter').length;
}
