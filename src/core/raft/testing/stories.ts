/**
 * Runs of one thing that must come to a good end by itself, over many seeds each: what a run of all misfortunes together
 * (misfortunes.ts) cannot ask for, since there nearly anything may take its time.
 */
import { assert, must } from '../../base/assert.ts';
import { chance, integerBetween, Prng, pick, type Random } from '../../base/prng.ts';
import type { MembershipChange } from '../contract.ts';
import { type ReplicaId, votersOf } from '../membership.ts';
import { CALM, Cluster, type ClusterKnobs, replica } from './cluster.ts';
import type { Member } from './member.ts';
import { CALM_NETWORK } from './network.ts';
import { settle } from './settle.ts';
import { withLimits } from './small-limits.ts';

/** Gateways that get in each other's way take a few back-offs, each some ten times as long as an answer takes. */
const DECIDED_WITHIN_MS = 60_000;

type Print = ((line: string) => void) | null;

function begin(seed: number, print: Print, random: Random, knobs: Partial<ClusterKnobs>): Cluster {
  const latencyMs = pick(random, [0.2, 2, 15]);
  const network = { ...CALM_NETWORK, latencyMs, jitterMs: latencyMs / 2 };
  return new Cluster({ ...CALM, network, drift: 0.02, voters: pick(random, [3, 4, 5]), ...knobs, seed }, print);
}

function elected(cluster: Cluster, withinMs = 10_000): Member {
  assert(
    cluster.runUntil(() => cluster.leader() !== null, withinMs),
    `nobody leads within ${withinMs / 1_000} s`,
  );
  return must(cluster.leader(), 'a leader');
}

function others(cluster: Cluster, { id }: Member): readonly Member[] {
  return [...cluster.members.values()].filter((member) => member.id !== id);
}

/** The one timeout of all: ten round trips, or the least there is. */
function timeoutMs({ knobs }: Cluster): number {
  return Math.max(knobs.electionTimeoutMinMs, 20 * (knobs.network.latencyMs + knobs.network.jitterMs));
}

/**
 * One that hears nobody, or not the leader, asks and asks; back again, it deposes nobody (pre-vote: dissertation 9.6; and
 * voters that hear a leader: 4.2.3).
 */
export function comesBack(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0xbac4);
  const cluster = begin(seed, print, random, {});
  const leader = elected(cluster);
  cluster.run(timeoutMs(cluster));
  const { term } = must(leader.status, 'a leader');
  for (let round = 0; round < 3; round += 1) {
    const away = pick(random, others(cluster, leader)).id;
    const how = pick(random, ['alone', 'deaf', 'not to the leader', 'deaf to the leader']);
    const peers = how.endsWith('the leader') ? [leader.id] : [...cluster.members.keys()].filter((id) => id !== away);
    for (const peer of peers) {
      cluster.network.cut(peer, away);
      if (!how.startsWith('deaf')) cluster.network.cut(away, peer);
    }
    // With nothing decided meanwhile, its log is as good as any.
    const isBusy = chance(random, 0.5);
    for (let times = integerBetween(random, 1, 30); times > 0; times -= 1) {
      if (isBusy) cluster.propose(leader.id);
      cluster.run(timeoutMs(cluster) * random.next());
    }
    cluster.network.heal();
    cluster.run(4 * timeoutMs(cluster));
    const { status } = leader;
    assert(
      status?.role === 'leader' && status.term === term,
      `disruption: ${away}, which was ${how}, ends the term ${term} of ${leader.id}`,
    );
  }
  settle(cluster);
  return cluster;
}

/**
 * Leaders that do not run for a while, whatever comes in meanwhile, are followed by another one, and that one stays:
 * late answers of one that was away make it more patient, and early ones less, and it is never silent for longer than
 * it has told the others to wait.
 */
