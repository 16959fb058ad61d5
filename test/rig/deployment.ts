/**
 * A whole deployment of real processes on loopback: one root, its clusters, their nodes, each with its own data
 * directory and certificate, in a temporary directory. Every process can be stopped, killed, frozen and started again,
 * and with `wires` every child's link to its parent can be stalled, refused and healed.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../../src/cli/api/api-client.ts';
import { Transport } from '../../src/cli/api/transport.ts';
import { type Context, loadConfig, saveContext } from '../../src/cli/context/config-file.ts';
import type { Target } from '../../src/cli/context/target.ts';
import type { ReplicaRole } from '../../src/core/model/replicas.ts';
import type { ServiceManifest } from '../../src/core/model/service.ts';
import { serviceSchema } from '../../src/core/model/service.ts';
import type { TokenRole } from '../../src/core/model/token.ts';
import type { InstanceView } from '../../src/core/model/views.ts';
import { freePort } from './free-port.ts';
import type { Network } from './network.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { ensureBuilt, type InstanceProcess, PROGRAM, TendrilProcess, type TendrilProcessInit } from './tendril-process.ts';
import { until } from './until.ts';

/** Nothing listens there: children reach their parent over the link that the test holds, and by no other way. */
const NOWHERE = 'https://127.0.0.1:9';

export interface DeploymentOptions {
  /** Nodes by cluster: `{garching: 3}` has the nodes garching-1 to garching-3. */
  readonly clusters?: Readonly<Record<string, number>>;
  /** Nodes directly below the root: root-1 ... */
  readonly nodes?: number;
  /** Whether the root is a worker too. */
  readonly rootWorks?: boolean;
  /** Of every node; 2 and 2Gi unless said. */
  readonly cpu?: string;
  readonly memory?: string;
  /** Puts a wire before every child that a test can cut. Its bytes go through the test's process. */
  readonly wires?: boolean;
  /** More flags for `tendril up`, by the node's name. */
  readonly flags?: (name: string) => readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Where each process lives, when not on the machine's own network. */
  readonly network?: Network;
}

export interface CliRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Spec = ServiceManifest['spec'];
/** Of a process service: what differs from `sleep 1000000` with little CPU and memory. */
export type ProcessSpec = Partial<Extract<Spec, { runtime: 'process' }>>;

const TIDY_LIMIT_MS = 15_000;

export async function startDeployment(options: DeploymentOptions = {}): Promise<Deployment> {
  await ensureBuilt();
  const deployment = new Deployment(await mkdtemp(join(tmpdir(), 'tendril-e2e-')), options);
  try {
    await deployment.open();
    return deployment;
  } catch (error) {
    await deployment.abandon();
    throw error;
  }
}

export class Deployment {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  readonly processes = new Map<string, TendrilProcess>();
  readonly #options: DeploymentOptions;
  readonly #wires: TcpProxy[] = [];
  readonly #clients = new Map<string, ApiClient>();
  readonly #over = new AbortController();

  constructor(directory: string, options: DeploymentOptions) {
    this.directory = directory;
    this.#options = options;
    const { TENDRIL_CONTEXT: _context, TENDRIL_SERVER: _server, TENDRIL_TOKEN: _token, ...env } = process.env;
    this.env = { ...env, NO_COLOR: '1', TENDRIL_CONFIG: join(directory, 'config.yaml'), ...options.env };
  }

  async open(): Promise<void> {
    const { clusters = {}, nodes = 0, rootWorks = false } = this.#options;
    await this.addOrchestrator('root', null, rootWorks);
    await Promise.all([
      ...numbered('root', nodes).map((name) => this.addNode(name, 'root')),
      ...Object.entries(clusters).map(async ([cluster, count]) => {
        await this.addOrchestrator(cluster, 'root', false);
        await Promise.all(numbered(cluster, count).map((name) => this.addNode(name, cluster)));
      }),
    ]);
    const all = nodes + Object.values(clusters).reduce((sum, count) => sum + count, 0);
    await this.until(
      'all nodes are ready in the eyes of the root',
      async () => {
        const { items } = await this.api('root').nodes();
        return items.filter(({ state }) => state === 'ready').length === all + (rootWorks ? 1 : 0);
      },
      30_000,
    );
  }

