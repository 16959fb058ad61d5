/**
 * Which replica the node in a replica's process has its link with: this one while it leads, on demand while it votes;
 * otherwise whoever leads, on demand a voter. A learner cannot lead and gives no vote, so what it sees of children of its
 * own no leader would hear.
 */
import type { Leadership } from '../core/model/replicas.ts';
import type { Membership, Replica, ReplicaId } from '../core/raft/membership.ts';

export interface GroupSeen {
  readonly self: ReplicaId;
  readonly leads: boolean;
  /** Another replica; null: none is known. */
  readonly leader: { readonly id: ReplicaId } | null;
  readonly group: { readonly membership: Membership; readonly log: { readonly connected: ReadonlySet<ReplicaId> } };
}

/** null: nobody that is known. */
export function parentOfLocalNode(leadership: Leadership, { self, leads, leader, group }: GroupSeen): Replica | null {
  const { membership, log } = group;
  const own = membership.find(({ id }) => id === self) ?? null;
  if (leads) return own;
  if (leadership === 'standing') return membership.find(({ id }) => id === leader?.id) ?? null;
  if (own?.role === 'voter') return own;
  return membership.find(({ id, role }) => role === 'voter' && log.connected.has(id)) ?? null;
}
