/**
 * Containers, over the Docker Engine API: Docker, or Podman's compatible service. The engine keeps the
 * containers, so instances outlive this program; labels say whose they are, and adoption is reading them.
 *
 * An instance keeps its container from start to start, and with it its output, until it is removed or its
 * spec changes. The engine's init is not used: it would hide from the engine that a command does not exist.
 *
 *  D1. A start costs what the engine needs, create and start, nothing besides: an image is looked for only
 *      when the engine says that it has none.
 *  D2. Work on one instance happens in order; work on different ones does not wait for each other.
 *  D3. Docker lists a container as running until it has cleaned up after it; only inspecting it waits for that and
 *      tells the truth.
 *  D4. An exit is told when the container is known to have ended: by the engine's event, or by looking after the
 *      event stream was interrupted. An engine that does not answer is no proof of anything.
 */
import { assert } from '../../core/base/assert.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Endpoint } from '../../core/model/messages.ts';
import type { Clock } from '../../ports/clock.ts';
import type {
  Detection,
  FoundInstance,
  LogQuery,
  Runtime,
  RuntimeExit,
  RuntimeListener,
  StartRequest,
} from '../../ports/runtime.ts';
import {
  type ContainerConfig,
  containerConfig,
  containerName,
  endpointsOf,
  fingerprintOf,
  INSTANCE_LABEL,
  type Labels,
  NODE_LABEL,
} from './container-config.ts';
import { CONTAINER_GONE, containerExit, KILLED_EXIT_CODE } from './container-exit.ts';
import { EngineApi, type EngineEvent, type EngineInfo } from './engine-api.ts';
import { engineSocketPath } from './engine-socket.ts';
import { EngineWatch } from './engine-watch.ts';
import { parseImageReference } from './image-reference.ts';
import { InstanceQueue } from './instance-queue.ts';

interface Instance {
  readonly id: string;
  readonly containerId: string;
  readonly fingerprint: string;
  readonly endpoints: readonly Endpoint[];
  phase: 'starting' | 'running' | 'stopping' | 'ended';
  /** It died while `starting`: looked into once the start has been answered. */
  diedEarly: boolean;
  outOfMemory: boolean;
  /** When it last ended, as the engine's log query takes it; followed output goes on from there. */
  endedAt: string | undefined;
}

export interface ContainerRuntimeInit {
  /** Tells this node's containers from those of other nodes on the same engine; the same after every restart. */
  readonly node: string;
  /** `DOCKER_HOST`; without it /var/run/docker.sock. */
  readonly dockerHost?: string | undefined;
}

export class ContainerRuntime implements Runtime {
  readonly name = 'container';
  readonly #clock: Clock;
  readonly #node: string;
  readonly #engine: EngineApi;
  readonly #watch: EngineWatch;
  readonly #unsupported: string | null;
  readonly #instances = new Map<string, Instance>();
  readonly #queue = new InstanceQueue();
  readonly #pulls = new Map<string, Promise<void>>();
  #info: Promise<EngineInfo> | null = null;
  #listener: RuntimeListener = { exited: () => undefined };
  #closed = false;

