/** A replicated orchestrator and its nodes in a box: machines, the network between them, and one clock for all. */
import { PeerNetwork } from '../../adapters/memory/peer-link.ts';
import { Addresses } from '../../core/base/addresses.ts';
import { assert, must } from '../../core/base/assert.ts';
import { integerBetween, Prng } from '../../core/base/prng.ts';
import type { EngineInit } from '../../core/engine/engine.ts';
import type { ReplicaRole } from '../../core/model/replicas.ts';
import type { ClientRequest } from '../../core/model/requests.ts';
import type { RequestAnswer } from '../../core/orchestrator/changes.ts';
import type { Membership, Replica, ReplicaId } from '../../core/raft/membership.ts';
import type { RaftLogComponents } from '../../node/raft-log-components.ts';
import { EventLoop } from '../event-loop.ts';
import type { Gate } from '../gate.ts';
import { type MachineComponents, SECRET_HASH } from '../machine.ts';
import { type Life, MachineClock } from '../machine-clock.ts';
import { machineName, SimNetwork } from '../network.ts';
import { Host } from '../runtime.ts';
import { Trace } from '../trace.ts';
import { FollowingUplink } from './following-uplink.ts';
import { no, type Question } from './gateway.ts';
import { GroupCheckers } from './group-checkers.ts';
import type { GroupKnobs } from './group-knobs.ts';
import { GroupParent } from './group-parent.ts';
import { GroupNode, ReplicaMachine } from './replica-machine.ts';
import type { ReplicaProcess } from './replica-process.ts';

const START_MS = Date.UTC(2026, 0, 1);

export class GroupWorld extends EventLoop {
  readonly knobs: GroupKnobs;
  readonly frames: RaftLogComponents['frames'];
  readonly random: Prng;
  readonly trace: Trace;
  readonly network: SimNetwork;
  readonly peers: PeerNetwork;
  readonly checkers: GroupCheckers;
  readonly replicas: ReplicaMachine[] = [];
  readonly nodes: GroupNode[] = [];
  readonly parent: GroupParent | null;
  #made = 0;
  #requests = 0;

