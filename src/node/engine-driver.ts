/**
 * Runs an engine: takes one input at a time, steps the core, drains the effects through the ports. What
 * runtimes and disk answer comes back as inputs.
 */

import { must } from '../core/base/assert.ts';
import { Engine, type EngineEffect, type EngineInit, type EngineInput, type FoundOnNode } from '../core/engine/engine.ts';
import { readSavedWishes, type SavedWishes } from '../core/engine/saved-wishes.ts';
import { CodedError } from '../core/model/errors.ts';
import type { DownMessage, Endpoint } from '../core/model/messages.ts';
import type { RuntimeName } from '../core/model/service.ts';
import type { Clock } from '../ports/clock.ts';
import type { HostPorts } from '../ports/host-ports.ts';
import type { Logger } from '../ports/logger.ts';
import type { Meter } from '../ports/meter.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { closeAll } from './close-all.ts';
import { ParentLink, type ParentLinkComponents } from './parent-link.ts';

export interface EngineDriverComponents {
  readonly clock: Clock;
  readonly store: Store;
  /** Those that this node knows of, there or not; opened by this driver. */
  readonly runtimes: readonly Runtime[];
  readonly meter: Pick<Meter, 'load'>;
  readonly hostPorts: HostPorts;
  readonly parent: ParentLinkComponents;
  readonly logger: Logger;
  readonly onStreamRequest: (id: string) => void;
  /** The node cannot go on (its disk is full or gone): the process should end; instances go on. */
  readonly onFailure: (error: Error) => void;
}

const WISHES = 'wishes.json';
/** A runtime that is missing may only be slow to come up, as Docker is when a machine boots. */
const LOOK_FOR_RUNTIMES_MS = 30_000;
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/** The longest sleep, so that a clock that jumps does no harm. */
const WAKE_MAX_MS = 60_000;

export class EngineDriver {
  readonly core: Engine;
  readonly #components: EngineDriverComponents;
  readonly #init: EngineInit;
  readonly #address: () => string;
  readonly #runtimes: ReadonlyMap<RuntimeName, Runtime>;
  readonly #parentLink: ParentLink;
  readonly #queue: EngineInput[] = [];
  #stepping = false;
  #cancelWake: (() => void) | null = null;
  #cancelLook: (() => void) | null = null;
  /** Ends of the pauses before something is tried again. */
  readonly #pauses = new Set<() => void>();
  #closed = false;
  #saving: Promise<void> = Promise.resolve();
  parentConnected = false;
  parentProblem = '';

