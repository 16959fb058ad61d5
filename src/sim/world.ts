/**
 * A deployment in a box: machines, links and a clock, all made from knobs and one seed.
 */

import { assert } from '../core/base/assert.ts';
import { chance, integerBetween, Prng, pick } from '../core/base/prng.ts';
import type { EngineInit } from '../core/engine/engine.ts';
import type { ClientRequest } from '../core/model/requests.ts';
import type { RequestAnswer } from '../core/orchestrator/changes.ts';
import { sha256 } from '../node/sha256.ts';
import { Checkers } from './checkers.ts';
import { EventLoop } from './event-loop.ts';
import type { Knobs } from './knobs.ts';
import { type MachineComponents, NodeMachine, OrchestratorMachine, SECRET_HASH } from './machine.ts';
import { MachineClock } from './machine-clock.ts';
import { machineName, SimNetwork } from './network.ts';
import { Host } from './runtime.ts';
import { Trace } from './trace.ts';

const START_MS = Date.UTC(2026, 0, 1);

export class World extends EventLoop {
  readonly knobs: Knobs;
  readonly random: Prng;
  readonly trace: Trace;
  readonly network: SimNetwork;
  readonly checkers: Checkers;
  readonly root: OrchestratorMachine;
  readonly clusters: OrchestratorMachine[] = [];
  readonly nodes: NodeMachine[] = [];

