/** What goes wrong: each fault with its own end, and a count of those that really hit something. */
import { chance, integerBetween, pick, type Random } from '../core/base/prng.ts';
import { CodedError } from '../core/model/errors.ts';
import type { NodeMachine, OrchestratorMachine } from './machine.ts';
import type { World } from './world.ts';

export const FAULTS = [
  'nodeKilled',
  'nodePowerCut',
  'offlineReboot',
  'orchestratorKilled',
  'orchestratorPowerCut',
  'connectionBroken',
  'linkSilent',
  'linkOneWay',
  'linkSlow',
  'siteCutOff',
  'instanceCrashed',
  'startFails',
  'clockJumped',
  'diskFull',
] as const;
export type FaultName = (typeof FAULTS)[number];

type Machine = NodeMachine | OrchestratorMachine;

export class Faults {
  readonly fired = new Map<FaultName, number>();
  /** Those that would have hit an instance, and none was running. */
  readonly withoutVictim = new Set<FaultName>();
  readonly #world: World;
  readonly #random: Random;
  /** How to end what is going on. */
  readonly #ends = new Set<() => void>();

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  inject(fault: FaultName): void {
    if (this.#try(fault)) this.fired.set(fault, (this.fired.get(fault) ?? 0) + 1);
  }

  /** Everything mends now. */
  healAll(): void {
    for (const end of [...this.#ends]) end();
  }

  #try(fault: FaultName): boolean {
    switch (fault) {
      case 'nodeKilled':
        return this.#down(this.#node(), 'kill', [100, 20_000]);
      case 'nodePowerCut':
        return this.#down(this.#node(), 'cutPower', [1_000, 90_000]);
      case 'orchestratorKilled':
        return this.#down(this.#orchestrator(), 'kill', [100, 20_000]);
      case 'orchestratorPowerCut':
        return this.#down(this.#orchestrator(), 'cutPower', [1_000, 90_000]);
      case 'offlineReboot':
        return this.#offlineReboot(this.#node());
      case 'connectionBroken':
        return this.#connectionBroken(this.#child());
      case 'linkSilent':
        return this.#silent([this.#child()], ['up', 'down']);
      case 'linkOneWay':
        return this.#silent([this.#child()], [pick(this.#random, ['up', 'down'])]);
      case 'siteCutOff':
        return this.#siteCutOff();
      case 'linkSlow':
        return this.#slow(this.#child());
      case 'instanceCrashed':
        return this.#crash();
      case 'startFails':
        return this.#startFails(this.#node());
      case 'clockJumped':
        return this.#jump(pick(this.#random, this.#world.machines()));
      case 'diskFull':
        return this.#diskFull(pick(this.#random, this.#world.machines()));
    }
  }

  #node(): NodeMachine {
    return pick(this.#random, this.#world.nodes);
  }

  #orchestrator(): OrchestratorMachine {
    return pick(this.#random, this.#world.orchestrators);
  }

  #child(): Machine {
    return pick(
      this.#random,
      this.#world.machines().filter((machine) => machine.parent !== null),
    );
  }

  #for([minMs, maxMs]: readonly [number, number], end: () => void): void {
    const once = (): void => {
      if (this.#ends.delete(once)) end();
    };
    this.#ends.add(once);
    this.#world.clock.startTimer(integerBetween(this.#random, minMs, maxMs), once);
  }

  #down(machine: Machine, how: 'kill' | 'cutPower', forMs: readonly [number, number]): boolean {
    if (!machine.up) return false;
    machine[how]();
    this.#for(forMs, () => this.#world.start(machine));
    return true;
  }

  #offlineReboot(node: NodeMachine): boolean {
    const { parent } = node;
    if (!node.up || parent === null) return false;
    this.#world.trace.add(node.name, 'is cut off and reboots');
    this.#world.network.block(parent.machine, parent.child, ['up', 'down']);
    node.cutPower();
    this.#for([500, 5_000], () => this.#world.start(node));
    this.#for([6_000, 90_000], () => this.#world.network.heal(parent.machine, parent.child));
    return true;
  }

  #connectionBroken({ parent }: Machine): boolean {
    return parent !== null && this.#world.network.break(parent.machine, parent.child);
  }

  #silent(machines: readonly Machine[], directions: readonly ('up' | 'down')[]): boolean {
    let hit = false;
    for (const { parent, name } of machines) {
      if (parent === null) continue;
      this.#world.trace.add(name, `link is silent ${directions.join(' and ')}`);
      hit = this.#world.network.block(parent.machine, parent.child, directions) || hit;
    }
    this.#for([500, 90_000], () => {
      for (const { parent, name } of machines) {
        if (parent === null) continue;
        this.#world.trace.add(name, 'link speaks again');
        this.#world.network.heal(parent.machine, parent.child);
      }
    });
    return hit;
  }

  #siteCutOff(): boolean {
    const { clusters, nodes } = this.#world;
    const [first] = clusters;
    if (!first) return this.#silent(nodes, ['up', 'down']);
    const cluster = pick(this.#random, clusters);
    if (chance(this.#random, 0.5)) return this.#silent([cluster], ['up', 'down']);
    return this.#silent(this.#world.nodesOf(cluster), ['up', 'down']);
  }

  #slow({ parent, name }: Machine): boolean {
    if (parent === null) return false;
    const path = this.#world.network.path(parent.machine, parent.child);
    const before = path.latencyMs;
    if (before > 400) return false;
    this.#world.trace.add(name, 'link is slow');
    path.latencyMs = integerBetween(this.#random, 500, 2_500);
    this.#for([5_000, 60_000], () => {
      path.latencyMs = before;
    });
    return true;
  }

  #crash(): boolean {
    const running = this.#world.nodes.flatMap(({ host }) => host.running().map((id) => ({ host, id })));
    if (running.length === 0) {
      this.withoutVictim.add('instanceCrashed');
      return false;
    }
    const { host, id } = pick(this.#random, running);
    host.crash(id);
    return true;
  }

  /** Something has to start for it to fail: an instance crashes there. */
  #startFails({ host }: NodeMachine): boolean {
    const running = host.running();
    if (running.length === 0) {
      this.withoutVictim.add('startFails');
      return false;
    }
    host.init.startFailureRate = 1;
    host.crash(pick(this.#random, running));
    this.#for([1_000, 60_000], () => {
      host.init.startFailureRate = this.#world.knobs.startFailureRate;
    });
    return true;
  }

  #jump(machine: Machine): boolean {
    const sizeMs = pick(this.#random, [700, 5_000, 90_000, 3_600_000]);
    const byMs = chance(this.#random, 0.5) ? sizeMs : -sizeMs;
    this.#world.trace.add(machine.name, `clock jumps by ${byMs / 1000} s`);
    machine.clock.skewMs += byMs;
    return true;
  }

  #diskFull(machine: Machine): boolean {
    if (!machine.up) return false;
    this.#world.trace.add(machine.name, 'disk is full');
    machine.disk.failure = new CodedError('disk_full', 'simulated');
    this.#for([1_000, 30_000], () => {
      machine.disk.failure = null;
      this.#world.start(machine);
    });
    return true;
  }
}
