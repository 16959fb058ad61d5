/** Words for scenarios: a small deployment, services on it, and where their instances run. */
import { type ServiceSpec, serviceSpecSchema } from '../../src/core/model/service.ts';
import { instanceView } from '../../src/core/orchestrator/views.ts';
import { CALM, type Knobs } from '../../src/sim/knobs.ts';
import type { OrchestratorMachine } from '../../src/sim/machine.ts';
import { converge } from '../../src/sim/run.ts';
import { World } from '../../src/sim/world.ts';

export class Scenario {
  readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  /** `clusters` of `nodesPerCluster` equal nodes with two cores each. */
  static async boot(knobs: Partial<Knobs> = {}, nodes = 3): Promise<Scenario> {
    const world = new World({ ...CALM, seed: 7, nodesPerCluster: 0, ...knobs, clusters: knobs.clusters ?? 2 });
    const total = { cpuMilli: 2_000, memoryBytes: 2 ** 31, diskBytes: 2 ** 33 };
    const parents = world.clusters.length > 0 ? world.clusters : [world.root];
    for (const parent of parents)
      for (let n = 1; n <= nodes; n++)
        world.addNode(parent, `n${n}`, { total, runtimes: ['process'], labels: {}, architecture: 'amd64' });
    await world.boot();
    return new Scenario(world);
  }

  get root(): OrchestratorMachine {
    return this.world.root;
  }

  async apply(name: string, spec: object, at = this.root): Promise<void> {
    await this.world.submit(at, { type: 'applyService', name, labels: {}, spec: specOf(spec) });
  }

  /** Until everything is as it should be. */
  async settled(): Promise<void> {
    await converge(this.world);
  }

  /** `c1/n2` for each instance of the service that runs, sorted. */
  places(service: string): string[] {
    const own = new RegExp(`^${service}-\\d+(\\.\\d+)?$`);
    return this.world.nodes.flatMap((node) => node.host.running().flatMap((id) => (own.test(id) ? [node.name] : []))).sort();
  }

  ids(service: string): string[] {
    return this.world.nodes.flatMap((node) => node.host.running().filter((id) => id.startsWith(`${service}-`))).sort();
  }

  /** How often anything has been started anywhere. */
  starts(): number {
    let count = 0;
    for (const { host } of this.world.nodes) for (const { starts } of host.starts.values()) count += starts;
    return count;
  }

  views(service: string, at = this.root) {
    const core = at.driver?.core;
    if (!core) return [];
    const context = core.viewContext(at.clock.nowMs());
    return core.state.instancesOf(service).map((instance) => instanceView(instance, context));
  }

  cutOff(name: string): void {
    const [parent = 'root', child = name] = name.includes('/') ? name.split('/') : ['root', name];
    this.world.network.block(parent, child, ['up', 'down']);
  }

  reconnect(name: string): void {
    const [parent = 'root', child = name] = name.includes('/') ? name.split('/') : ['root', name];
    this.world.network.heal(parent, child);
  }
}

export function specOf(spec: object): ServiceSpec {
  return serviceSpecSchema.parse({ runtime: 'process', command: ['serve'], ...spec });
}
