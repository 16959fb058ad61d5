/** An orchestrator of several replicas, all of them real processes and workers too: `root`, which was first, and whoever joins. */
import type { GroupView, Leadership, ReplicaRole } from '../../src/core/model/replicas.ts';
import type { InstanceView } from '../../src/core/model/views.ts';
import { type Deployment, type DeploymentOptions, type ProcessSpec, startDeployment } from './deployment.ts';
import { ReplicaClient } from './replica-client.ts';
import { Writers } from './writers.ts';

/** The limit of a hang: an election takes some 0.3 s, a change of the group not much more. */
const SETTLED_MS = 20_000;

/** How often something is done again: a few times in CI, and as often as TENDRIL_TEST_ROUNDS says. */
export const rounds = (few: number): number => Number(process.env.TENDRIL_TEST_ROUNDS ?? few);

export interface GroupOptions extends DeploymentOptions {
  /** Who joins the first one; n2, n3 ... */
  readonly voters?: number;
  readonly learners?: number;
}

export async function startGroup({ voters = 1, learners = 0, ...options }: GroupOptions = {}): Promise<Group> {
  const group = new Group(await startDeployment({ rootWorks: true, ...options }));
  try {
    await group.open();
    for (let number = 2; number <= voters + learners; number++)
      await group.join(`n${number}`, number <= voters ? 'voter' : 'learner');
    return group;
  } catch (error) {
    await group.site.abandon();
    throw error;
  }
}

export class Group {
  readonly site: Deployment;
  readonly #first: string;
  /** Of those that shall be replicas now. */
  readonly #replicas = new Map<string, ReplicaClient>();
  #rounds = 0;

  /** `first`: the orchestrator's first replica. */
  constructor(site: Deployment, first = 'root') {
    this.site = site;
    this.#first = first;
  }

  async open(): Promise<void> {
    await this.#adopt(this.#first);
  }

  async #adopt(name: string): Promise<void> {
    this.#replicas.set(name, new ReplicaClient(await this.site.target(name)));
  }

  get names(): readonly string[] {
    return [...this.#replicas.keys()];
  }

  get running(): readonly string[] {
    return this.names.filter((name) => this.site.node(name).isRunning);
  }

  /** Joins and waits until it is what it shall be. */
  async join(name: string, role: ReplicaRole, flags: readonly string[] = []): Promise<void> {
    await this.site.addReplica(name, await this.leader(), role, flags);
    await this.#adopt(name);
    await this.settled();
  }

  /** `tendril node ...` on this replica; it answers, and the group follows. */
  async setRole(name: string, role: ReplicaRole): Promise<void> {
    await this.site.api(await this.leader()).setReplicaRole(name, role);
    await this.settled();
  }

  async remove(name: string): Promise<void> {
    await this.site.api(await this.leader()).removeChild('node', name);
    await this.forget(name);
    await this.settled();
  }

  /** It is no replica any more. */
  async forget(name: string): Promise<void> {
    await this.replica(name).close();
    this.#replicas.delete(name);
  }

  view(name: string): Promise<GroupView> {
    return this.replica(name).group();
  }

  /** The name of the one that says of itself that it leads, or, on demand, of one that knows that nobody has to; never `not`. */
  leader(not = ''): Promise<string> {
    return this.site.until('a replica leads', () => this.#leaderNow(not), SETTLED_MS);
  }

  async #leaderNow(not: string): Promise<string | null> {
    for (const name of this.running) {
      if (name === not || this.site.node(name).isFrozen) continue;
      const { replicas, paused } = await this.view(name);
      if (paused || replicas.some(({ self, leads }) => self && leads)) return name;
    }
    return null;
  }

  /** Resolves when this one knows that no quorum is to be had, and so no leader. */
  isAlone(name: string): Promise<unknown> {
    return this.site.until(
      `${name} knows that there is no quorum`,
      async () => {
        const { quorum, leader } = await this.view(name);
        return !quorum && leader === null;
      },
      SETTLED_MS,
    );
  }

  /** The group is as it is wanted, and everyone who runs has everything. */
  settled(): Promise<GroupView> {
    return this.site.until(
      `the group is ${this.names.join(', ')}`,
      async () => {
        const leader = await this.#leaderNow('');
        if (leader === null) return null;
        const view = await this.view(leader);
        const names = view.replicas.map(({ name }) => name);
        const isAsWanted = view.replicas.every(({ role, wanted, connected }) => role === wanted && connected !== false);
        return isAsWanted && sameNames(names, this.names) ? view : null;
      },
      SETTLED_MS,
    );
  }

  writers(count: number, leadership: Leadership = 'standing'): Writers {
    const running = () => this.running.map((name) => this.replica(name));
    return new Writers(running, `round-${++this.#rounds}`, count, leadership === 'on-demand');
  }

  /** This one and no other. */
  replica(name: string): ReplicaClient {
    const replica = this.#replicas.get(name);
    if (!replica) throw new Error(`no replica ${name}`);
    return replica;
  }

  /** Runs one instance of this service; resolves with it. */
  async run(service: string, spec: ProcessSpec = {}): Promise<InstanceView> {
    const leader = await this.leader();
    await this.site.apply(leader, service, { disconnect: { lostAfter: '1h' }, ...spec });
    const [instance] = await this.site.running(leader, service, 1);
    if (!instance) throw new Error('unreachable: one instance runs');
    return instance;
  }

  /** Instances that were started more than once, on one node or on two, by the nodes' own logs. */
  startedTwice(): readonly string[] {
    const starts = [...this.site.processes.values()].flatMap(({ log }) =>
      log.flatMap(({ msg, instance }) => (msg === 'started' && typeof instance === 'string' ? [instance] : [])),
    );
    return starts.filter((instance, at) => starts.indexOf(instance) !== at);
  }

  /** Ends the writing; resolves with whatever is not as it was acknowledged. */
  async faults(writers: Writers): Promise<readonly string[]> {
    const acknowledged = await writers.stop();
    const api = this.site.api(await this.leader());
    const wrong: string[] = [];
    for (const [service, generation] of acknowledged) {
      const { generation: there } = await api.service(service);
      if (there !== generation) wrong.push(`${service}: generation ${generation} was acknowledged, ${there} is there`);
    }
    return [...writers.violations, ...wrong, ...this.startedTwice().map((instance) => `${instance} was started twice`)];
  }

  /** Deletes what runs, through whoever leads, and ends everything. */
  async close(): Promise<void> {
    for (const one of this.site.processes.values()) if (one.isRunning) one.thaw();
    try {
      const api = this.site.api(await this.leader());
      for (const { name } of await api.services()) await api.deleteService(name);
    } finally {
      for (const replica of this.#replicas.values()) await replica.close();
      await this.site.abandon();
    }
  }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}
