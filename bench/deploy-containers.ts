/**
 * Containers by Tendril and by Docker Swarm, on one private engine, in turns, so that both meet the same
 * machine in the same minutes. Each is a cluster of one, and gives its containers the same limits. A time begins when the API gets the request, or the
 * container its SIGKILL. For Tendril it ends when the API tells RUNNING, for Swarm already when the engine tells that
 * the container has started, which its API tells later.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { EngineApi } from '../src/adapters/docker/engine-api.ts';
import { limits } from '../src/core/base/limits.ts';
import { serviceSchema } from '../src/core/model/service.ts';
import type { Deployment } from '../test/rig/deployment.ts';
import type { DockerRig } from '../test/rig/docker.ts';
import { until } from '../test/rig/until.ts';
import { type BenchContext, type Figure, figure, median } from './bench.ts';
import { InstanceWatch } from './instance-watch.ts';
import { withDeployment } from './site.ts';
import { isSwarmPossible, SwarmApi, withSwarm } from './swarm.ts';

const RUNS = 5;
/** Connections to the engine at a time, as Tendril's runtime has them. */
const ENGINE_CONNECTIONS = limits.engineConnections;
const REPLICAS = 30;
const LIMIT_MS = 120_000;
const IMAGE = 'tendril-bench:1';
const COMMAND = ['sleep', '1000000'];

interface Times {
  readonly firstMs: number;
  readonly manyMs: number;
  readonly replacedMs: number;
}

/** Starts, scales, loses a container, and leaves nothing. */
type Round = (name: string) => Promise<Times>;

export async function measureContainers({ tell }: BenchContext): Promise<readonly Figure[]> {
  if (!isSwarmPossible()) {
    tell('containers are left out: they take root and dockerd');
    return [];
  }
  return withSwarm(async (rig) => {
    await rig.makeBusyboxImage(IMAGE);
    return withDeployment({ rootWorks: true, cpu: '64', memory: '64Gi', env: { DOCKER_HOST: rig.dockerHost } }, async (site) => {
      const starts = new ContainerStarts(rig);
      try {
        const byTendril = tendrilRound(site, rig, await InstanceWatch.open(site.api('root')));
        const bySwarm = swarmRound(rig, starts);
        const tendril: Times[] = [];
        const swarm: Times[] = [];
        const engine: EngineTimes[] = [];
        const turns = [
          async (run: number) => swarm.push(await bySwarm(`swarm-${run}`)),
          async (run: number) => tendril.push(await byTendril(`tendril-${run}`)),
          async (run: number) => engine.push(await byEngine(rig, `engine-${run}`)),
        ];
        for (let run = 0; run < RUNS; run++) {
          tell(`containers by Swarm, by Tendril and by the bare engine: ${run + 1} of ${RUNS}`);
          // Each comes first, second and last in its turn.
          for (let turn = 0; turn < turns.length; turn++) await turns[(run + turn) % turns.length]?.(run);
        }
        return [
          ...compare('first container RUNNING', tendril, swarm, ({ firstMs }) => firstMs, 0.7),
          ...compare(`${REPLICAS} replicas RUNNING`, tendril, swarm, ({ manyMs }) => manyMs, 0.5),
          ...compare('killed container replaced', tendril, swarm, ({ replacedMs }) => replacedMs, 0.1),
          figure(
            { name: 'for comparison: one container by the bare engine API', unit: 'ms' },
            engine.map(({ firstMs }) => firstMs),
          ),
          figure(
            { name: `for comparison: ${REPLICAS} containers by the bare engine API`, unit: 'ms' },
            engine.map(({ manyMs }) => manyMs),
          ),
        ];
      } finally {
        starts.close();
      }
    });
  });
}

/** The goal binds the ratio of the medians; its spread is that of the pairs of neighbouring runs. */
function compare(
  name: string,
  tendril: readonly Times[],
  swarm: readonly Times[],
  pick: (times: Times) => number,
  atMost: number,
): Figure[] {
  const [ours, theirs] = [tendril.map(pick), swarm.map(pick)];
  const ratios = ours.map((ms, run) => ms / (theirs[run] ?? Number.NaN));
  const peer = `Swarm ${Math.round(median(theirs))} ms, in turns on the same engine`;
  return [
    figure(
      { name: `${name}: ratio to Swarm`, unit: '×', goal: { atMost }, anchor: peer },
      ratios,
      () => median(ours) / median(theirs),
    ),
    figure({ name: `${name}: Tendril`, unit: 'ms' }, ours),
    figure({ name: `${name}: Swarm`, unit: 'ms' }, theirs),
  ];
}

