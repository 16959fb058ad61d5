/** What goes wrong with a group and its nodes, and how its members change meanwhile: each fault with its own end. */
import { chance, integerBetween, pick, type Random } from '../../core/base/prng.ts';
import type { ClientRequest } from '../../core/model/requests.ts';
import type { GroupWorld } from './group-world.ts';
import { isRetried } from './group-world.ts';
import type { GroupNode, ReplicaMachine } from './replica-machine.ts';

export const GROUP_FAULTS = [
  'replicaKilled',
  'replicaPowerCut',
  'replicaStopped',
  'nodeKilled',
  'nodePowerCut',
  'instanceCrashed',
  'peerLinkBroken',
  'peerLinkOneWay',
  'replicaCutOff',
  'groupHalved',
  'peerLinkSlow',
  'childLinkBroken',
  'childLinkSilent',
  'diskSlow',
  'clockJumped',
  'leadHandedOver',
  'replicaJoins',
  'replicaLeaves',
  'roleChanged',
] as const;
export type GroupFaultName = (typeof GROUP_FAULTS)[number];

const REPLICAS_MAX = 7;
const VOTERS_MIN = 3;

export class GroupFaults {
  readonly fired = new Map<GroupFaultName, number>();
  /** Requests of its own that are not answered yet. */
  asked = 0;
  readonly #world: GroupWorld;
  readonly #random: Random;
  /** How to end what is going on. */
  readonly #ends = new Set<() => void>();
  #keys = 0;