  constructor(components: { readonly clock: Clock }, init: ContainerRuntimeInit) {
    this.#clock = components.clock;
    this.#node = init.node;
    const socket = engineSocketPath(init.dockerHost);
    this.#unsupported = socket.ok ? null : socket.error;
    this.#engine = new EngineApi(socket.ok ? socket.value : '');
    this.#watch = new EngineWatch(
      { clock: components.clock, engine: this.#engine },
      {
        filters: { type: ['container'], event: ['die', 'oom'], label: [`${NODE_LABEL}=${init.node}`] },
        happened: (event) => this.#happened(event),
        opened: () => this.#compare(),
        wanted: () => [...this.#instances.values()].some(({ phase }) => phase !== 'ended'),
      },
    );
  }

  async detect(): Promise<Detection> {
    if (this.#unsupported !== null) return { available: false, detail: this.#unsupported };
    try {
      const { name, api } = await this.#engine.version();
      const { osType, memoryLimit, cpuLimit } = await this.#engineInfo();
      if (osType !== 'linux') return { available: false, detail: `${name} runs ${osType} containers only` };
      const without = [memoryLimit ? '' : 'memory', cpuLimit ? '' : 'cpu'].filter((limit) => limit !== '');
      const lack = without.length === 0 ? '' : `; the kernel lets no limit of ${without.join(' and ')} bind`;
      return { available: true, detail: `${name}, API ${api}${lack}` };
    } catch (error) {
      return { available: false, detail: error instanceof Error ? error.message : String(error) };
    }
  }

  async open(listener: RuntimeListener): Promise<void> {
    this.#listener = listener;
    // A machine without an engine is no error; should one come up later, `list` or `start` finds it.
    if (this.#unsupported === null) await this.#watch.ensure().catch(() => undefined);
  }

  async list(): Promise<readonly FoundInstance[]> {
    await this.#reachEngine();
    const listed = await this.#engine.listContainers(`${NODE_LABEL}=${this.#node}`);
    const found = await Promise.all(
      listed.map(async ({ Id, State, Labels }): Promise<FoundInstance | null> => {
        const id = Labels?.[INSTANCE_LABEL] ?? '';
        const known = this.#instances.get(id);
        const isKnownToRun = known?.containerId === Id && known.phase === 'running';
        if (runs(State) && isKnownToRun) return { id, running: true, exitCode: null, endpoints: endpointsOf(Labels) };
        const container = await this.#engine.inspectContainer(Id);
        if (container === null) return null;
        const { Status, ExitCode } = container.State;
        const exitCode = runs(Status) || Status === 'created' ? null : ExitCode;
        return { id, running: runs(Status), exitCode, endpoints: endpointsOf(Labels) };
      }),
    );
    return found.filter((instance) => instance !== null);
  }

  async start(request: StartRequest): Promise<readonly Endpoint[]> {
    const { id, spec } = request.assignment;
    assert(spec.runtime === 'container', `a ${spec.runtime} given to the container runtime`);
    return await this.#queue.begin(id, async (signal) => {
      await this.#reachEngine();
      const known = this.#instances.get(id);
      if (known?.phase === 'running') return known.endpoints;
      const config = containerConfig(this.#node, request, spec, await this.#engineInfo());
      const instance = known?.fingerprint === config.fingerprint ? known : await this.#containerFor(id, config, signal);
      if (instance.phase === 'running') return instance.endpoints;
      return await this.#run(instance, () => this.#containerFor(id, config, signal));
    });
  }

  async stop(id: string, graceMs: number): Promise<void> {
    await this.#queue.end(id, async () => {
      const instance = this.#instances.get(id);
      if (instance?.phase === 'running') instance.phase = 'stopping';
      try {
        await this.#reachEngine();
        await this.#engine.stopContainer(containerName(this.#node, id), Math.ceil(graceMs / 1000));
        if (instance) instance.phase = 'ended';
      } catch (error) {
        if (instance?.phase === 'stopping') instance.phase = 'running';
        throw error;
      }
    });
  }