function tendrilRound(site: Deployment, rig: DockerRig, watch: InstanceWatch): Round {
  const api = site.api('root');
  return async (name) => {
    const manifest = serviceSchema.parse({
      apiVersion: 'tendril/v1',
      kind: 'Service',
      metadata: { name },
      spec: { runtime: 'container', image: IMAGE, command: COMMAND, resources: { cpu: 0.1, memory: '64Mi' }, stopGrace: '0s' },
    });
    let startMs = performance.now();
    const first = watch.running(name, 1, LIMIT_MS);
    await api.apply([manifest], { dryRun: false });
    const firstMs = (await first) - startMs;

    const [instance] = watch.of(name);
    const pid = await pidOf(rig, `label=tendril.instance=${instance?.id}`);
    const again = watch.until('a running container in its place', name, (all) =>
      all.some(({ state, restarts }) => state === 'RUNNING' && restarts > (instance?.restarts ?? 0)),
    );
    startMs = performance.now();
    process.kill(pid, 'SIGKILL');
    const replacedMs = (await again) - startMs;

    startMs = performance.now();
    const many = watch.running(name, REPLICAS, LIMIT_MS);
    await api.scale(name, REPLICAS);
    const manyMs = (await many) - startMs;
    await api.deleteService(name);
    await watch.gone(name);
    return { firstMs, manyMs, replacedMs };
  };
}

function swarmRound(rig: DockerRig, starts: ContainerStarts): Round {
  const engine = new SwarmApi(rig.socketPath, IMAGE, COMMAND);
  return async (name) => {
    let startMs = performance.now();
    const first = starts.ofService(name, 1);
    await engine.createService(name);
    const firstMs = (await first) - startMs;

    const pid = await pidOf(rig, `label=com.docker.swarm.service.name=${name}`);
    // Swarm waits five seconds before it restarts (its default --restart-delay).
    const again = starts.ofService(name, 1);
    startMs = performance.now();
    process.kill(pid, 'SIGKILL');
    const replacedMs = (await again) - startMs;

    startMs = performance.now();
    const many = starts.ofService(name, REPLICAS - 1);
    await engine.scale(name, REPLICAS);
    const manyMs = (await many) - startMs;
    await rig.docker('service', 'rm', name);
    await until(
      `nothing is left of ${name}`,
      async () => (await rig.docker('ps', '-aq', '--filter', `label=com.docker.swarm.service.name=${name}`)) === '',
      LIMIT_MS,
    );
    return { firstMs, manyMs, replacedMs };
  };
}

type EngineTimes = Omit<Times, 'replacedMs'>;

/** The bound: what the engine takes to create and start them when nobody orchestrates. */
async function byEngine(rig: DockerRig, name: string): Promise<EngineTimes> {
  const api = new EngineApi(rig.socketPath);
  const ids: string[] = [];
  const one = async () => {
    const HostConfig = { NanoCpus: 1e8, Memory: 64 * 2 ** 20, MemorySwap: 64 * 2 ** 20 };
    const made = await api.createContainer(`${name}-${ids.length}-${performance.now()}`, {
      Image: IMAGE,
      Cmd: COMMAND,
      HostConfig,
    });
    if (made.kind !== 'created') throw new Error(made.kind);
    ids.push(made.containerId);
    await api.startContainer(made.containerId);
  };
  try {
    let startMs = performance.now();
    await one();
    const firstMs = performance.now() - startMs;
    startMs = performance.now();
    let begun = 1;
    const connection = async () => {
      while (begun++ < REPLICAS) await one();
    };
    await Promise.all(Array.from({ length: ENGINE_CONNECTIONS }, connection));
    return { firstMs, manyMs: performance.now() - startMs };
  } finally {
    for (const id of ids) await api.removeContainer(id);
    api.close();
  }
}

async function pidOf(rig: DockerRig, filter: string): Promise<number> {
  const id = await rig.docker('ps', '-q', '--no-trunc', '--filter', filter);
  return Number(await rig.docker('inspect', '--format', '{{.State.Pid}}', id));
}

/** What the engine itself tells of containers that it has started. */
class ContainerStarts {
  readonly #events: ChildProcess;
  readonly #waiters = new Set<{ readonly service: string; missing: number; readonly resolve: (atMs: number) => void }>();

  constructor(rig: DockerRig) {
    const filters = ['--filter', 'type=container', '--filter', 'event=start'];
    const format = '{{index .Actor.Attributes "com.docker.swarm.service.name"}}';
    this.#events = spawn('docker', ['--host', rig.dockerHost, 'events', ...filters, '--format', format], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    if (this.#events.stdout) createInterface({ input: this.#events.stdout }).on('line', (service) => this.#started(service));
  }

  /** When so many more containers of the service have started. */
  ofService(service: string, count: number): Promise<number> {
    return new Promise((resolve) => this.#waiters.add({ service, missing: count, resolve }));
  }

  close(): void {
    this.#events.kill();
  }

  #started(service: string): void {
    const atMs = performance.now();
    for (const waiter of this.#waiters) {
      if (waiter.service !== service || --waiter.missing > 0) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(atMs);
    }
  }
}
