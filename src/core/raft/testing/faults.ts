/** What goes wrong with simulated replicas, and what is done to them in the midst of it. */
import { must } from '../../base/assert.ts';
import { chance, integerBetween, pick, type Random } from '../../base/prng.ts';
import type { MembershipChange } from '../contract.ts';
import { changed, isVoter, type Membership, quorumOf, type ReplicaId, votersOf } from '../membership.ts';
import { type Cluster, replica } from './cluster.ts';
import type { Member } from './member.ts';

export const FAULTS = [
  'crash',
  'crashLeader',
  'tornWrite',
  'rottenRecord',
  'cutOneWay',
  'isolateLeader',
  'partition',
  'heal',
  'slowWay',
  'disconnect',
  'stop',
  'sleep',
  'slowDisk',
  'start',
] as const;
export type FaultName = (typeof FAULTS)[number];

export const DEEDS = [
  'propose',
  'proposeAnywhere',
  'read',
  'transfer',
  'want',
  'addLearner',
  'addVoter',
  'promote',
  'demote',
  'remove',
  'removeLeader',
] as const;
export type DeedName = (typeof DEEDS)[number];

/** All that have to happen over many seeds, besides FAULTS and DEEDS: what the network and the replicas do by themselves. */
export const EVENTS = [
  'loss',
  'repeat',
  'overtaken',
  'drift',
  'compaction',
  'snapshotAdopted',
  'snapshotInPieces',
  'pause',
  'timeoutNow',
] as const;

const REPLICAS_MAX = 9;

export function injectFault(cluster: Cluster, random: Random, fault: FaultName): void {
  const { members } = cluster;
  const member = pick(random, [...members.values()]);
  const other = pick(random, [...members.values()]);
  const isUp = member.raft !== null;
  const leader = cluster.leader();
  switch (fault) {
    case 'crash':
      if (isUp) cluster.fire(fault);
      cluster.crash(member.id);
      return;
    case 'crashLeader':
      if (leader) {
        cluster.fire(fault);
        cluster.crash(leader.id);
      }
      return;
    case 'tornWrite': // told by the disk, when there was a write to tear
      cluster.crash(member.id, 1);
      return;
    case 'rottenRecord':
      if (canSpare(cluster, member.id) && member.disk.rot(random)) {
        cluster.fire(fault);
        cluster.crash(member.id);
        cluster.start(member.id);
      }
      return;
    case 'cutOneWay':
      if (member === other) return;
      cluster.fire(fault);
      cluster.network.cut(member.id, other.id);
      return;
    case 'isolateLeader':
      if (leader) {
        cluster.fire(fault);
        const ways = pick(random, ['both', 'in', 'out']);
        for (const id of members.keys()) {
          if (ways !== 'in') cluster.network.cut(leader.id, id);
          if (ways !== 'out') cluster.network.cut(id, leader.id);
        }
      }
      return;
    case 'partition': {
      cluster.fire(fault);
      const half = new Set([...members.keys()].filter(() => random.next() < 0.5));
      for (const from of members.keys())
        for (const to of members.keys()) if (half.has(from) !== half.has(to)) cluster.network.cut(from, to);
      return;
    }
    case 'heal':
      cluster.fire(fault);
      cluster.network.heal();
      return;
    case 'slowWay':
      cluster.fire(fault);
      cluster.network.slow(member.id, other.id, integerBetween(random, 50, 1_000));
      return;
    case 'disconnect':
      if (isUp) cluster.fire(fault);
      cluster.disconnect(member, other.id);
      cluster.disconnect(other, member.id);
      cluster.connect(member, other);
      return;
    case 'stop':
    case 'sleep':
      {
        const who = leader && chance(random, 0.5) ? leader : member;
        if (who.raft) cluster.fire(fault);
        cluster.stop(who.id, integerBetween(random, 10, 2_000), fault === 'sleep');
      }
      return;
    case 'slowDisk':
      cluster.fire(fault);
      member.slowDiskUntilMs = cluster.nowMs + integerBetween(random, 100, 3_000);
      return;
    case 'start':
      if (!isUp) cluster.fire(fault);
      cluster.start(member.id);
      return;
  }
}

export function act(cluster: Cluster, random: Random, deed: DeedName): void {
  const anyone = pick(random, [...cluster.members.values()]);
  const leader = cluster.leader();
  // Of all that take themselves for one: an old one is where wrong answers come from.
  const leaders = [...cluster.members.values()].filter(({ status }) => status?.role === 'leader');
  const someLeader = leaders.length > 0 ? pick(random, leaders) : null;
  switch (deed) {
    case 'propose':
      if (someLeader) {
        cluster.fire(deed);
        cluster.propose(someLeader.id, integerBetween(random, 1, 12));
      }
      return;
    case 'proposeAnywhere':
      cluster.fire(deed);
      cluster.propose(anyone.id);
      return;
    case 'read':
      cluster.fire(deed);
      cluster.read((someLeader && chance(random, 0.5) ? someLeader : anyone).id);
      return;
    case 'transfer':
      if (!leader) return;
      cluster.fire(deed);
      cluster.step(leader, { type: 'transferRequested', to: anyone.id });
      return;
    case 'want':
      cluster.fire(deed);
      cluster.step(anyone, { type: 'leadershipWanted' });
      return;
    default:
      if (leader) changeReplicas(cluster, random, leader, deed);
  }
}

function changeReplicas(cluster: Cluster, random: Random, leader: Member, deed: DeedName): void {
  // What waits at one that is stopped would be done in a world that has changed since.
  if (leader.isStopped) return;
  const membership = must(leader.status, 'a leader').membership;
  const any = pick(random, membership).id;
  const change = changeOf(cluster, deed, any, leader.id);
  if (change === null) return;
  const after = changed(membership, change);
  const isAllowed = typeof after !== 'string' && isLive(cluster, after);
  if (!isAllowed) return;
  cluster.fire(deed);
  if (change.do === 'add') cluster.add();
  cluster.change(leader.id, change);
}

function changeOf(cluster: Cluster, deed: DeedName, any: ReplicaId, leader: ReplicaId): MembershipChange | null {
  const fresh = `r${cluster.members.size + 1}`;
  switch (deed) {
    case 'addLearner':
    case 'addVoter':
      if (cluster.members.size >= REPLICAS_MAX) return null;
      return { do: 'add', replica: replica(fresh, deed === 'addVoter' ? 'voter' : 'learner') };
    case 'promote':
      return { do: 'setRole', id: any, role: 'voter' };
    case 'demote':
      return { do: 'setRole', id: any, role: 'learner' };
    case 'remove':
      return { do: 'remove', id: any };
    case 'removeLeader':
      return { do: 'remove', id: leader };
    default:
      return null;
  }
}

/** A quorum of it has not lost its disk. */
export function isLive(cluster: Cluster, membership: Membership): boolean {
  const voters = votersOf(membership);
  return voters.filter((id) => !cluster.members.get(id)?.isLost).length >= quorumOf(voters.length);
}

/** Whether every membership that anybody may still go by does without this replica, so that the group can go on. */
function canSpare(cluster: Cluster, id: ReplicaId): boolean {
  const memberships = [...cluster.members.values()].map(({ status }) => status?.membership ?? null);
  return memberships.every((membership) => {
    if (membership === null) return false; // of one that is down it is not known
    if (!isVoter(membership, id)) return true;
    const voters = votersOf(membership);
    const left = voters.filter((voter) => voter !== id && !cluster.members.get(voter)?.isLost);
    return left.length >= quorumOf(voters.length);
  });
}
