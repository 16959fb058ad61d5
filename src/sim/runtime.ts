/**
 * What runs on a simulated machine, and the runtime port onto it. Instances belong to the machine, not to
 * the process of tendril that started them: they outlive it, and all of them end when the power does. The
 * port keeps R1 to R6 (ports/runtime.ts); the host checks what no port can promise: that nothing is given
 * twice, that nothing starts again without a cause, that no machine holds more than it has.
 */
import { chance, integerBetween, type Random } from '../core/base/prng.ts';
import { add, fits, requirementOf, ZERO } from '../core/capacity/vectors.ts';
import { CodedError } from '../core/model/errors.ts';
import type { Assignment, Endpoint } from '../core/model/messages.ts';
import type { RuntimeName } from '../core/model/service.ts';
import type { ResourceVector } from '../core/model/summary.ts';
import type { Clock } from '../ports/clock.ts';
import type { HostPorts } from '../ports/host-ports.ts';
import type { FoundInstance, Runtime, RuntimeListener, StartRequest } from '../ports/runtime.ts';
import { SimulationFailure } from './failure.ts';
import type { Life } from './machine-clock.ts';
import type { Trace } from './trace.ts';

export interface HostComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  /** Called before an instance starts on the host: other machines may have something to say. */
  readonly starting: (host: Host, id: string) => void;
}

export interface HostInit {
  readonly name: string;
  readonly total: ResourceVector;
  startMs: number;
  startFailureRate: number;
}

interface OnHost {
  readonly id: string;
  readonly runtime: RuntimeName;
  readonly assignment: Assignment;
  readonly endpoints: readonly Endpoint[];
  running: boolean;
  exitCode: number | null;
  /** Told to end, and not yet gone. */
  ending: boolean;
}

/** How often an instance has started here, and how often something gave a reason to. */
export interface Starts {
  starts: number;
  causes: number;
}

export class Host {
  readonly init: HostInit;
  readonly instances = new Map<string, OnHost>();
  readonly starts = new Map<string, Starts>();
  readonly #components: HostComponents;
  /** The process that is told of exits, by runtime. */
  readonly #runtimes = new Map<RuntimeName, SimRuntime>();
  /** Starts under way. */
  readonly #starting = new Set<() => void>();
  #boots = 0;

  constructor(components: HostComponents, init: HostInit) {
    this.#components = components;
    this.init = init;
  }

  get name(): string {
    return this.init.name;
  }

  running(): string[] {
    return [...this.instances.values()].filter((one) => one.running).map((one) => one.id);
  }

  attach(runtime: SimRuntime): void {
    this.#runtimes.set(runtime.name, runtime);
  }

  /** Ends the instance the way a crash does. */
  crash(id: string): void {
    const one = this.instances.get(id);
    if (one?.running) this.#ended(one, 1, 'exited with code 1');
  }

  /** Everything that runs ends; records on disk stay. */
  powerCut(): void {
    this.#boots += 1;
    this.#starting.clear();
    for (const one of this.instances.values()) {
      if (!one.running) continue;
      one.running = false;
      this.startsOf(one.id).causes += 1;
    }
  }