export function leadersStop(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0x5709);
  const cluster = begin(seed, print, random, { voters: 3 });
  for (let round = 0; round < 6; round += 1) {
    const stopped = elected(cluster);
    cluster.run(timeoutMs(cluster) * random.next());
    const { term } = must(stopped.status, 'a leader');
    cluster.stop(stopped.id, integerBetween(random, 100, 10_000), false);
    const isReplaced = () => (cluster.leader()?.status?.term ?? 0) > term;
    if (!cluster.runUntil(isReplaced, 10_000)) continue; // it was back before anyone had waited long enough
    const leader = must(cluster.leader(), 'a leader');
    const { elections } = cluster.invariants;
    for (let times = integerBetween(random, 1, 30); times > 0; times -= 1) {
      if (chance(random, 0.7)) cluster.propose(leader.id);
      cluster.run(4 * timeoutMs(cluster) * random.next());
    }
    assert(cluster.invariants.elections === elections, `${leader.id} leads, lives, and is voted out`);
  }
  settle(cluster);
  return cluster;
}

/** A leader that hears no quorum gives up, so that its clients look elsewhere (check-quorum: dissertation 6.2). */
export function isAlone(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0xa10e);
  const cluster = begin(seed, print, random, {});
  const leader = elected(cluster);
  cluster.run(timeoutMs(cluster) * 3 * random.next());
  const isDeaf = chance(random, 0.5);
  for (const { id } of others(cluster, leader)) {
    cluster.network.cut(id, leader.id);
    if (!isDeaf) cluster.network.cut(leader.id, id);
  }
  cluster.read(leader.id);
  const hasGivenUp = cluster.runUntil(() => leader.status?.role !== 'leader', 4 * timeoutMs(cluster));
  assert(hasGivenUp, `check-quorum: ${leader.id} hears nobody for four election timeouts and still leads`);
  assert(leader.reads.size === 0, `${leader.id} leads no more and has not refused its reads`);
  settle(cluster);
  return cluster;
}

/**
 * A replica whose disk takes several election timeouts for each write, or whose link takes as long for each piece, still
 * gets a snapshot of many pieces, and then what came meanwhile, while its leader goes on and would take more snapshots.
 */
export function isSlow(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0x510);
  return withLimits({ snapshotPieceBytes: 25, logTailEntries: 1, logEntriesPerSnapshot: 400 }, () => {
    // As over a stream: where everything takes seconds, one message that overtakes another costs as many.
    const network = { ...CALM_NETWORK, retransmitMs: 200 };
    const cluster = begin(seed, print, random, { network, voters: 3, entriesPerSnapshot: 20 });
    const leader = elected(cluster);
    for (let times = 0; times < 10; times += 1) {
      cluster.propose(leader.id, 5);
      cluster.run(50);
    }
    const id = cluster.add();
    if (chance(random, 0.5)) cluster.member(id).syncMs = integerBetween(random, 100, 6_000);
    else cluster.network.slow(leader.id, id, integerBetween(random, 200, 6_000));
    cluster.change(leader.id, { do: 'add', replica: replica(id, 'learner') });
    const load = (): void => {
      cluster.propose(leader.id);
      if (cluster.member(id).appliedIndex === 0) cluster.after(500, load);
    };
    load();
    const hasCaughtUp = (): boolean => cluster.member(id).appliedIndex === leader.log.lastIndex;
    assert(cluster.runUntil(hasCaughtUp, 600_000), `${id} is slow, and has not caught up after ten minutes`);
    const pieces = Math.ceil((leader.disk.snapshot?.content.length ?? 0) / 25);
    const sent = cluster.fired.get('pieceSent') ?? 0;
    assert(sent <= 5 * pieces + 10, `${id} is slow, and is sent ${sent} pieces where there are ${pieces}`);
    cluster.member(id).syncMs = null;
    settle(cluster);
    return cluster;
  });
}

/** Over links that lose a third of what they carry everyone gets everything, and no further proposal is needed for it. */
export function losesMuch(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0x1055);
  const network = { ...CALM_NETWORK, latencyMs: 1, jitterMs: pick(random, [0, 5]), lossRate: pick(random, [0.1, 0.3]) };
  const cluster = begin(seed, print, random, { network, entriesPerSnapshot: pick(random, [4, 1_000]) });
  for (let round = 0; round < 5; round += 1) {
    elected(cluster, 60_000);
    for (let times = integerBetween(random, 1, 5); times > 0; times -= 1) {
      const leader = cluster.leader();
      if (leader) cluster.propose(leader.id, integerBetween(random, 1, 5));
      cluster.run(random.next() * 30);
    }
    const isEverywhere = (): boolean => {
      const status = cluster.leader()?.status;
      if (!status) return false;
      return [...cluster.members.values()].every(({ appliedIndex }) => appliedIndex === status.lastIndex);
    };
    assert(cluster.runUntil(isEverywhere, 30_000), 'somebody has not everything after 30 s');
  }
  settle(cluster);
  return cluster;
}

