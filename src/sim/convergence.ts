/**
 * Whether a deployment has come to where it should be, and if not, why: which service, which instance, what
 * its orchestrator has written down, what the child says and what the machine really has.
 */
import { fits, requirementOf, subtract } from '../core/capacity/vectors.ts';
import type { ServiceSpec } from '../core/model/service.ts';
import { assignmentOf } from '../core/orchestrator/services.ts';
import type { InstanceRecord, ServiceRecord } from '../core/orchestrator/state.ts';
import { instanceView } from '../core/orchestrator/views.ts';
import type { NodeMachine, OrchestratorMachine } from './machine.ts';
import type { World } from './world.ts';

/** Nothing: it has converged. */
export function whyNotConverged(world: World): string[] {
  const down = world.machines().filter((machine) => !machine.up);
  if (down.length > 0) return down.map((machine) => `${machine.name} is down`);
  const unconnected = world.unconnected();
  if (unconnected.length > 0) return unconnected.map((name) => `${name} is not connected`);
  return [
    ...world.orchestrators.flatMap((one) => ofOrchestrator(world, one)),
    ...world.clusters.flatMap((one) => ofDelegation(world, one)),
    ...world.nodes.flatMap((one) => ofNode(world, one)),
  ];
}

function coreOf(machine: OrchestratorMachine) {
  if (!machine.driver) throw new Error(`${machine.name} is down`);
  return machine.driver.core;
}

function ofOrchestrator(world: World, machine: OrchestratorMachine): string[] {
  const { state } = coreOf(machine);
  const context = coreOf(machine).viewContext(machine.clock.nowMs());
  return [...state.services.values()].flatMap((service) => {
    const say = (what: string, instance?: InstanceRecord) =>
      `${machine.name}: service ${service.key}: ${what}${instance ? `\n    ${describe(world, machine, instance)}` : ''}`;
    if (service.deleting)
      return [say(`still deleting ${state.instancesOf(service.key).map((one) => describe(world, machine, one))}`)];
    const instances = state.instancesOf(service.key);
    const leaving = instances.filter((one) => one.leaving !== null);
    if (leaving.length > 0) return leaving.map((one) => say('has not gone', one));
    const waiting = instances.filter((one) => one.child === null);
    const problems = waiting.flatMap((one) => {
      const possible = possibleNodes(world, machine, service, one);
      if (possible.length > 0) return [say(`waits though ${possible.join(', ')} could take it`, one)];
      return instanceView(one, context).reason === '' ? [say('waits and does not say why', one)] : [];
    });
    for (const one of instances)
      if (one.child !== null && !context.observed.isRunning(one)) problems.push(say('does not run', one));
    const standIns = waiting.filter((one) => instances.some((old) => old.id === one.replaces));
    const count = instances.length - standIns.length;
    if (count !== service.replicas) problems.push(say(`has ${count} of ${service.replicas}`));
    for (const one of instances) {
      const pending = standIns.length > 0 || waiting.length > 0;
      if (one.generation !== service.generation && !pending) problems.push(say(`is of generation ${one.generation}`, one));
      if (one.move !== null) problems.push(say('has not moved', one));
      const member = one.child === null ? undefined : state.members.get(one.child);
      if (member?.draining && !pending) problems.push(say('is still on a draining child', one));
    }
    return problems;
  });
}

/** A cluster has exactly what its parent gave it. */
function ofDelegation(world: World, cluster: OrchestratorMachine): string[] {
  const { parent } = cluster;
  if (parent === null) return [];
  const given = coreOf(world.cluster(parent.machine))
    .state.instancesOn(parent.child)
    .map((one) => one.id)
    .sort();
  const has = [...coreOf(cluster).state.services.values()]
    .filter((service) => service.owner === 'parent')
    .map(assignmentOf)
    .sort();
  return same(given, has, `${cluster.name} was given`, 'keeps');
}

