/** What goes wrong with a replicated log, and how its members change meanwhile: each fault with its own end. */
import { rot } from '../../adapters/memory/raft-content.ts';
import { chance, integerBetween, pick, type Random } from '../../core/base/prng.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { MembershipChange } from '../../core/raft/contract.ts';
import { changed, isVoter, type Membership, quorumOf, votersOf } from '../../core/raft/membership.ts';
import type { RaftWorld } from './raft-world.ts';
import type { ReplicaMachine } from './replica.ts';

export const RAFT_FAULTS = [
  'killed',
  'powerCut',
  'stopped',
  'asleep',
  'connectionBroken',
  'linkOneWay',
  'cutOff',
  'halved',
  'linkSlow',
  'diskSlow',
  'diskFull',
  'recordRotten',
  'learnerAdded',
  'memberPromoted',
  'memberDemoted',
  'memberRemoved',
  'leaderRemoved',
  'leadHandedOver',
] as const;
export type RaftFaultName = (typeof RAFT_FAULTS)[number];

const MACHINES_MAX = 8;

export class RaftFaults {
  readonly fired = new Map<RaftFaultName, number>();
  readonly #world: RaftWorld;
  readonly #random: Random;
  /** How to end what is going on. */
  readonly #ends = new Set<() => void>();

