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
  readonly leader: ReplicaId | null;
  readonly membership: Membership;
  readonly connected: ReadonlySet<ReplicaId>;
}

/** null: nobody that is known. */
export function parentOfLocalNode(
  leadership: Leadership,
  { self, leads, leader, membership, connected }: GroupSeen,
): Replica | null {
  const own = membership.find(({ id }) => id === self) ?? null;
  if (leads) return own;
  if (leadership === 'standing') return membership.find(({ id }) => id === leader) ?? null;
  if (own?.role === 'voter') return own;
  return membership.find(({ id, role }) => role === 'voter' && connected.has(id)) ?? null;
}