  constructor(knobs: GroupKnobs, frames: RaftLogComponents['frames'], print: ((line: string) => void) | null = null) {
    super(START_MS);
    this.knobs = knobs;
    this.frames = frames;
    this.random = new Prng(knobs.seed ^ 0x5eed);
    this.trace = new Trace(this.clock, print);
    const { clock, random, trace } = this;
    this.network = new SimNetwork({ clock, random, trace, keepAliveMs: knobs.keepAliveMs });
    const { latencyMs, peerSilenceMs: silenceMs } = knobs;
    this.peers = new PeerNetwork({ clock, random }, { latencyMs, jitterMs: latencyMs, silenceMs });
    this.checkers = new GroupCheckers(trace, () => this.machines().map(({ host }) => host));
    this.parent = knobs.hasParent ? new GroupParent(this, this.#components()) : null;
  }

  machines(): (ReplicaMachine | GroupNode)[] {
    return [...this.replicas, ...this.nodes];
  }

  /** A founder, those that join it, and the nodes. */
  async boot(): Promise<void> {
    await this.parent?.boot();
    const founder = this.#newReplica('voter', null);
    founder.start();
    await this.until(
      () => founder.process?.driver.core.leads === true,
      60_000,
      () => 'the founder leads',
    );
    for (const role of ['worker', 'voter'] as const)
      await this.submit({ type: 'createToken', id: `${role}tok`, secretHash: SECRET_HASH, role, expiresAtMs: null, uses: null });
    await this.#joinNode(founder.name);
    while (this.replicas.length < this.knobs.replicas) await this.submit(this.newReplica('voter'));
    for (const machine of this.replicas) machine.start();
    for (let n = 1; n <= this.knobs.nodes; n++) {
      const node = this.#newNode(`n${n}`, founder.self.url);
      await this.#joinNode(node.name);
      node.start();
    }
  }

  /** Asks until it is answered. */
  async submit(request: ClientRequest): Promise<void> {
    const key = `world-${++this.#requests}`;
    let answer: RequestAnswer | null = null;
    const ask = (): void => {
      if (answer !== null) return;
      const [first] = this.replicas.filter(({ process }) => process?.driver.core.leads);
      const at = first ?? this.replicas.find(({ process }) => process !== null);
      if (at)
        this.ask(at, { request, key, by: [] }, (heard) => {
          if (heard.ok || !isRetried(heard)) answer = heard;
        });
      this.clock.startTimer(1_000, ask);
    };
    ask();
    await this.until(
      () => answer !== null,
      60_000,
      () => `an answer to ${request.type}`,
    );
    assert((answer as RequestAnswer | null)?.ok, `${request.type}: ${JSON.stringify(answer)}`);
  }

  /** A machine that shall be a replica once the request is granted; started, it knows who is in the group now. */
  newReplica(role: ReplicaRole): ClientRequest {
    const { self } = this.#newReplica(role, this.newest().membership);
    const { id, name, url } = self;
    const token = { tokenId: 'votertok', secretHash: SECRET_HASH };
    return { type: 'registerReplica', id, name, url, role, works: true, publicKeyFingerprint: name, ...token };
  }

  /** The log of the leader, else of whoever knows of most commits. */
  newest(): { readonly membership: Membership; readonly leader: ReplicaMachine | null } {
    const alive = this.replicas.filter(({ process }) => process?.log.status);
    const termOf = ({ process }: ReplicaMachine): number => process?.log.status?.term ?? 0;
    const commitOf = ({ process }: ReplicaMachine): number => process?.log.status?.commit ?? 0;
    const leaders = alive.filter(({ process }) => process?.driver.core.leads);
    const [leader] = leaders.sort((a, b) => termOf(b) - termOf(a));
    const [best] = alive.sort((a, b) => commitOf(b) - commitOf(a));
    const status = (leader ?? best)?.process?.log.status;
    return { membership: status?.membership ?? [], leader: leader ?? null };
  }

  /** A question on its way to a replica, and the answer on its way back; either may never come. */
  ask(to: ReplicaMachine, question: Question, answered: (answer: RequestAnswer) => void): void {
    const { clock } = this;
    clock.startTimer(this.#hopMs(), () => {
      const { process } = to;
      if (!process) {
        answered(no('unavailable'));
        return;
      }
      process.gate.pass(() => {
        if (!process.life.alive) return;
        process.gateway.take(question).then(
          (answer) => {
            if (process.life.alive) clock.startTimer(this.#hopMs(), () => answered(answer));
          },
          (error: unknown) => this.fail(error),
        );
      });
    });
  }

  /** Between replicas, on the way that their links take: what is blocked is not answered. */
  forward(from: ReplicaProcess, to: ReplicaId, question: Question): Promise<RequestAnswer> {
    const target = this.replicas.find(({ id }) => id === to);
    if (!target) return Promise.resolve(no('unavailable'));
    const isBlocked = (): boolean => this.peers.wire(from.machine.id, to).blocked.size > 0;
    return new Promise((resolve) => {
      if (isBlocked()) return;
      this.ask(target, question, (answer) => {
        if (!isBlocked()) from.gate.pass(() => resolve(answer));
      });
    });
  }

  uplinkOf(
    child: string,
    told: readonly string[],
    life: Life,
    gate: Gate | null,
  ): { readonly uplink: FollowingUplink; readonly addresses: Addresses } {
    const machine = must(
      this.machines().find(({ name }) => name === child),
      child,
    );
    const [given = ''] = told;
    const random = new Prng(integerBetween(this.random, 0, 2 ** 31));
    const addresses = new Addresses({ given, known: told, random });
    const clock = machine.clock.of(life);
    const at = (address: string) => this.replicas.find(({ self }) => self.url === address);
    const uplink = new FollowingUplink({
      clock: gate ? gate.clock(clock) : clock,
      addresses,
      dial: (address) => {
        const replica = at(address);
        if (!replica?.process?.servesChildren) return null;
        const dialled = this.network.uplink(replica.name, child, life);
        return gate ? gate.uplink(dialled) : dialled;
      },
      hint: (address) => at(address)?.process?.gateway.leader()?.url ?? null,
    });
    return { uplink, addresses };
  }

  childDied(child: string, isPowerCut: boolean): void {
    for (const { name } of this.replicas) this.network.processDied(machineName(name, child), isPowerCut);
  }

  takeAway(machine: ReplicaMachine): void {
    machine.cutPower();
    this.replicas.splice(this.replicas.indexOf(machine), 1);
  }

  protected override afterEvent(): void {
    this.checkers.afterEvent();
  }

  async #joinNode(name: string): Promise<void> {
    const token = { tokenId: 'workertok', secretHash: SECRET_HASH };
    await this.submit({ type: 'registerChild', name, kind: 'node', publicKeyFingerprint: name, ...token });
  }