  async remove(id: string): Promise<void> {
    await this.#queue.end(id, async () => {
      const instance = this.#instances.get(id);
      if (instance?.phase === 'running') instance.phase = 'stopping';
      try {
        await this.#reachEngine();
        await this.#engine.removeContainer(containerName(this.#node, id));
        this.#instances.delete(id);
        this.#queue.changed(id);
      } catch (error) {
        if (instance?.phase === 'stopping') instance.phase = 'running';
        throw error;
      }
    });
  }

  async *logs(id: string, query: LogQuery): AsyncGenerator<Uint8Array> {
    const done = new AbortController();
    const signal = AbortSignal.any([query.signal, done.signal]);
    let tailLines = query.tailLines;
    let since: string | undefined;
    let containerId: string | undefined;
    try {
      for (;;) {
        const change = this.#queue.nextChange(id, signal);
        await this.#reachEngine();
        const container = await this.#engine.inspectContainer(containerName(this.#node, id));
        if (container === null && containerId === undefined) throw new CodedError('not_found', `instance ${id}`);
        if (container === null) return;
        // A new container has output of its own from the start; the same one goes on where it was left.
        if (container.Id !== containerId) since = undefined;
        containerId = container.Id;
        const endedBefore = this.#instances.get(id)?.endedAt;
        const output = await this.#engine.containerLogs(containerId, { follow: query.follow, tailLines, since, signal });
        if (output !== null) yield* output;
        if (!query.follow) return;
        tailLines = undefined;
        const brokenOffAt = toSeconds(this.#clock.nowMs());
        await change;
        if (signal.aborted) return;
        const endedAt = this.#instances.get(id)?.endedAt;
        since = endedAt === endedBefore ? brokenOffAt : endedAt;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      done.abort();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watch.close();
    this.#engine.close();
  }

  async #reachEngine(): Promise<void> {
    if (this.#unsupported !== null) throw new CodedError('runtime_missing', this.#unsupported);
    await this.#watch.ensure();
  }

  #engineInfo(): Promise<EngineInfo> {
    this.#info ??= this.#engine.info().catch((error: unknown) => {
      this.#info = null;
      throw error;
    });
    return this.#info;
  }

  /** A container that is made as `config` says, or the instance's running one whatever it is made of. */
  async #containerFor(id: string, config: ContainerConfig, signal: AbortSignal): Promise<Instance> {
    const name = containerName(this.#node, id);
    for (;;) {
      const outcome = await this.#create(name, config, signal);
      if (outcome.kind === 'created') return this.#track(id, outcome.containerId, config);
      const there = await this.#engine.inspectContainer(name);
      if (there === null) continue;
      const fingerprint = fingerprintOf(there.Config.Labels);
      const adopted = await this.#adopt(id, there.Id, there.Config.Labels);
      if (adopted.phase === 'running' || fingerprint === config.fingerprint) return adopted;
      await this.#engine.removeContainer(there.Id);
    }
  }

  async #create(name: string, config: ContainerConfig, signal: AbortSignal) {
    const first = await this.#engine.createContainer(name, config.body);
    if (first.kind !== 'no_image') return first;
    const image = config.body.Image;
    // An image that came as an archive has lost its registry's digest, but its id is a digest too.
    const { digest } = parseImageReference(image);
    if (digest !== null) {
      const byId = await this.#engine.createContainer(name, { ...config.body, Image: digest });
      if (byId.kind !== 'no_image') return byId;
    }
    await this.#pull(image, signal);
    const second = await this.#engine.createContainer(name, config.body);
    if (second.kind === 'no_image') throw new CodedError('image_not_found', `${image} (${second.message})`);
    return second;
  }

  /** One pull however many instances wait for it; each may give up by itself, the pull goes on for the next. */
  async #pull(image: string, signal: AbortSignal): Promise<void> {
    let pull = this.#pulls.get(image);
    if (pull === undefined) {
      pull = this.#engine.pullImage(image).finally(() => this.#pulls.delete(image));
      this.#pulls.set(image, pull);
    }
    const givenUp = new Promise<never>((_, reject) => {
      const giveUp = () => reject(new CodedError('unavailable', `stopped before its image ${image} had arrived`));
      if (signal.aborted) giveUp();
      else signal.addEventListener('abort', giveUp, { once: true });
    });
    await Promise.race([pull, givenUp]);
  }

  async #run(first: Instance, recreate: () => Promise<Instance>): Promise<readonly Endpoint[]> {
    let instance = first;
    for (;;) {
      if (instance.phase === 'running') return instance.endpoints;
      instance.phase = 'starting';
      instance.diedEarly = false;
      instance.outOfMemory = false;
      const outcome = await this.#engine.startContainer(instance.containerId).catch((error: unknown) => {
        instance.phase = 'ended';
        throw error;
      });
      if (outcome.kind === 'started') break;
      this.#instances.delete(instance.id);
      if (outcome.kind === 'refused') {
        await this.#engine.removeContainer(instance.containerId);
        throw startRefusal(outcome.message);
      }
      // Somebody removed the container that was to start again.
      instance = await recreate();
    }
    this.#runsNow(instance);
    return instance.endpoints;
  }

  /** Tracked before looking, so that an end in between is not missed. */
  async #adopt(id: string, containerId: string, labels: Labels): Promise<Instance> {
    const instance = this.#track(id, containerId, { fingerprint: fingerprintOf(labels), endpoints: endpointsOf(labels) });
    instance.phase = 'starting';
    const container = await this.#engine.inspectContainer(containerId);
    if (container !== null && runs(container.State.Status)) this.#runsNow(instance);
    else instance.phase = 'ended';
    return instance;
  }

  #runsNow(instance: Instance): void {
    instance.phase = 'running';
    this.#queue.changed(instance.id);
    // Later, so that the start has resolved for its caller.
    if (instance.diedEarly) setImmediate(() => void this.#look(instance));
  }

  #track(id: string, containerId: string, made: Pick<Instance, 'fingerprint' | 'endpoints'>): Instance {
    const instance: Instance = {
      ...{ id, containerId, fingerprint: made.fingerprint, endpoints: made.endpoints, phase: 'ended' },
      ...{ diedEarly: false, outOfMemory: false, endedAt: undefined },
    };
    this.#instances.set(id, instance);
    return instance;
  }

  #happened(event: EngineEvent): void {
    const instance = this.#instances.get(event.attributes[INSTANCE_LABEL] ?? '');
    if (instance === undefined || instance.containerId !== event.containerId) return;
    if (event.action === 'oom') instance.outOfMemory = true;
    if (event.action !== 'die') return;
    instance.endedAt = toSeconds(event.timeNano / 1e6);
    if (instance.phase === 'starting') instance.diedEarly = true;
    if (instance.phase === 'stopping') instance.phase = 'ended';
    if (instance.phase !== 'running') return;
    const exitCode = Number(event.attributes.exitCode);
    if (!Number.isInteger(exitCode) || (exitCode === KILLED_EXIT_CODE && !instance.outOfMemory)) void this.#look(instance);
    else this.#ended(instance, containerExit(exitCode, instance.outOfMemory));
  }

  /** Tells the exit of an instance that is thought to have ended, if it has. */
  async #look(instance: Instance): Promise<void> {
    const container = await this.#engine.inspectContainer(instance.containerId).catch(() => undefined);
    // Without an answer the engine is gone: the comparison on its return looks again.
    if (container === undefined) return;
    if (container === null) return this.#ended(instance, CONTAINER_GONE);
    const { State } = container;
    if (runs(State.Status)) return;
    const finishedAt = toSeconds(Date.parse(State.FinishedAt));
    if (Number(finishedAt) > Number(instance.endedAt ?? 0)) instance.endedAt = finishedAt;
    this.#ended(instance, containerExit(State.ExitCode, instance.outOfMemory || State.OOMKilled));
  }

  #ended(instance: Instance, exit: RuntimeExit): void {
    if (this.#closed || instance.phase !== 'running' || this.#instances.get(instance.id) !== instance) return;
    instance.phase = 'ended';
    this.#listener.exited(instance.id, exit);
  }

  /** After the event stream was opened: adopts what runs, and looks after what should run and does not. */
  async #compare(): Promise<void> {
    // Taken before asking: what starts meanwhile is not in the answer, and has its events.
    const running = [...this.#instances.values()].filter(({ phase }) => phase === 'running');
    const listed = await this.#engine.listContainers(`${NODE_LABEL}=${this.#node}`);
    const strangers = listed.filter(({ State, Labels }) => runs(State) && !this.#instances.has(Labels?.[INSTANCE_LABEL] ?? ''));
    await Promise.all(strangers.map(({ Id, Labels }) => this.#adopt(Labels?.[INSTANCE_LABEL] ?? '', Id, Labels)));
    await Promise.all(running.map((instance) => this.#look(instance)));
    for (const { id } of running) this.#queue.changed(id);
  }
}

/** `paused` still has its processes; all else but `running` has none. */
function runs(state: string): boolean {
  return state === 'running' || state === 'paused';
}

/** As the engine's log query takes a time. */
function toSeconds(epochMs: number): string {
  return (epochMs / 1000).toFixed(9);
}

/** runc and crun say in words what is wrong; the engine passes them on. */
function startRefusal(message: string): CodedError {
  if (/executable file .*not found|exec: "[^"]*": stat .*no such file or directory/i.test(message))
    return new CodedError('command_not_found', message);
  if (/port is already allocated|address already in use/i.test(message)) return new CodedError('port_in_use', message);
  return new CodedError('runtime_failed', message);
}