  constructor(world: RaftWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  inject(fault: RaftFaultName): void {
    if (this.#try(fault)) this.fired.set(fault, (this.fired.get(fault) ?? 0) + 1);
  }

  /** Everything mends now. */
  healAll(): void {
    for (const end of [...this.#ends]) end();
  }

  #try(fault: RaftFaultName): boolean {
    const { network, machines } = this.#world;
    const one = this.#victim();
    const other = pick(this.#random, [...machines.values()]);
    switch (fault) {
      case 'killed':
        return this.#down(one, false);
      case 'powerCut':
        return this.#down(one, true);
      case 'stopped':
        return one.stop(integerBetween(this.#random, 20, 2_000), false);
      case 'asleep':
        return this.#sleep(one);
      case 'connectionBroken':
        return one !== other && network.break(one.id, other.id);
      case 'linkOneWay':
        return one !== other && this.#block([[one.id, other.id]]);
      case 'cutOff':
        return this.#block(this.#others(one).flatMap(({ id }) => bothWays(one.id, id)));
      case 'halved':
        return this.#halve();
      case 'linkSlow':
        return one !== other && this.#slow(one, other);
      case 'diskSlow':
        return this.#diskSlow(one);
      case 'diskFull':
        return this.#diskFull(one);
      case 'recordRotten':
        return this.#rot(one);
      case 'leadHandedOver':
        return this.#handOver(other);
      default:
        return this.#change(fault);
    }
  }

  /** Leaders are where it hurts. */
  #victim(): ReplicaMachine {
    const leader = this.#world.leader();
    return leader && chance(this.#random, 0.4) ? leader : pick(this.#random, [...this.#world.machines.values()]);
  }

  #others(one: ReplicaMachine): readonly ReplicaMachine[] {
    return [...this.#world.machines.values()].filter((machine) => machine !== one);
  }

  #for(minMs: number, maxMs: number, end: () => void): void {
    const once = (): void => {
      if (this.#ends.delete(once)) end();
    };
    this.#ends.add(once);
    this.#world.clock.startTimer(integerBetween(this.#random, minMs, maxMs), once);
  }

  #down(machine: ReplicaMachine, isPowerCut: boolean): boolean {
    if (!machine.isUp) return false;
    machine.kill(isPowerCut);
    this.#for(10, 3_000, () => machine.start());
    return true;
  }

  /** What is sent to it waits on the way, and it hears of it when it is awake. */
  #sleep(machine: ReplicaMachine): boolean {
    const ms = integerBetween(this.#random, 100, 3_000);
    if (!machine.stop(ms, true)) return false;
    const ways = this.#others(machine).flatMap(({ id }) => bothWays(machine.id, id));
    for (const [from, to] of ways) this.#world.network.block(from, to);
    this.#for(ms, ms, () => this.#healWays(ways));
    return true;
  }

  #block(ways: readonly (readonly [string, string])[]): boolean {
    if (ways.length === 0) return false;
    for (const [from, to] of ways) this.#world.network.block(from, to);
    this.#world.trace.add('network', `blocks ${ways.map(([from, to]) => `${from}>${to}`).join(' ')}`);
    this.#for(50, 4_000, () => this.#healWays(ways));
    return true;
  }

  #healWays(ways: readonly (readonly [string, string])[]): void {
    for (const [from, to] of ways) this.#world.network.heal(from, to);
    this.#world.trace.add('network', `heals ${ways.map(([from, to]) => `${from}>${to}`).join(' ')}`);
  }

  #halve(): boolean {
    const ids = [...this.#world.machines.keys()];
    const half = new Set(ids.filter(() => chance(this.#random, 0.5)));
    return this.#block(
      ids.flatMap((from) => ids.filter((to) => half.has(from) !== half.has(to)).map((to) => [from, to] as const)),
    );
  }

  #slow(one: ReplicaMachine, other: ReplicaMachine): boolean {
    const { latencyMs, jitterMs } = this.#world.knobs;
    this.#world.network.setLatency(one.id, other.id, integerBetween(this.#random, 100, 800), 200);
    this.#for(500, 5_000, () => this.#world.network.setLatency(one.id, other.id, latencyMs, jitterMs));
    return true;
  }

  #diskSlow({ disk }: ReplicaMachine): boolean {
    disk.syncMs = integerBetween(this.#random, 50, 500);
    this.#for(200, 4_000, () => {
      disk.syncMs = this.#world.knobs.syncMs;
    });
    return true;
  }

  #diskFull(machine: ReplicaMachine): boolean {
    if (!machine.isUp) return false;
    machine.note('disk is full');
    machine.disk.failure = new CodedError('disk_full', 'simulated');
    this.#for(100, 3_000, () => {
      machine.disk.failure = null;
      machine.start();
    });
    return true;
  }

  /** Only where the group can do without it for good, whichever membership it goes by. */
  #rot(machine: ReplicaMachine): boolean {
    const machines = [...this.#world.machines.values()];
    const memberships = machines.filter(({ isLost }) => !isLost).map(({ log }) => log?.status?.membership ?? null);
    const isSpare = memberships.every((membership) => membership !== null && this.#isLive(membership, machine.id));
    if (!isSpare || !rot(machine.disk.content.raft, this.#random)) return false;
    machine.note('a record rots');
    machine.kill(false);
    machine.start();
    return true;
  }

  #handOver(to: ReplicaMachine): boolean {
    const leader = this.#world.leader();
    if (!leader?.log || leader.isStopped || leader === to) return false;
    leader.note(`hands over to ${to.id}`);
    leader.log.transferTo(to.id);
    return true;
  }

  #change(fault: RaftFaultName): boolean {
    const leader = this.#world.leader();
    const status = leader?.log?.status;
    // What waits at one that is stopped would be done in a world that has changed since.
    if (!status || leader.isStopped) return false;
    const change = this.#changeOf(fault, status.membership);
    const after = change && changed(status.membership, change);
    if (!change || typeof after === 'string' || after === null || !this.#isLive(after, null)) return false;
    this.#world.change(change);
    return true;
  }

  #changeOf(fault: RaftFaultName, membership: Membership): MembershipChange | null {
    const { id } = pick(this.#random, membership);
    switch (fault) {
      case 'learnerAdded': {
        if (this.#world.machines.size >= MACHINES_MAX) return null;
        const replica = this.#world.add('learner');
        this.#world.machine(replica.id).start();
        return { do: 'add', replica };
      }
      case 'memberPromoted':
        return { do: 'setRole', id, role: 'voter' };
      case 'memberDemoted':
        return { do: 'setRole', id, role: 'learner' };
      case 'memberRemoved':
        return { do: 'remove', id };
      case 'leaderRemoved':
        return { do: 'remove', id: this.#world.leader()?.id ?? id };
      default:
        return null;
    }
  }

  /** A quorum of it has its disks, also without `gone`. */
  #isLive(membership: Membership, gone: string | null): boolean {
    if (gone !== null && !isVoter(membership, gone)) return true;
    const voters = votersOf(membership);
    const left = voters.filter((id) => id !== gone && !this.#world.machines.get(id)?.isLost);
    return left.length >= quorumOf(voters.length);
  }
}

function bothWays(one: string, other: string): readonly (readonly [string, string])[] {
  return [
    [one, other],
    [other, one],
  ];
}
