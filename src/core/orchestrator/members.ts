/** Children coming in: what joining as a node, as a cluster and as a replica share. */
import type { ChildRecord } from '../model/membership.ts';
import type { Changes } from './changes.ts';
import type { Member, OrchestratorState } from './state.ts';

export function addMember(state: OrchestratorState, record: ChildRecord, changes: Changes): void {
  const added: Member = { record, cordoned: false, draining: false, version: 0, unset: [], forgottenVersion: 0 };
  state.members.set(record.name, added);
  changes.changedMembers.add(record.name);
  changes.event(subjectOf(added), 'joined');
}

/** As events name it. */
export function subjectOf(member: Member): string {
  return `${member.record.kind}/${member.record.name}`;
}
