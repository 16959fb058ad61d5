/**
 * The next step from the group that there is to the one that is wanted (ADR 0012). Single steps only, each from what
 * the last one left (Ongaro's dissertation, 4.1), so it is asked again after each; a leader that died between two is
 * followed by one that asks the same.
 *
 *  V1. A replica votes only once it has caught up: before, each commit would wait for it (4.2.1).
 *  V2. What concerns the leader itself comes last, after it has handed over.
 *  V3. A group is never emptied: without any wanted voter nothing happens.
 */
import type { ReplicaRecord } from '../model/replicas.ts';
import type { MembershipChange } from './contract.ts';
import { type Membership, type ReplicaId, VOTERS_MAX, votersOf } from './membership.ts';

export interface GroupNow {
  /** The leader, which asks. */
  readonly self: ReplicaId;
  readonly membership: Membership;
  /** The last index that each other replica is known to have. */
  readonly matched: ReadonlyMap<ReplicaId, number>;
  readonly commit: number;
}

export type GroupStep =
  | { readonly type: 'change'; readonly change: MembershipChange }
  | { readonly type: 'transfer'; readonly to: ReplicaId };

/** null: it is as wanted, or what is missing is not ready yet. */
export function nextGroupStep(wanted: Iterable<ReplicaRecord>, now: GroupNow): GroupStep | null {
  const byId = new Map([...wanted].map((record) => [record.id, record]));
  const { self, membership, commit } = now;
  const voters = votersOf(membership);
  if (![...byId.values()].some(({ role }) => role === 'voter')) return null;
  const change = (change: MembershipChange): GroupStep => ({ type: 'change', change });
  const hasCaughtUp = (id: ReplicaId) => (now.matched.get(id) ?? 0) >= commit;

  for (const { id, url } of membership) {
    const record = byId.get(id);
    if (record && record.url !== url) return change({ do: 'setUrl', id, url: record.url });
  }
  for (const { id, name, url } of byId.values())
    if (!membership.some((replica) => replica.id === id || replica.name === name))
      return change({ do: 'add', replica: { id, name, url, role: 'learner' } });
  for (const { id, role } of membership)
    if (role === 'learner' && byId.get(id)?.role === 'voter' && hasCaughtUp(id) && voters.length < VOTERS_MAX)
      return change({ do: 'setRole', id, role: 'voter' });
  for (const { id, role } of membership) {
    if (id === self) continue;
    const record = byId.get(id);
    if (!record) return change({ do: 'remove', id });
    if (role === 'voter' && record.role === 'learner') return change({ do: 'setRole', id, role: 'learner' });
  }
  if (byId.get(self)?.role === 'voter') return null;
  const heirs = voters.filter((id) => id !== self && byId.get(id)?.role === 'voter' && hasCaughtUp(id));
  const [to] = heirs.sort((a, b) => (now.matched.get(b) ?? 0) - (now.matched.get(a) ?? 0));
  return to === undefined ? null : { type: 'transfer', to };
}