/**
 * One leader after the other is cut off when it has said only so much, in the midst of an election or of its entries, and
 * may not notice for a while: what figure 8 of the paper warns of, and where a read from an old leader would be stale.
 */
export function leadersCutShort(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0xc075);
  return withLimits({ logBatchEntries: 1, raftMessagesInFlight: pick(random, [1, 4]) }, () => {
    const latencyMs = pick(random, [0.2, 5]);
    const network = { ...CALM_NETWORK, latencyMs, jitterMs: latencyMs, strayRate: pick(random, [0, 0.1]) };
    const cluster = begin(seed, print, random, { network, voters: pick(random, [3, 5]), syncMs: pick(random, [0, 5]) });
    for (let round = 0; round < 12; round += 1) {
      const ids = [...cluster.members.keys()].sort(() => random.next() - 0.5);
      const outside = ids.slice(0, integerBetween(random, 0, (ids.length - 1) / 2));
      for (const id of outside) for (const other of ids) cutBothWays(cluster, id, other);
      const isLed = (): boolean => [...cluster.members.values()].some(({ id, status }) => leads(status) && !outside.includes(id));
      cluster.runUntil(isLed, 2_000);
      const leader = cluster.leader();
      if (!leader) continue;
      // Alone, or with one that still listens to it.
      const friend = chance(random, 0.3) ? pick(random, others(cluster, leader)).id : null;
      if (friend === null) cluster.network.cutAfter(leader.id, integerBetween(random, 0, 6));
      cluster.propose(leader.id, integerBetween(random, 1, 2));
      cluster.run(random.next() * 20);
      cluster.network.heal();
      if (friend === null) cluster.network.cutAfter(leader.id, 0);
      else
        for (const { id } of others(cluster, leader)) {
          if (id === friend) continue;
          cutBothWays(cluster, id, friend);
          cutBothWays(cluster, id, leader.id);
        }
      if (chance(random, 0.5)) cluster.stop(leader.id, integerBetween(random, 100, 1_500), true);
      cluster.run(random.next() * 300);
      for (let times = 0; times < 3; times += 1) {
        cluster.read(leader.id);
        const other = cluster.leader();
        if (other && other !== leader) cluster.propose(other.id);
        cluster.run(random.next() * 300);
      }
      cluster.network.heal();
    }
    settle(cluster);
    return cluster;
  });
}

function leads(status: Member['status']): boolean {
  return status?.role === 'leader';
}

function cutBothWays(cluster: Cluster, one: ReplicaId, other: ReplicaId): void {
  cluster.network.cut(one, other);
  cluster.network.cut(other, one);
}

/** A leader hands over within an election timeout, under load; every proposal has an answer (3.10). */
export function handsOver(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0x4a9d);
  const cluster = begin(seed, print, random, {});
  elected(cluster);
  for (let round = 0; round < 5; round += 1) {
    cluster.run(2 * timeoutMs(cluster));
    const leader = must(cluster.leader(), 'a leader');
    cluster.propose(leader.id, integerBetween(random, 0, 40));
    const { id } = pick(random, others(cluster, leader));
    cluster.step(leader, { type: 'transferRequested', to: id });
    const isDone = cluster.runUntil(() => cluster.leader()?.id === id, 2 * timeoutMs(cluster));
    assert(isDone, `${leader.id} hands over to ${id}, and ${cluster.leader()?.id} leads after two election timeouts`);
  }
  settle(cluster);
  return cluster;
}