  constructor(world: GroupWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  inject(fault: GroupFaultName): void {
    if (this.#try(fault)) this.fired.set(fault, (this.fired.get(fault) ?? 0) + 1);
  }

  healAll(): void {
    for (const end of [...this.#ends]) end();
  }

  /** Machines of those that were removed and are in no group any more go. */
  clear(): void {
    const { replicas, checkers } = this.#world;
    const { membership, leader } = this.#world.newest();
    if (membership.length === 0) return;
    for (const machine of [...replicas]) {
      const isMember = membership.some(({ id }) => id === machine.id) || checkers.state.replicas.has(machine.id);
      if (!isMember && machine.lives > 0 && machine !== leader) this.#world.takeAway(machine);
    }
  }

  #try(fault: GroupFaultName): boolean {
    const { peers, network } = this.#world;
    const one = this.#replica();
    const other = pick(this.#random, this.#world.replicas);
    switch (fault) {
      case 'replicaKilled':
        return this.#down(one, 'kill', [50, 8_000]);
      case 'replicaPowerCut':
        return this.#down(one, 'cutPower', [500, 15_000]);
      case 'replicaStopped':
        return one.stop(integerBetween(this.#random, 50, 8_000));
      case 'nodeKilled':
        return this.#down(this.#node(), 'kill', [50, 10_000]);
      case 'nodePowerCut':
        return this.#down(this.#node(), 'cutPower', [500, 15_000]);
      case 'instanceCrashed':
        return this.#crash();
      case 'peerLinkBroken':
        return one !== other && peers.break(one.id, other.id);
      case 'peerLinkOneWay':
        return one !== other && this.#block([[one.id, other.id]]);
      case 'replicaCutOff':
        return this.#block(this.#bothWays([one]));
      case 'groupHalved':
        return this.#block(this.#bothWays(this.#world.replicas.filter(() => chance(this.#random, 0.5))));
      case 'peerLinkSlow':
        return one !== other && this.#slow(one, other);
      case 'childLinkBroken': {
        const child = pick(this.#random, this.#world.machines());
        return this.#world.replicas.some((at) => at.name !== child.name && network.break(at.name, child.name));
      }
      case 'childLinkSilent':
        return this.#silence();
      case 'diskSlow':
        return this.#slowDisk(one);
      case 'clockJumped':
        return this.#jump();
      case 'leadHandedOver':
        return this.#handOver(other);
      case 'replicaJoins':
        return this.#join();
      case 'replicaLeaves':
        return this.#leave(other);
      case 'roleChanged':
        return this.#changeRole(other);
    }
  }

  /** Leaders are where it hurts. */
  #replica(): ReplicaMachine {
    const { leader } = this.#world.newest();
    return leader && chance(this.#random, 0.5) ? leader : pick(this.#random, this.#world.replicas);
  }

  #node(): GroupNode {
    return pick(this.#random, this.#world.nodes);
  }

  #for([minMs, maxMs]: readonly [number, number], end: () => void): void {
    const once = (): void => {
      if (this.#ends.delete(once)) end();
    };
    this.#ends.add(once);
    this.#world.clock.startTimer(integerBetween(this.#random, minMs, maxMs), once);
  }

  #down(machine: ReplicaMachine | GroupNode, how: 'kill' | 'cutPower', forMs: readonly [number, number]): boolean {
    if (!machine.up) return false;
    machine[how]();
    this.#for(forMs, () => {
      if (this.#world.machines().includes(machine)) machine.start();
    });
    return true;
  }

  #crash(): boolean {
    const running = this.#world.machines().flatMap(({ host }) => host.running().map((id) => ({ host, id })));
    if (running.length === 0) return false;
    const { host, id } = pick(this.#random, running);
    host.crash(id);
    return true;
  }

  #bothWays(some: readonly ReplicaMachine[]): readonly (readonly [string, string])[] {
    const others = this.#world.replicas.filter((one) => !some.includes(one));
    return some.flatMap((a) => others.flatMap((b) => [[a.id, b.id] as const, [b.id, a.id] as const]));
  }

  #block(ways: readonly (readonly [string, string])[]): boolean {
    if (ways.length === 0) return false;
    const { peers, trace } = this.#world;
    const text = ways.map(([from, to]) => `${from}>${to}`).join(' ');
    for (const [from, to] of ways) peers.block(from, to);
    trace.add('network', `blocks ${text}`);
    this.#for([100, 15_000], () => {
      for (const [from, to] of ways) peers.heal(from, to);
      trace.add('network', `heals ${text}`);
    });
    return true;
  }

  #slow(one: ReplicaMachine, other: ReplicaMachine): boolean {
    const { peers, knobs } = this.#world;
    peers.setLatency(one.id, other.id, integerBetween(this.#random, 50, 400), 100);
    this.#for([1_000, 10_000], () => peers.setLatency(one.id, other.id, knobs.latencyMs, knobs.latencyMs));
    return true;
  }

  #silence(): boolean {
    const { network, replicas, trace } = this.#world;
    const child = pick(this.#random, this.#world.machines());
    const directions = pick(this.#random, [['up', 'down'], ['up'], ['down']] as const);
    const ats = replicas.filter(({ name }) => name !== child.name);
    trace.add(child.name, `link is silent ${directions.join(' and ')}`);
    const hits = ats.map(({ name }) => network.block(name, child.name, directions));
    this.#for([500, 20_000], () => {
      trace.add(child.name, 'link speaks again');
      for (const { name } of ats) network.heal(name, child.name);
    });
    return hits.includes(true);
  }

  #slowDisk({ disk, name }: ReplicaMachine): boolean {
    disk.syncMs = integerBetween(this.#random, 30, 400);
    this.#world.trace.add(name, `a sync takes ${disk.syncMs} ms`);
    this.#for([1_000, 10_000], () => {
      disk.syncMs = this.#world.knobs.syncMs;
    });
    return true;
  }

  #jump(): boolean {
    const machine = pick(this.#random, this.#world.machines());
    const sizeMs = pick(this.#random, [700, 5_000, 90_000, 3_600_000]);
    const byMs = chance(this.#random, 0.5) ? sizeMs : -sizeMs;
    this.#world.trace.add(machine.name, `clock jumps by ${byMs / 1000} s`);
    machine.clock.skewMs += byMs;
    return true;
  }

  #handOver(to: ReplicaMachine): boolean {
    const { leader } = this.#world.newest();
    const process = leader?.process;
    if (!leader || !process?.gate.isOpen || leader === to) return false;
    leader.note(`hands over to ${to.name}`);
    process.log.transferTo(to.id);
    return true;
  }

  #join(): boolean {
    if (this.#world.replicas.length >= REPLICAS_MAX) return false;
    const voters = [...this.#world.checkers.state.replicas.values()].filter(({ role }) => role === 'voter').length;
    const request = this.#world.newReplica(voters < 5 && chance(this.#random, 0.6) ? 'voter' : 'learner');
    const machine = this.#world.replicas.at(-1);
    this.#ask(request, () => machine?.start());
    return true;
  }

  #leave({ name, id }: ReplicaMachine): boolean {
    const replica = this.#world.checkers.state.replicas.get(id);
    if (!replica || (replica.role === 'voter' && !this.#isVoterSpare())) return false;
    this.#ask({ type: 'removeChild', child: name }, () => undefined);
    return true;
  }

  #changeRole({ name, id }: ReplicaMachine): boolean {
    const replica = this.#world.checkers.state.replicas.get(id);
    if (!replica || (replica.role === 'voter' && !this.#isVoterSpare())) return false;
    this.#ask({ type: 'setReplicaRole', name, role: replica.role === 'voter' ? 'learner' : 'voter' }, () => undefined);
    return true;
  }

  /** One at a time: each is judged by what those before have left. */
  #isVoterSpare(): boolean {
    const voters = [...this.#world.checkers.state.replicas.values()].filter(({ role }) => role === 'voter');
    return this.asked === 0 && voters.length > VOTERS_MIN;
  }

  /** As an operator does: at any replica, and again at another. */
  #ask(request: ClientRequest, done: () => void): void {
    const key = `operator-${++this.#keys}`;
    let isDone = false;
    this.asked += 1;
    const ask = (): void => {
      if (isDone) return;
      this.#world.clock.startTimer(5_000, ask);
      this.#world.ask(pick(this.#random, this.#world.replicas), { request, key, by: [] }, (answer) => {
        if (isDone || isRetried(answer)) return;
        isDone = true;
        this.asked -= 1;
        this.#world.trace.add('operator', `${request.type} ${answer.ok ? answer.value.effect : answer.error.code}`);
        this.#world.checkers.answered(key, answer);
        if (answer.ok) done();
      });
    };
    ask();
  }
}