  #newReplica(role: ReplicaRole, others: Membership | null): ReplicaMachine {
    const id = `r${++this.#made}`;
    const self: Replica = { id, name: id, url: `https://${id}:7443`, role: others ? 'learner' : role };
    const membership = [...(others ?? []), self];
    const machine = new ReplicaMachine(this, this.#components(), { self, membership, ...this.#machine(id) });
    machine.disk.syncMs = this.knobs.syncMs;
    this.replicas.push(machine);
    for (const { name } of this.machines()) this.#addPath(id, name);
    for (const { name } of this.replicas) if (name !== id) this.#addPath(name, id);
    return machine;
  }

  #newNode(name: string, given: string): GroupNode {
    const { host, init } = this.#machine(name);
    const node = new GroupNode(this, this.#components(), host, init, given);
    node.disk.syncMs = this.knobs.syncMs;
    this.nodes.push(node);
    for (const replica of this.replicas) this.#addPath(replica.name, name);
    return node;
  }

  #addPath(replica: string, child: string): void {
    this.network.addPath(replica, child, Math.ceil(this.knobs.latencyMs));
  }

  #machine(name: string): { readonly host: Host; readonly init: EngineInit } {
    const total = { cpuMilli: 8_000, memoryBytes: 8 * 2 ** 30, diskBytes: 10 * 2 ** 30 };
    const init: EngineInit = {
      name,
      software: 'simulated',
      architecture: 'amd64',
      runtimes: ['process'],
      labels: {},
      position: undefined,
      total,
      random: new Prng(integerBetween(this.random, 0, 2 ** 31)),
    };
    const { clock, random, trace } = this;
    const starting = (host: Host, id: string): void => this.checkers.starting(host, id);
    const host = new Host({ clock, random, trace, starting }, { name, total, startMs: this.knobs.startMs, startFailureRate: 0 });
    return { host, init };
  }

  #components(): MachineComponents {
    const { random, knobs, clock, network, trace } = this;
    const skewMs = integerBetween(random, -knobs.skewMs, knobs.skewMs);
    const driftPpm = integerBetween(random, -knobs.driftPpm, knobs.driftPpm);
    const machineClock = new MachineClock(clock, skewMs, driftPpm);
    return { world: clock, clock: machineClock, network, random, trace, fail: (error) => this.fail(error) };
  }

  #hopMs(): number {
    return this.knobs.latencyMs * (1 + this.random.next());
  }
}

/** Whoever asks has to ask again, elsewhere. */
export function isRetried(answer: RequestAnswer): boolean {
  return !answer.ok && ['unavailable', 'not_leading', 'no_quorum'].includes(answer.error.code);
}