/** However far apart replicas are, somebody leads, goes on leading, and decides. */
export function farApart(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0xfa4);
  const latencyMs = pick(random, [1, 25, 100, 300, 450, 600, 750]);
  const network = { ...CALM_NETWORK, latencyMs, jitterMs: latencyMs * pick(random, [0, 0.1, 0.3]) };
  const cluster = begin(seed, print, random, { network });
  elected(cluster, 60_000);
  const isSteady = (): boolean => (cluster.leader()?.status?.commit ?? 0) > 0;
  assert(cluster.runUntil(isSteady, 60_000), `round trips of ${2 * latencyMs} ms: nobody leads long enough to commit`);
  cluster.run(10_000);
  const { elections } = cluster.invariants;
  for (let round = 0; round < 100; round += 1) {
    const leader = cluster.leader();
    if (leader) cluster.propose(leader.id);
    cluster.run(1_000);
  }
  const more = cluster.invariants.elections - elections;
  assert(more === 0, `round trips of ${2 * latencyMs} ms: ${more} elections in 100 s in which nothing went wrong`);
  assert(
    cluster.invariants.acknowledged.size >= 95,
    `only ${cluster.invariants.acknowledged.size} of 100 proposals are committed`,
  );
  return cluster;
}

/** From one replica to five and back to one, under load, its leader removed among others: every change goes through. */
export function growsAndShrinks(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0x940);
  const cluster = begin(seed, print, random, { voters: 1, entriesPerSnapshot: pick(random, [20, 1_000]) });
  elected(cluster);
  const change = (what: MembershipChange, holds: (voters: readonly ReplicaId[]) => boolean): void => {
    const isMade = (): boolean => {
      const status = cluster.leader()?.status;
      return status !== undefined && status !== null && holds(votersOf(status.membership));
    };
    const endMs = cluster.nowMs + 10_000;
    while (!isMade()) {
      assert(cluster.nowMs < endMs, `growth: ${JSON.stringify(what)} is not made within 10 s`);
      const leader = cluster.leader();
      if (leader) {
        cluster.propose(leader.id, integerBetween(random, 0, 5));
        cluster.change(leader.id, what);
      }
      cluster.run(random.next() * 50);
    }
  };
  for (const size of [2, 3, 5]) {
    while (votersOf(must(elected(cluster).status, 'a leader').membership).length < size) {
      const id = cluster.add();
      change({ do: 'add', replica: replica(id, 'learner') }, () => isMember(cluster, id));
      const hasCaughtUp = (): boolean => (cluster.leader()?.status?.matched.get(id) ?? 0) > 0;
      assert(cluster.runUntil(hasCaughtUp, 10_000), `growth: ${id} does not catch up`);
      change({ do: 'setRole', id, role: 'voter' }, (voters) => voters.includes(id));
    }
  }
  for (const size of [3, 1])
    for (;;) {
      const voters = votersOf(must(elected(cluster).status, 'a leader').membership);
      if (voters.length <= size) break;
      const id = pick(random, voters);
      change({ do: 'remove', id }, (left) => !left.includes(id));
    }
  settle(cluster);
  return cluster;
}

function isMember(cluster: Cluster, id: ReplicaId): boolean {
  return cluster.leader()?.status?.membership.some((one) => one.id === id) ?? false;
}

/**
 * Gateways of a group on demand, each with decisions to make at its own times: at any rate each is made before long,
 * and the group falls silent when there are no more (Messina). A gateway that hears of a leader turns to it.
 */
export function gatewaysDuel(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0xd0e1);
  const quietMs = pick(random, [20, 100, 400]);
  const cluster = begin(seed, print, random, { leadership: 'on-demand', quietMs, voters: pick(random, [2, 3, 5, 6]) });
  const members = [...cluster.members.values()].slice(0, integerBetween(random, 2, 6));
  // Some are farther from each other than others: their votes come when the election is over.
  if (chance(random, 0.5))
    for (const one of cluster.members.keys())
      for (const other of cluster.members.keys())
        if (chance(random, 0.3)) cluster.network.slow(one, other, integerBetween(random, 20, 300));
  const paceMs = pick(random, [1, 5, 30, quietMs, 1_000]);
  const gateways = members.map((member) => new Gateway(cluster, random, member, paceMs));
  cluster.listeners.push((member) => {
    for (const gateway of gateways) gateway.heard(member);
  });
  assert(
    cluster.runUntil(() => gateways.every(({ left }) => left === 0), 600_000),
    `gateways have still to make ${gateways.map(({ left }) => left).join(', ')} decisions after ten minutes`,
  );
  settle(cluster);
  return cluster;
}

