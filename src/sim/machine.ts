/**
 * A simulated machine: a disk and a clock that outlive everything, and one process of tendril at a time that
 * can be killed and started, by the very drivers that run in earnest. Nodes also have a host, whose instances
 * outlive the process.
 */

import { MemoryDisk } from '../adapters/memory/disk.ts';
import { MemoryLog } from '../adapters/memory/log.ts';
import { MemoryStore } from '../adapters/memory/store.ts';
import type { Random } from '../core/base/prng.ts';
import type { EngineInit } from '../core/engine/engine.ts';
import { CodedError } from '../core/model/errors.ts';
import type { OrchestratorInit } from '../core/orchestrator/orchestrator.ts';
import { EngineDriver } from '../node/engine-driver.ts';
import { OrchestratorDriver } from '../node/orchestrator-driver.ts';
import type { ParentLinkComponents } from '../node/parent-link.ts';
import type { Clock } from '../ports/clock.ts';
import type { LogEntry } from '../ports/log.ts';
import { silentLogger } from '../ports/logger.ts';
import type { Life, MachineClock } from './machine-clock.ts';
import type { SimNetwork } from './network.ts';
import { type Host, SimHostPorts, SimRuntime } from './runtime.ts';
import { tappedLog } from './tapped-log.ts';
import type { Trace } from './trace.ts';

/** Of every token in a simulation. */
export const SECRET_HASH = 'a'.repeat(64);

export interface MachineComponents {
  readonly world: Clock;
  readonly clock: MachineClock;
  readonly network: SimNetwork;
  readonly random: Random;
  readonly trace: Trace;
  /** Something happened that no fault explains. */
  readonly fail: (error: unknown) => void;
}

export abstract class Machine {
  readonly name: string;
  /** Machine name of its parent, and its own name there; null for the root. */
  readonly parent: { readonly machine: string; readonly child: string } | null;
  readonly disk: MemoryDisk;
  readonly components: MachineComponents;
  life: Life | null = null;
  #sessions = 0;

  constructor(name: string, parent: { machine: string; child: string } | null, components: MachineComponents) {
    this.name = name;
    this.parent = parent;
    this.components = components;
    this.disk = new MemoryDisk(components.world);
  }

  get up(): boolean {
    return this.life !== null;
  }

  get clock(): MachineClock {
    return this.components.clock;
  }

  /** Starts the process of tendril. */
  start(): void {
    if (this.life !== null) return;
    const life = { alive: true };
    this.life = life;
    this.components.trace.add(this.name, 'process starts');
    this.run(life).catch((error) => this.failed(life, error));
  }

  /** kill -9. */
  kill(): void {
    this.#end(false);
  }

  /** The whole machine goes. */
  cutPower(): void {
    this.#end(true);
  }

  #end(powerCut: boolean): void {
    if (this.life === null) return;
    this.components.trace.add(this.name, powerCut ? 'power cut' : 'killed');
    this.life.alive = false;
    this.life = null;
    this.disk.crash(this.components.random);
    this.ended(powerCut);
    this.components.network.processDied(this.name, powerCut);
  }

  /** A process whose disk fails says so and ends; any other failure is a bug. */
  protected failed(life: Life, error: unknown): void {
    if (!life.alive) return;
    if (error instanceof CodedError && this.disk.failure !== null) this.kill();
    else this.components.fail(error);
  }

  protected parentLink(life: Life): ParentLinkComponents | null {
    const { parent } = this;
    if (parent === null) return null;
    return {
      uplink: this.components.network.uplink(parent.machine, parent.child, life),
      newSessionId: () => `${this.name}-${++this.#sessions}`,
    };
  }

  protected abstract run(life: Life): Promise<void>;
  protected abstract ended(powerCut: boolean): void;
}

export class NodeMachine extends Machine {
  readonly host: Host;
  driver: EngineDriver | null = null;
  readonly init: EngineInit;

  constructor(
    name: string,
    parent: { machine: string; child: string },
    components: MachineComponents,
    host: Host,
    init: EngineInit,
  ) {
    super(name, parent, components);
    this.host = host;
    this.init = init;
  }

  protected async run(life: Life): Promise<void> {
    const parent = this.parentLink(life);
    if (parent === null) return;
    const driver = new EngineDriver(
      {
        clock: this.clock.of(life),
        store: new MemoryStore(this.disk),
        runtimes: this.init.runtimes.map((name) => new SimRuntime(this.host, name, life)),
        meter: { load: () => 0.1 },
        hostPorts: new SimHostPorts(this.host),
        parent,
        logger: silentLogger,
        onStreamRequest: () => undefined,
        onFailure: (error) => this.failed(life, error),
      },
      this.init,
      () => this.name,
    );
    this.driver = driver;
    await driver.start();
  }

  protected ended(powerCut: boolean): void {
    this.driver = null;
    if (powerCut) this.host.powerCut();
    else this.host.processDied();
  }
}

/** What a recorder of the log is told: every entry in order, once more after each restart from where the snapshot ends. */
export type EntrySeen = (entry: LogEntry) => void;

export class OrchestratorMachine extends Machine {
  driver: OrchestratorDriver | null = null;
  /** Whether it takes requests. */
  ready = false;
  readonly init: OrchestratorInit;
  readonly #entrySeen: EntrySeen;
  readonly #started: (driver: OrchestratorDriver) => void;

  constructor(
    name: string,
    parent: { machine: string; child: string } | null,
    components: MachineComponents,
    init: OrchestratorInit,
    watcher: { readonly entrySeen: EntrySeen; readonly started: (driver: OrchestratorDriver) => void },
  ) {
    super(name, parent, components);
    this.init = init;
    this.#entrySeen = watcher.entrySeen;
    this.#started = watcher.started;
  }

  protected async run(life: Life): Promise<void> {
    const driver = new OrchestratorDriver(
      {
        clock: this.clock.of(life),
        log: tappedLog(new MemoryLog(this.disk), { entrySeen: (entry) => this.#entrySeen(entry) }),
        downlink: this.components.network.downlink(this.name, life),
        parent: this.parentLink(life),
        logger: silentLogger,
        onStreamRequest: () => undefined,
        onFailure: (error) => this.failed(life, error),
      },
      this.init,
    );
    this.driver = driver;
    this.#started(driver);
    await driver.start();
    if (life.alive) this.ready = true;
  }

  protected ended(): void {
    this.driver = null;
    this.ready = false;
  }
}
