/** Machines of a simulated group: replicas, each a node as well, and nodes of their own. */
import type { EngineInit } from '../../core/engine/engine.ts';
import type { Membership, Replica } from '../../core/raft/membership.ts';
import type { ParentLinkComponents } from '../../node/parent-link.ts';
import { Machine, type MachineComponents, NodeMachine } from '../machine.ts';
import type { Life } from '../machine-clock.ts';
import type { Host } from '../runtime.ts';
import type { GroupWorld } from './group-world.ts';
import { ReplicaProcess } from './replica-process.ts';

export class ReplicaMachine extends Machine {
  readonly group: GroupWorld;
  readonly self: Replica;
  readonly host: Host;
  readonly init: EngineInit;
  /** As long as its log names none: itself alone, or who was there when it joined. */
  readonly membership: Membership;
  process: ReplicaProcess | null = null;
  lives = 0;
  /** That it has sent to other replicas. */
  frames = 0;

  constructor(
    group: GroupWorld,
    components: MachineComponents,
    { self, membership, host, init }: Pick<ReplicaMachine, 'self' | 'membership' | 'host' | 'init'>,
  ) {
    super(self.name, null, components);
    this.group = group;
    this.self = self;
    this.membership = membership;
    this.host = host;
    this.init = init;
  }

  get id(): string {
    return this.self.id;
  }

  note(what: string): void {
    this.components.trace.add(this.name, what);
  }

  /** SIGSTOP, and SIGCONT later. False when nothing runs that could be stopped. */
  stop(ms: number): boolean {
    const gate = this.process?.gate;
    if (!gate?.isOpen) return false;
    this.note(`is stopped for ${ms} ms`);
    gate.close();
    this.components.world.startTimer(ms, () => {
      if (this.process?.gate !== gate) return;
      this.note('goes on');
      gate.open();
    });
    return true;
  }

  processFailed(life: Life, error: unknown): void {
    this.failed(life, error);
  }

  protected async run(life: Life): Promise<void> {
    this.lives += 1;
    this.process = new ReplicaProcess(this, life);
    await this.process.start();
  }

  protected ended(powerCut: boolean): void {
    this.process = null;
    this.group.peers.crash(this.id, { isPowerCut: powerCut });
    this.group.childDied(this.name, powerCut);
    this.group.parent?.replicaDied(powerCut);
    if (powerCut) this.host.powerCut();
    else this.host.processDied();
  }
}

export class GroupNode extends NodeMachine {
  readonly #group: GroupWorld;
  #told: readonly string[];
  #lives = 0;

  constructor(group: GroupWorld, components: MachineComponents, host: Host, init: EngineInit, given: string) {
    super(init.name, { machine: 'edge', child: init.name }, components, host, init);
    this.#group = group;
    this.#told = [given];
  }

  protected override parentLink(life: Life): ParentLinkComponents {
    const { uplink, addresses } = this.#group.uplinkOf(this.name, this.#told, life, null);
    const prefix = `${this.name}-${++this.#lives}`;
    let sessions = 0;
    return {
      uplink,
      newSessionId: () => `${prefix}-${++sessions}`,
      told: (urls) => {
        if (addresses.told(urls)) this.#told = addresses.all; // kept on disk in earnest
      },
    };
  }

  protected override ended(powerCut: boolean): void {
    this.#group.childDied(this.name, powerCut);
    super.ended(powerCut);
  }
}