/**
 * A group on demand falls silent without those who are down, whoever paused it goes down, too, and the others come back:
 * they are told what they have missed, and silence falls again.
 */
export function fallsSilent(seed: number, print: Print = null): Cluster {
  const random = new Prng(seed ^ 0x511e);
  const cluster = begin(seed, print, random, { leadership: 'on-demand', voters: pick(random, [3, 5]) });
  for (let round = 0; round < 3; round += 1) {
    const [first, second] = [...cluster.members.keys()].sort(() => random.next() - 0.5);
    const [away, gone] = [must(first, 'a replica'), must(second, 'another replica')];
    const isSilent = (): boolean => [...cluster.members.values()].every(({ status }) => status === null || status.isPaused);
    cluster.crash(away);
    if (isSilent()) cluster.step(cluster.member(gone), { type: 'leadershipWanted' });
    const leader = elected(cluster);
    cluster.propose(leader.id, integerBetween(random, 1, 5));
    assert(cluster.runUntil(isSilent, 20_000), 'the group does not fall silent');
    // With three, one of the two that know everything has to be there.
    if (chance(random, 0.5) && cluster.members.size > 3) cluster.crash(leader.id);
    cluster.start(away);
    const last = Math.max(...[...cluster.members.values()].map(({ log }) => log.lastIndex));
    const hasCaughtUp = (): boolean => cluster.member(away).appliedIndex >= last;
    assert(cluster.runUntil(hasCaughtUp, 20_000), `${away} is back, and nobody tells it of ${last}`);
    cluster.start(leader.id);
    assert(cluster.runUntil(isSilent, 20_000), 'the group does not fall silent again');
  }
  settle(cluster);
  return cluster;
}

/** Makes one decision after the other. */
class Gateway {
  readonly member: Member;
  left = 30;
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #paceMs: number;
  #askedAtMs: number | null = null;
  #names: string[] = [];
  #proposedInTerm = -1;

  constructor(cluster: Cluster, random: Random, member: Member, paceMs: number) {
    this.#cluster = cluster;
    this.#random = random;
    this.member = member;
    this.#paceMs = paceMs;
    this.#askLater();
  }

  #askLater(): void {
    this.#cluster.after(this.#random.next() * 2 * this.#paceMs, () => {
      this.#askedAtMs = this.#cluster.nowMs;
      this.#watch();
      this.#tryNow();
    });
  }

  /** Says so when it takes too long; asks again when nothing was heard for a while. */
  #watch(): void {
    this.#cluster.after(timeoutMs(this.#cluster) / 2, () => {
      if (this.#isDecided() || this.#askedAtMs === null) return;
      const waitedMs = this.#cluster.nowMs - must(this.#askedAtMs, 'a question');
      assert(waitedMs < DECIDED_WITHIN_MS, `livelock: ${this.member.id} waits for a decision since ${waitedMs} ms`);
      this.#tryNow();
      this.#watch();
    });
  }

  heard(member: Member): void {
    if (!this.#isDecided() && member === this.member) this.#tryNow();
  }

  #tryNow(): void {
    const { status, id } = this.member;
    if (this.#askedAtMs === null || !status) return;
    const { leader, term } = status;
    if (leader === null) this.#cluster.step(this.member, { type: 'leadershipWanted' });
    // Once to each leader: what it has not answered it may yet.
    if (leader === null || term === this.#proposedInTerm) return;
    this.#proposedInTerm = term;
    const latencyMs = leader === id ? 0 : this.#cluster.knobs.network.latencyMs;
    this.#cluster.after(latencyMs, () => {
      if (!this.#isDecided()) this.#names.push(...this.#cluster.propose(leader));
    });
  }

  #isDecided(): boolean {
    if (this.#askedAtMs === null || !this.#names.some((name) => this.#cluster.invariants.acknowledged.has(name))) return false;
    this.#askedAtMs = null;
    this.#names = [];
    this.#proposedInTerm = -1;
    this.left -= 1;
    if (this.left > 0) this.#askLater();
    return true;
  }
}