  later(delayMs: number, callback: () => void): void {
    const boot = this.#boots;
    this.#components.clock.startTimer(delayMs, () => {
      if (boot === this.#boots) callback();
    });
  }

  start(runtime: SimRuntime, request: StartRequest): Promise<readonly Endpoint[]> {
    const { random } = this.#components;
    const { id } = request.assignment;
    const delayMs = integerBetween(random, 1, this.init.startMs);
    const fails = chance(random, this.init.startFailureRate);
    return new Promise((resolve, reject) => {
      const known = this.instances.get(id);
      if (known?.running) {
        runtime.adopted.add(id);
        return resolve(known.endpoints);
      }
      const start = (): void => {
        if (!this.#starting.delete(start)) return;
        this.startsOf(id).starts += 1;
        this.#components.trace.add(this.name, `starts ${id}${fails ? ' in vain' : ''}`);
        if (fails) {
          this.startsOf(id).causes += 1;
          if (runtime.life.alive) reject(new CodedError('runtime_failed', 'simulated'));
          return;
        }
        const endpoints = this.#run(runtime, request);
        if (runtime.life.alive) resolve(endpoints);
      };
      this.#starting.add(start);
      this.later(delayMs, start);
    });
  }

  /** The process that asked for them is gone: each start under way had come as far as to let it run, or had not. */
  processDied(): void {
    for (const start of [...this.#starting]) {
      if (chance(this.#components.random, 0.5)) start();
      else this.#starting.delete(start);
    }
  }

  #run(runtime: SimRuntime, { assignment, hostPorts, address }: StartRequest): readonly Endpoint[] {
    const { id } = assignment;
    const endpoints = Object.entries(hostPorts).map(([name, port]) => ({ name, address, port }));
    this.#check(assignment, endpoints);
    const one = { id, runtime: runtime.name, assignment, endpoints, running: true, exitCode: null, ending: false };
    this.instances.set(id, one);
    runtime.adopted.add(id);
    return endpoints;
  }

  stop(runtime: SimRuntime, id: string, graceMs: number): Promise<void> {
    const delayMs = integerBetween(this.#components.random, 1, Math.max(1, Math.min(graceMs, 3_000)));
    const one = this.instances.get(id);
    runtime.adopted.delete(id);
    if (one?.running) one.ending = true;
    return new Promise((resolve) => {
      this.later(one?.running ? delayMs : 1, () => {
        // The signal was sent: it ends also when the one who sent it is gone.
        if (one?.running && one === this.instances.get(id)) {
          this.#components.trace.add(this.name, `stopped ${id}`);
          this.#ended(one, 0, 'stopped');
        }
        if (runtime.life.alive) resolve();
      });
    });
  }

  remove(runtime: SimRuntime, id: string): Promise<void> {
    return new Promise((resolve) => {
      this.later(1, () => {
        if (!runtime.life.alive) return;
        const one = this.instances.get(id);
        if (one?.running) one.running = false;
        this.instances.delete(id);
        resolve();
      });
    });
  }

  startsOf(id: string): Starts {
    const known = this.starts.get(id);
    if (known) return known;
    const fresh = { starts: 0, causes: 0 };
    this.starts.set(id, fresh);
    return fresh;
  }

  #ended(one: OnHost, exitCode: number, reason: string): void {
    one.running = false;
    one.exitCode = exitCode;
    this.startsOf(one.id).causes += 1;
    this.#components.trace.add(this.name, `${one.id} ended: ${reason}`);
    this.#runtimes.get(one.runtime)?.tell(one.id, exitCode, reason);
  }

  #check(assignment: Assignment, endpoints: readonly Endpoint[]): void {
    const { id } = assignment;
    this.#components.starting(this, id);
    const { starts, causes } = this.startsOf(id);
    if (starts > causes + 1) throw new SimulationFailure(`${id} on ${this.name} started ${starts} times with ${causes} causes`);
    let used = requirementOf(assignment.spec);
    for (const other of this.instances.values()) {
      if (!other.running || other.id === id) continue;
      used = add(used, requirementOf(other.assignment.spec));
      const port = other.endpoints.find((one) => endpoints.some((mine) => mine.port === one.port));
      if (port) throw new SimulationFailure(`${id} and ${other.id} on ${this.name} share port ${port.port}`);
    }
    if (!fits(used, this.init.total))
      throw new SimulationFailure(
        `${this.name} holds more than it has when ${id} starts: ${JSON.stringify(used)} of ${JSON.stringify(this.init.total)}; ` +
          `running: ${this.running().join(', ')}`,
      );
  }

  reserved(): ResourceVector {
    let used = ZERO;
    for (const one of this.instances.values()) if (one.running) used = add(used, requirementOf(one.assignment.spec));
    return used;
  }
}

/** One process's hold on the runtime of a machine. */
export class SimRuntime implements Runtime {
  readonly name: RuntimeName;
  readonly life: Life;
  readonly adopted = new Set<string>();
  readonly #host: Host;
  #listener: RuntimeListener | null = null;

  constructor(host: Host, name: RuntimeName, life: Life) {
    this.#host = host;
    this.name = name;
    this.life = life;
  }

  async detect(): Promise<{ available: boolean; detail: string }> {
    return { available: true, detail: 'simulated' };
  }

  async open(listener: RuntimeListener): Promise<void> {
    this.#listener = listener;
    this.#host.attach(this);
  }

  async list(): Promise<readonly FoundInstance[]> {
    const mine = [...this.#host.instances.values()].filter((one) => one.runtime === this.name);
    for (const one of mine) if (one.running) this.adopted.add(one.id);
    return mine.map(({ id, running, exitCode, endpoints }) => ({ id, running, exitCode, endpoints }));
  }

  start(request: StartRequest): Promise<readonly Endpoint[]> {
    return this.#host.start(this, request);
  }

  stop(id: string, graceMs: number): Promise<void> {
    return this.#host.stop(this, id, graceMs);
  }

  remove(id: string): Promise<void> {
    return this.#host.remove(this, id);
  }

  async *logs(): AsyncIterable<Uint8Array> {}

  async close(): Promise<void> {
    this.#listener = null;
  }

  /** R3: once, for what was started or adopted and not stopped. */
  tell(id: string, exitCode: number, reason: string): void {
    if (!this.life.alive || !this.adopted.delete(id)) return;
    this.#listener?.exited(id, { exitCode, reason });
  }
}

/** Hands out each port of a machine in turn. */
export class SimHostPorts implements HostPorts {
  readonly #host: Host;
  #next = 20_000;

  constructor(host: Host) {
    this.#host = host;
  }

  async pick(): Promise<number> {
    const taken = new Set([...this.#host.instances.values()].flatMap((one) => one.endpoints.map(({ port }) => port)));
    do this.#next = this.#next >= 29_999 ? 20_000 : this.#next + 1;
    while (taken.has(this.#next));
    return this.#next;
  }
}