  /** `address`: where this node's instances can be reached. */
  constructor(components: EngineDriverComponents, init: EngineInit, address: () => string) {
    this.#components = components;
    this.#address = address;
    this.#init = init;
    this.core = new Engine(init);
    this.#runtimes = new Map(components.runtimes.map((runtime) => [runtime.name, runtime]));
    this.#parentLink = new ParentLink(components.parent, {
      opened: (session) => {
        this.#parentState(true, '');
        this.#take({ type: 'uplinkOpened', session });
      },
      desiredReceived: (message: Extract<DownMessage, { type: 'desired' }>) =>
        this.#take({ type: 'uplinkMessageReceived', message }),
      streamRequested: (id) => components.onStreamRequest(id),
      closed: (reason, silentMs) => {
        this.#parentState(false, reason);
        this.#take({ type: 'uplinkClosed', silentMs });
      },
    });
  }

  /** Takes up what was there before, without any orchestrator, then dials the parent. */
  async start(): Promise<void> {
    const init = this.#init;
    const stored = await this.#components.store.read(WISHES);
    const saved = stored ? readSavedWishes(new TextDecoder().decode(stored)) : null;
    const found: FoundOnNode[] = [];
    const present: RuntimeName[] = [];
    for (const runtime of this.#runtimes.values()) {
      await runtime.open({
        exited: (id, exit) => this.#take({ type: 'instanceExited', id, exitCode: exit.exitCode, reason: exit.reason }),
      });
      const listed = init.runtimes.includes(runtime.name) ? await this.#listOf(runtime) : null;
      if (listed !== null) present.push(runtime.name);
      found.push(...(listed ?? []));
    }
    this.#take({ type: 'restored', saved, found });
    this.#lookForRuntimes(present);
    this.#parentLink.open();
  }

  #lookForRuntimes(present: readonly RuntimeName[]): void {
    const missing = [...this.#runtimes.values()].filter(({ name }) => !present.includes(name));
    if (missing.length === 0) return;
    this.#cancelLook = this.#components.clock.startTimer(LOOK_FOR_RUNTIMES_MS, () => {
      this.#look(missing)
        .then((appeared) => this.#lookForRuntimes([...present, ...appeared]))
        .catch(this.#failed);
    });
  }

  async #look(missing: readonly Runtime[]): Promise<RuntimeName[]> {
    const appeared: RuntimeName[] = [];
    for (const runtime of missing) {
      const { available, detail } = await runtime.detect();
      const found = available ? await this.#listOf(runtime) : null;
      if (found === null) continue;
      this.#components.logger.info({ runtime: runtime.name, detail }, 'runtime has come up');
      this.#take({ type: 'runtimeAppeared', runtime: runtime.name, found });
      appeared.push(runtime.name);
    }
    return appeared;
  }

  runtime(name: RuntimeName): Runtime {
    return must(this.#runtimes.get(name), `runtime ${name}`);
  }

  /** Lets go of everything; the instances go on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelWake?.();
    this.#cancelLook?.();
    for (const end of [...this.#pauses]) end();
    const runtimes = [...this.#runtimes.values()];
    await closeAll([() => this.#parentLink.close(), () => this.#saving, ...runtimes.map((runtime) => () => runtime.close())]);
  }

  #parentState(connected: boolean, problem: string): void {
    if (connected !== this.parentConnected || problem !== this.parentProblem)
      this.#components.logger.info({ connected, problem }, 'link to orchestrator');
    this.parentConnected = connected;
    this.parentProblem = problem;
  }

  #take(input: EngineInput): void {
    if (this.#closed) return;
    this.#queue.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        for (const effect of this.core.step(this.#components.clock.nowMs(), next)) this.#perform(effect);
      }
    } finally {
      this.#stepping = false;
    }
    this.#sleep();
  }

  /** Once it is closed, what could not be done is the next start's business. */
  readonly #failed = (error: Error): void => {
    if (!this.#closed) this.#components.onFailure(error);
  };

  #sleep(): void {
    this.#cancelWake?.();
    const delayMs = Math.min(Math.max(this.core.nextWakeMs() - this.#components.clock.nowMs(), 0), WAKE_MAX_MS);
    this.#cancelWake = this.#components.clock.startTimer(delayMs, () => {
      this.#take({ type: 'loadMeasured', load: this.#components.meter.load() });
      this.#take({ type: 'timePassed' });
    });
  }

  #perform(effect: EngineEffect): void {
    const { logger } = this.#components;
    switch (effect.type) {
      case 'saveWishes':
        this.#save(effect.wishes);
        return;
      case 'startInstance':
        this.#start(effect).catch(this.#failed);
        return;
      case 'stopInstance':
        this.#stop(effect)
          .then(() => this.#take({ type: 'instanceStopped', id: effect.id }))
          .catch(this.#failed);
        return;
      case 'retireInstance':
        this.#retire(effect)
          .then(() => this.#take({ type: 'instanceRetired', id: effect.id }))
          .catch(this.#failed);
        return;
      case 'sendToParent':
        this.#parentLink.send(effect.message);
        return;
      case 'restartUplink':
        logger.warn({ reason: effect.reason }, 'link to orchestrator starts over');
        this.#parentLink.reopen(effect.reason);
        return;
    }
  }

  /** In order, one at a time: the newest wishes must be the last on disk. */
  #save(wishes: SavedWishes): void {
    const { store } = this.#components;
    const content = new TextEncoder().encode(JSON.stringify(wishes));
    this.#saving = this.#saving
      .then(() => this.#untilDone('saving wishes', () => store.write(WISHES, content)))
      .then(() => this.#take({ type: 'wishesSaved', epoch: wishes.epoch, version: wishes.version }))
      .catch(this.#failed);
  }

  async #start({ assignment, endpoints }: Extract<EngineEffect, { type: 'startInstance' }>): Promise<void> {
    const { id, spec } = assignment;
    const startedMs = this.#components.clock.nowMs();
    try {
      const hostPorts = await this.#hostPorts(assignment.spec.ports, endpoints);
      const request = { assignment, hostPorts, address: this.#address() };
      const reached = await this.runtime(spec.runtime).start(request);
      this.#components.logger.info({ instance: id, tookMs: this.#components.clock.nowMs() - startedMs }, 'started');
      this.#take({ type: 'instanceStarted', id, endpoints: reached });
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      this.#components.logger.warn({ instance: id, code: error.code, problem: error.message }, 'did not start');
      this.#take({ type: 'instanceStartFailed', id, reason: error.message });
    }
  }

  /** A restart keeps its ports: whoever was told where the instance is finds it there again. */
  async #hostPorts(ports: EngineStartPorts, before: readonly Endpoint[]): Promise<Record<string, number>> {
    const chosen: Record<string, number> = {};
    for (const port of ports) {
      const known = before.find((endpoint) => endpoint.name === port.name)?.port;
      chosen[port.name] = port.hostPort ?? (await this.#components.hostPorts.pick(port.protocol, known));
    }
    return chosen;
  }

  #stop({ id, runtime, graceMs }: Extract<EngineEffect, { type: 'stopInstance' | 'retireInstance' }>): Promise<void> {
    return this.#untilDone(`stopping ${id}`, () => this.runtime(runtime).stop(id, graceMs));
  }

  async #retire(effect: Extract<EngineEffect, { type: 'retireInstance' }>): Promise<void> {
    await this.#stop(effect);
    await this.#untilDone(`removing ${effect.id}`, () => this.runtime(effect.runtime).remove(effect.id));
    this.#components.logger.info({ instance: effect.id }, 'stopped and removed');
  }

  /**
   * What must be done in the end, however long a disk is full or Docker is away: nothing else happens to the
   * instance meanwhile (E2), and all others go on.
   */
  async #untilDone(what: string, action: () => Promise<void>): Promise<void> {
    for (let pauseMs = RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS)) {
      try {
        await action();
        return;
      } catch (error) {
        // Whoever closes does not wait for a disk or for Docker; the next start sees to what is left.
        if (!(error instanceof CodedError) || this.#closed) throw error;
        this.#components.logger.warn({ code: error.code, problem: error.message, againInMs: pauseMs }, `${what} failed`);
      }
      await this.#pause(pauseMs);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        this.#pauses.delete(end);
        resolve();
      };
      const cancel = this.#components.clock.startTimer(ms, end);
      this.#pauses.add(end);
    });
  }

  /** null when the runtime has gone again: then it is looked for later. */
  async #listOf(runtime: Runtime): Promise<FoundOnNode[] | null> {
    try {
      return (await runtime.list()).map((one) => ({ ...one, runtime: runtime.name }));
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      this.#components.logger.warn({ runtime: runtime.name, problem: error.message }, 'instances cannot be listed');
      return null;
    }
  }
}

type EngineStartPorts = Extract<EngineEffect, { type: 'startInstance' }>['assignment']['spec']['ports'];
