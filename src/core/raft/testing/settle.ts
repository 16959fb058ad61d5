/**
 * Liveness: with everything mended a proposal is committed, everyone who belongs has everything, and whoever asked has
 * an answer; then nothing more happens. When it does not come to that, it says what is missing.
 */
import { assert, must } from '../../base/assert.ts';
import type { RaftStatus } from '../raft.ts';
import type { Cluster } from './cluster.ts';
import type { Member } from './member.ts';
import { CALM_NETWORK } from './network.ts';

/** Back-offs of failed campaigns may have grown to this before everything mended. */
const SETTLED_WITHIN_MS = 60_000;
/** Longer than any election timeout: who is going to campaign does so. */
const IDLE_MS = 10_000;

export function settle(cluster: Cluster): void {
  cluster.isCalm = true;
  cluster.network.heal();
  cluster.network.knobs = CALM_NETWORK;
  for (const id of cluster.members.keys()) cluster.start(id);
  for (const one of cluster.members.values())
    for (const other of cluster.members.values()) if (one.number < other.number) cluster.connect(one, other);
  const acknowledgedBefore = cluster.invariants.acknowledged.size;
  const endMs = cluster.nowMs + SETTLED_WITHIN_MS;
  let reasons = ['nothing has happened'];
  for (let round = 0; reasons.length > 0; round += 1) {
    assert(cluster.nowMs < endMs, `liveness: ${reasons.join('; ')}`);
    cluster.run(20 + (round % 6) * 20); // in no step with elections and pauses
    const leader = cluster.leader();
    const isAcknowledged = cluster.invariants.acknowledged.size > acknowledgedBefore;
    if (leader) {
      removeLost(cluster, leader);
      if (!isAcknowledged) cluster.propose(leader.id);
    } else if (!isAcknowledged || newest(cluster).membership.some(({ id }) => cluster.members.get(id)?.isLost))
      for (const member of cluster.members.values()) cluster.step(member, { type: 'leadershipWanted' });
    reasons = [...(isAcknowledged ? [] : ['no proposal goes through']), ...whyNotSettled(cluster)];
  }
  idle(cluster);
}

/** Who has lost its disk is taken out, as a person would. */
function removeLost(cluster: Cluster, leader: Member): void {
  const lost = must(leader.status, 'a leader').membership.find(({ id }) => cluster.members.get(id)?.isLost);
  if (lost) cluster.change(leader.id, { do: 'remove', id: lost.id });
}

function whyNotSettled(cluster: Cluster): readonly string[] {
  const members = [...cluster.members.values()].filter(({ isLost }) => !isLost);
  const { membership } = newest(cluster);
  const belongs = ({ id }: Member): boolean => membership.some((one) => one.id === id);
  const last = Math.max(...members.filter(belongs).map(({ log }) => log.lastIndex));
  const reasons: string[] = [];
  const isPaused = members.some(({ status }) => status?.isPaused);
  if (!cluster.leader() && !isPaused)
    reasons.push(`nobody leads: ${members.map(({ id, status }) => `${id} ${status?.role} of term ${status?.term}`).join(', ')}`);
  for (const member of members) {
    const { id, status, applied, proposals, reads } = member;
    if (!belongs(member)) continue;
    if (applied.length < last) reasons.push(`${id} has applied ${applied.length} of ${last}, commit ${status?.commit}`);
    if (proposals.size > 0) reasons.push(`${id} has not answered ${[...proposals.values()].join(' ')}`);
    if (reads.size > 0) reasons.push(`${id} has not answered ${reads.size} reads`);
  }
  for (const { id } of membership) if (cluster.members.get(id)?.isLost) reasons.push(`${id} is still a member`);
  return reasons;
}

/** What the leader knows, else whoever knows of most commits. */
function newest(cluster: Cluster): RaftStatus {
  const known = [...cluster.members.values()].flatMap(({ status }) => status ?? []);
  const leader = cluster.leader()?.status;
  return leader ?? known.reduce((best, status) => (status.commit > best.commit ? status : best));
}

/** A standing group says nothing but heartbeats and writes nothing; a paused one does nothing at all. */
function idle(cluster: Cluster): void {
  const { membership } = newest(cluster);
  const belongs = ({ id }: Member): boolean => membership.some((one) => one.id === id);
  // Whoever was removed and was not told asks for ever; a person switches it off.
  for (const member of cluster.members.values()) if (!belongs(member)) cluster.crash(member.id);
  // What was begun on a slow disk ends when it ends.
  const busyMs = Math.max(...[...cluster.members.values()].map(({ diskBusyUntilMs }) => diskBusyUntilMs - cluster.nowMs));
  cluster.run(Math.max(0, busyMs) + IDLE_MS);
  const members = [...cluster.members.values()].filter(belongs);
  const before = members.map(({ disk, status }) => ({ writes: disk.writes, term: status?.term }));
  const { messages } = cluster.network;
  cluster.run(IDLE_MS);
  for (const [at, { id, disk, status }] of members.entries()) {
    assert(disk.writes === before[at]?.writes, `${id} writes while nothing is decided`);
    assert(status?.term === before[at]?.term, `${id} is in term ${status?.term} while nothing is decided`);
  }
  const said = cluster.network.messages - messages;
  assert(said === 0 || cluster.knobs.leadership === 'standing', `a paused group says ${said} things`);
}