  constructor(knobs: Knobs, print: ((line: string) => void) | null = null) {
    super(START_MS);
    this.knobs = knobs;
    this.random = new Prng(knobs.seed ^ 0x5eed);
    this.trace = new Trace(this.clock, print);
    this.network = new SimNetwork({
      clock: this.clock,
      random: this.random,
      trace: this.trace,
      keepAliveMs: knobs.keepAliveMs,
    });
    this.checkers = new Checkers(this);
    this.root = this.#orchestrator('root', null);
    for (let c = 1; c <= knobs.clusters; c++) {
      const cluster = this.#orchestrator(`c${c}`, { machine: 'root', child: `c${c}` });
      this.network.addPath('root', cluster.name, this.#latencyMs());
      this.clusters.push(cluster);
      for (let n = 1; n <= knobs.nodesPerCluster; n++) this.addNode(cluster, `n${n}`);
    }
    if (knobs.clusters === 0) for (let n = 1; n <= knobs.nodesPerCluster; n++) this.addNode(this.root, `n${n}`);
  }

  get orchestrators(): readonly OrchestratorMachine[] {
    return [this.root, ...this.clusters];
  }

  machines(): (OrchestratorMachine | NodeMachine)[] {
    return [...this.orchestrators, ...this.nodes];
  }

  node(name: string): NodeMachine {
    const node = this.nodes.find((one) => one.name === name);
    assert(node, `node ${name}`);
    return node;
  }

  cluster(name: string): OrchestratorMachine {
    const cluster = this.orchestrators.find((one) => one.name === name);
    assert(cluster, `cluster ${name}`);
    return cluster;
  }

  nodesOf(orchestrator: OrchestratorMachine): NodeMachine[] {
    return this.nodes.filter((node) => node.parent?.machine === orchestrator.name);
  }

  /** Everything on, everyone a member and connected. */
  async boot(): Promise<void> {
    for (const orchestrator of this.orchestrators) orchestrator.start();
    await this.until(() => this.orchestrators.every((one) => one.ready), 60_000, 'orchestrators start');
    for (const machine of this.machines()) await this.join(machine);
    for (const node of this.nodes) node.start();
    await this.until(() => this.unconnected().length === 0, 120_000, 'everyone connects');
  }

  /** Children whose parent does not see them. */
  unconnected(): string[] {
    return this.machines().flatMap((machine) => {
      const { parent } = machine;
      if (parent === null) return [];
      const core = this.cluster(parent.machine).driver?.core;
      const link = core?.viewContext(this.clock.nowMs()).observed.links.get(parent.child);
      return link?.session && machine.up ? [] : [machine.name];
    });
  }

  async join(machine: OrchestratorMachine | NodeMachine): Promise<void> {
    const { parent } = machine;
    if (parent === null) return;
    const kind = machine instanceof NodeMachine ? 'node' : 'cluster';
    const at = this.cluster(parent.machine);
    const role = kind === 'node' ? 'worker' : 'cluster';
    const tokenId = `${role}tok`;
    await this.submit(at, { type: 'createToken', id: tokenId, secretHash: SECRET_HASH, role, expiresAtMs: null, uses: null });
    const answer = await this.submit(at, {
      type: 'registerChild',
      name: parent.child,
      kind,
      publicKeyFingerprint: machine.name,
      tokenId,
      secretHash: SECRET_HASH,
    });
    assert(answer.ok, `${machine.name} joins: ${JSON.stringify(answer)}`);
  }

  /** Asks and waits for the answer, with time passing. */
  async submit(at: OrchestratorMachine, request: ClientRequest, key?: string): Promise<RequestAnswer> {
    let answer: RequestAnswer | null = null;
    assert(at.driver && at.ready, `${at.name} takes requests`);
    at.driver.submit(request, key).then(
      (value) => {
        answer = value;
      },
      (error) => this.fail(error),
    );
    await this.until(() => answer !== null, 60_000, `answer to ${request.type}`);
    assert(answer, 'an answer');
    return answer;
  }

  /** Starts a machine's process, unless the machine has been taken away for good. */
  start(machine: OrchestratorMachine | NodeMachine): void {
    if (this.machines().includes(machine)) machine.start();
  }

  /** Takes a machine out of the world. */
  takeAway(node: NodeMachine): void {
    node.cutPower();
    this.nodes.splice(this.nodes.indexOf(node), 1);
  }

  protected override afterEvent(): void {
    this.checkers.afterEvent();
  }

  addNode(parent: OrchestratorMachine, child: string, own: Partial<EngineInit> = {}): NodeMachine {
    const name = machineName(parent.name, child);
    const { random } = this;
    const total = {
      cpuMilli: integerBetween(random, 1, 4) * 1_000,
      memoryBytes: integerBetween(random, 1, 8) * 512 * 2 ** 20,
      diskBytes: 10 * 2 ** 30,
    };
    const init: EngineInit = {
      name: child,
      software: 'simulated',
      architecture: pick(random, ['amd64', 'arm64']),
      runtimes: chance(random, 0.7) ? ['process', 'container'] : ['process'],
      labels: { zone: pick(random, ['a', 'b']) },
      position: undefined,
      total,
      random: new Prng(integerBetween(random, 0, 2 ** 31)),
      ...own,
    };
    const host = new Host(
      {
        clock: this.clock,
        random,
        trace: this.trace,
        starting: (where, id) => this.checkers.starting(where, id),
      },
      { name, total: init.total, startMs: this.knobs.startMs, startFailureRate: this.knobs.startFailureRate },
    );
    this.network.addPath(parent.name, child, this.#latencyMs());
    const node = new NodeMachine(name, { machine: parent.name, child }, this.#components(), host, init);
    node.disk.syncMs = this.knobs.syncMs;
    this.nodes.push(node);
    return node;
  }

  #orchestrator(name: string, parent: { machine: string; child: string } | null): OrchestratorMachine {
    const machine: OrchestratorMachine = new OrchestratorMachine(
      name,
      parent,
      this.#components(),
      {
        name,
        epoch: `epoch-of-${name}`,
        software: 'simulated',
        random: new Prng(integerBetween(this.random, 0, 2 ** 31)),
        policy: pick(this.random, ['spread', 'first-fit', 'least-loaded', 'best-fit']),
        heartbeatMs: 1_000,
        entriesPerSnapshot: this.knobs.entriesPerSnapshot,
        hash: sha256,
      },
      {
        entrySeen: (entry) => this.checkers.entrySeen(machine, entry),
        started: (driver) => this.checkers.driverStarted(machine, driver),
      },
    );
    machine.disk.syncMs = this.knobs.syncMs;
    return machine;
  }

  #components(): MachineComponents {
    const { random, knobs } = this;
    const skewMs = integerBetween(random, -knobs.skewMs, knobs.skewMs);
    const driftPpm = integerBetween(random, -knobs.driftPpm, knobs.driftPpm);
    return {
      world: this.clock,
      clock: new MachineClock(this.clock, skewMs, driftPpm),
      network: this.network,
      random,
      trace: this.trace,
      fail: (error) => this.fail(error),
    };
  }

  #latencyMs(): number {
    return integerBetween(this.random, 0, this.knobs.latencyMs);
  }
}