  /** `parent` null: a root. */
  async addOrchestrator(name: string, parent: string | null, works: boolean): Promise<TendrilProcess> {
    const port = await freePort();
    const link = parent === null ? null : await this.#wireTo(parent);
    const joining = parent === null ? [] : ['--parent', this.#url(parent, link), '--token', await this.token(parent, 'cluster')];
    const flags = works ? this.#capacity() : ['--no-worker'];
    const publicUrl = this.#options.wires ? ['--public-url', NOWHERE] : [];
    const place = await this.#options.network?.add(name);
    const listen = ['--listen', `${place?.address ?? '127.0.0.1'}:${port}`];
    const one = await this.#add(name, port, { link, place, firstFlags: [...listen, ...publicUrl, ...joining], flags });
    await this.#enter(one, name);
    return one;
  }

  /** Resolves when its parent can give it work. */
  async addNode(name: string, parent: string, flags: readonly string[] = []): Promise<TendrilProcess> {
    const link = await this.#wireTo(parent);
    const joining = ['--join', this.#url(parent, link), '--token', await this.token(parent, 'worker')];
    const place = await this.#options.network?.add(name);
    const node = await this.#add(name, null, { link, place, firstFlags: joining, flags: [...this.#capacity(), ...flags] });
    await this.until(
      `${parent} knows ${name}`,
      async () => (await this.api(parent).child('node', name)).state === 'ready',
      10_000,
    );
    return node;
  }

  /** Joins the orchestrator of `at`, itself one of its replicas; it works, too. Resolves when it is up, at first as a learner. */
  async addReplica(name: string, at: string, role: ReplicaRole, flags: readonly string[] = []): Promise<TendrilProcess> {
    const port = await freePort();
    const joining = ['--join', this.#url(at, null), '--role', role, '--token', await this.token(at, role)];
    const place = await this.#options.network?.add(name);
    const firstFlags = ['--listen', `${place?.address ?? '127.0.0.1'}:${port}`, ...joining];
    const one = await this.#add(name, port, { link: null, place, firstFlags, flags: [...this.#capacity(), ...flags] });
    // Its users have their tokens from the first replica, and so has the test.
    await this.#enter(one, at);
    return one;
  }

  async #add(
    name: string,
    port: number | null,
    { link, place, firstFlags, flags }: Pick<TendrilProcessInit, 'link' | 'place' | 'firstFlags' | 'flags'>,
  ): Promise<TendrilProcess> {
    const one = new TendrilProcess({
      name,
      directory: join(this.directory, name),
      port,
      link,
      place,
      firstFlags: ['--name', name, ...firstFlags],
      flags: [...flags, ...(this.#options.flags?.(name) ?? [])],
      env: this.env,
    });
    this.processes.set(name, one);
    await one.start();
    return one;
  }

  /** A client for this orchestrator, with the token of `like`, and a context for the command line. */
  async #enter({ name, port, place }: TendrilProcess, like: string): Promise<void> {
    if (port === null) return;
    const server = `https://127.0.0.1:${place ? await place.entrance(port) : port}`;
    const context = { ...(await this.#context(like)), name, server, servers: [server] };
    await saveContext(context, { makeCurrent: false }, { env: this.env, home: this.directory });
    this.#clients.set(name, new ApiClient(new Transport(await this.target(name), this.#over.signal)));
  }

  #capacity(): string[] {
    return ['--cpu', this.#options.cpu ?? '2', '--memory', this.#options.memory ?? '2Gi'];
  }

  async #wireTo(parent: string): Promise<TcpProxy | null> {
    if (!this.#options.wires) return null;
    const wire = await TcpProxy.open(() => this.node(parent).port ?? 0);
    this.#wires.push(wire);
    return wire;
  }

  #url(parent: string, link: TcpProxy | null): string {
    const { port, place } = this.node(parent);
    return `https://${place?.address ?? '127.0.0.1'}:${link?.port ?? port}`;
  }

  async token(orchestrator: string, role: TokenRole): Promise<string> {
    return (await this.api(orchestrator).createToken({ role })).token;
  }

  get root(): TendrilProcess {
    return this.node('root');
  }

  cluster(name: string): TendrilProcess {
    return this.node(name);
  }

  /** Any process by its name. */
  node(name: string): TendrilProcess {
    const one = this.processes.get(name);
    if (!one) throw new Error(`no ${name} in this deployment`);
    return one;
  }

  /** The wire between this child and its parent. */
  wire(name: string): TcpProxy {
    const { link } = this.node(name);
    if (!link) throw new Error(`${name} has no wire: start the deployment with wires`);
    return link;
  }

  /** The API of this orchestrator, as the CLI speaks to it, with the admin's token. */
  api(orchestrator: string): ApiClient {
    const known = this.#clients.get(orchestrator);
    if (!known) throw new Error(`no orchestrator ${orchestrator} in this deployment`);
    return known;
  }

  /** How one speaks to this orchestrator, as its context says. */
  async target(orchestrator: string): Promise<Target> {
    return { ...(await this.#context(orchestrator)), origin: 'test' };
  }

  async #context(orchestrator: string): Promise<Context> {
    const { contexts } = await loadConfig({ env: this.env, home: this.directory });
    const context = contexts.find(({ name }) => name === orchestrator);
    if (!context) throw new Error(`no context ${orchestrator}`);
    return context;
  }

  /** Runs the command line, as a process of its own. `--context ORCHESTRATOR` says whom it speaks to. */
  cli(...words: string[]): Promise<CliRun> {
    return this.cliWithInput('', ...words);
  }

  cliWithInput(input: string, ...words: string[]): Promise<CliRun> {
    return new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        [PROGRAM, ...words],
        { env: this.env, cwd: this.directory, maxBuffer: 64 * 2 ** 20 },
        (error, stdout, stderr) => {
          resolve({ exitCode: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
        },
      );
      // A program that has read enough hangs up.
      child.stdin?.on('error', () => undefined).end(input);
    });
  }

  /** Applies a process service, `sleep` unless the spec has another command. */
  async apply(orchestrator: string, name: string, spec: ProcessSpec = {}): Promise<void> {
    const manifest: ServiceManifest = {
      apiVersion: 'tendril/v1',
      kind: 'Service',
      metadata: { name },
      spec: { command: ['sleep', '1000000'], resources: { cpu: 0.1, memory: '32Mi' }, ...spec, runtime: 'process' },
    };
    const [result] = await this.api(orchestrator).apply([serviceSchema.parse(manifest)], { dryRun: false });
    if (result?.effect === 'refused') throw new Error(`${name} was refused: ${JSON.stringify(result)}`);
  }

  /** The service's instances once there are exactly so many, all of them running. */
  running(orchestrator: string, service: string, count: number, boundMs = 15_000): Promise<readonly InstanceView[]> {
    return this.until(
      `${count} running instances of ${service}`,
      async () => {
        const found = await this.api(orchestrator).instances(service);
        return found.length === count && found.every(({ state }) => state === 'RUNNING') ? found : null;
      },
      boundMs,
    );
  }

  /** Deletes the service and waits until nothing of it is left. */
  async remove(orchestrator: string, service: string): Promise<void> {
    await this.api(orchestrator).deleteService(service);
    await this.until(
      `nothing is left of ${service}`,
      async () => {
        const services = await this.api(orchestrator).services();
        return !services.some(({ name }) => name === service);
      },
      TIDY_LIMIT_MS,
    );
  }

  /** The processes of all instances on all nodes. */
  instanceProcesses(): InstanceProcess[] {
    return [...this.processes.values()].flatMap((one) => one.instances()).sort((a, b) => a.pid - b.pid);
  }

  until<T>(what: string, ask: () => T | Promise<T>, boundMs: number): Promise<NonNullable<Exclude<T, false>>> {
    return until(what, ask, boundMs, () => [...this.processes.values()].map((one) => one.tail()).join('\n'));
  }

  /**
   * Ends everything. As instances outlive tendril, services are deleted first; what is left of them on a node that
   * runs, and what no kill has ended, is an error.
   */
  async close(): Promise<void> {
    let failure: Error | null = null;
    try {
      await this.#deleteServices();
    } catch (error) {
      failure = error as Error;
    }
    await this.abandon();
    if (failure) throw failure;
  }

  async #deleteServices(): Promise<void> {
    for (const wire of this.#wires) wire.heal();
    const running = [...this.processes.values()].filter((one) => one.isRunning);
    for (const one of running) one.thaw();
    for (const { name, port } of running) {
      if (port === null) continue;
      for (const { name: service, owner } of await this.api(name).services())
        if (owner === 'user') await this.api(name).deleteService(service);
    }
    if (this.root.isRunning)
      await this.until(
        'no instance is left when all services are deleted',
        () => running.every((one) => one.instances().length === 0),
        TIDY_LIMIT_MS,
      );
  }

  /** Ends everything by force, and checks that it has. */
  async abandon(): Promise<void> {
    this.#over.abort();
    for (const client of this.#clients.values()) await client.close();
    const processes = [...this.processes.values()];
    await Promise.all(processes.map((one) => one.kill()));
    await until(
      'every process of the deployment has ended',
      () => {
        for (const one of processes) one.killInstances();
        return this.instanceProcesses().length === 0;
      },
      10_000,
    );
    await Promise.all(this.#wires.map((wire) => wire.close()));
    await rm(this.directory, { recursive: true, force: true });
  }
}

function numbered(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);
}