/** A node runs exactly what its orchestrator gave it, and the root's views name it. */
function ofNode(world: World, node: NodeMachine): string[] {
  const { parent } = node;
  if (parent === null) return [];
  const state = coreOf(world.cluster(parent.machine)).state;
  const given = state
    .instancesOn(parent.child)
    .map((one) => one.id)
    .sort();
  const problems = [
    ...same(given, node.host.running().sort(), `${node.name} was given`, 'runs'),
    ...same(given, [...node.host.instances.keys()].sort(), `${node.name} was given`, 'has traces of'),
    ...same(given, [...(node.driver?.core.reports.keys() ?? [])].sort(), `${node.name} was given`, 'reports'),
  ];
  if (parent.machine === 'root' || problems.length > 0) return problems;
  const root = coreOf(world.root);
  const context = root.viewContext(world.root.clock.nowMs());
  for (const id of given) {
    const above = root.state.instances.get(id.slice(0, id.lastIndexOf('.')));
    if (!id.includes('.')) continue;
    const view = above && instanceView(above, context);
    if (view?.node !== node.name)
      problems.push(`the root shows ${above?.id} at ${view?.node} (${view?.state}), and it runs on ${node.name} as ${id}`);
  }
  return problems;
}

function same(wanted: readonly string[], has: readonly string[], whose: string, does: string): string[] {
  return wanted.join() === has.join() ? [] : [`${whose} [${wanted.join(', ')}] and ${does} [${has.join(', ')}]`];
}

/** Machines that could take a waiting instance, by what they really have. */
function possibleNodes(world: World, machine: OrchestratorMachine, service: ServiceRecord, instance: InstanceRecord): string[] {
  const spec = service.specs.get(instance.generation);
  if (!spec) return [];
  const { state } = coreOf(machine);
  // A move's target binds while there is something to move.
  const moves = instance.replaces !== null && state.instances.has(instance.replaces);
  const target = {
    cluster: (moves ? instance.target?.cluster : null) ?? spec.placement.cluster ?? null,
    node: (moves ? instance.target?.node : null) ?? spec.placement.node ?? null,
  };
  return [...state.members.values()]
    .filter((member) => !member.cordoned && !member.draining && !(moves && member.record.name === instance.avoid))
    .flatMap((member) => {
      const { name, kind } = member.record;
      if (kind === 'node') {
        if (target.cluster !== null && target.cluster !== machine.name) return [];
        return world.nodesOf(machine).filter((node) => node.parent?.child === name);
      }
      if (target.cluster !== null && target.cluster !== name) return [];
      const cluster = world.cluster(name);
      return world.nodesOf(cluster).filter((node) => {
        const there = coreOf(cluster).state.members.get(node.parent?.child ?? '');
        return there && !there.cordoned && !there.draining;
      });
    })
    .filter((node) => (target.node === null || node.parent?.child === target.node) && canTake(node, spec))
    .map((node) => `${node.name} (${taken(world, node)})`);
}

/** What its orchestrator has given a node. */
function taken(world: World, node: NodeMachine): string {
  const { parent } = node;
  if (parent === null) return '';
  const { state } = coreOf(world.cluster(parent.machine));
  return state
    .instancesOn(parent.child)
    .map((one) => `${one.id}${state.specOf(one).ports.map((port) => `:${port.hostPort ?? ''}`)} ${one.leaving ?? ''}`)
    .join(', ');
}

function canTake(node: NodeMachine, spec: ServiceSpec): boolean {
  const { init, host } = node;
  if (!init.runtimes.includes(spec.runtime)) return false;
  if (Object.entries(spec.placement.labels).some(([key, value]) => init.labels[key] !== value)) return false;
  if (spec.placement.architecture.length > 0 && !spec.placement.architecture.includes(init.architecture)) return false;
  const taken = [...host.instances.values()].flatMap((one) => one.assignment.spec.ports.map((port) => port.hostPort));
  if (spec.ports.some((port) => port.hostPort !== undefined && taken.includes(port.hostPort))) return false;
  return fits(requirementOf(spec), subtract(init.total, host.reserved()));
}

/** All that is known of an instance, at every level. */
export function describe(world: World, machine: OrchestratorMachine, instance: InstanceRecord): string {
  const core = coreOf(machine);
  const context = core.viewContext(machine.clock.nowMs());
  const view = instanceView(instance, context);
  const report = context.observed.reportOf(instance);
  const link = instance.child === null ? undefined : context.observed.links.get(instance.child);
  const where = world.nodes.filter((node) => node.host.instances.has(instance.id)).map((node) => node.name);
  return [
    `record ${JSON.stringify(instance)}`,
    `shown ${view.state} ${view.reason} ${JSON.stringify(view.refusals)}`,
    `reported ${JSON.stringify(report)}`,
    `link ${link && JSON.stringify({ session: link.session, version: link.version, sent: link.sentVersion, has: link.instances.has(instance.id) })}`,
    `on machines [${where.join(', ')}]`,
  ].join('\n    ');
}
