/** Whether a group has come to where it should be, and if not, why. */

import type { GroupWorld } from './group-world.ts';
import type { ReplicaProcess } from './replica-process.ts';

/** Nothing: it has converged. */
export function whyNotSettled(world: GroupWorld): string[] {
  const down = world.machines().filter((machine) => !machine.up);
  if (down.length > 0) return down.map(({ name }) => `${name} is down`);
  const processes = world.replicas.flatMap(({ process }) => process ?? []);
  return [
    ...ofGroup(world, processes),
    ...ofServices(world),
    ...ofNodes(world, processes),
    ...(world.parent?.whyNotSettled() ?? []),
  ];
}

function ofGroup(world: GroupWorld, processes: readonly ReplicaProcess[]): string[] {
  const problems: string[] = [];
  const wanted = [...world.checkers.state.replicas.values()].map(({ id, role }) => `${id} ${role}`).sort();
  const voters = processes.filter(({ isVoter }) => isVoter);
  const isPaused = voters.every(({ log }) => log.status?.isPaused);
  const leaders = processes.filter(({ driver }) => driver.core.leads);
  if (!isPaused && leaders.length !== 1) problems.push(`${leaders.length} replicas lead`);
  for (const { machine, log, driver, membership } of processes) {
    const { name } = machine;
    const status = log.status;
    // A learner that starts while the group is paused hears of nobody, and catches up when somebody leads again.
    if (isPaused && status?.isPaused === false) continue;
    const group = membership.map(({ id, role }) => `${id} ${role}`).sort();
    if (group.join() !== wanted.join())
      problems.push(`${name}: the group is ${group.join(', ')} and shall be ${wanted.join(', ')}`);
    const { index } = driver.core.logPosition;
    if (index !== world.checkers.index) problems.push(`${name} is at ${index} of ${world.checkers.index}`);
    const [leader] = leaders;
    if (leader && status?.leader !== leader.machine.id)
      problems.push(`${name}: ${status?.leader} leads term ${status?.term}, and it is ${leader.machine.id}`);
  }
  return problems;
}

function ofServices({ checkers: { state } }: GroupWorld): string[] {
  return [...state.services.values()].flatMap((service) => {
    const instances = state.instancesOf(service.key);
    const problems: string[] = [];
    if (service.deleting) problems.push(`${service.key} is still being deleted`);
    else if (instances.length !== service.replicas)
      problems.push(`${service.key} has ${instances.length} of ${service.replicas}`);
    for (const one of instances)
      if (one.child === null || one.leaving !== null || one.lost || one.generation !== service.generation)
        problems.push(`${one.id}: ${JSON.stringify(one)}`);
    return problems;
  });
}

/** Each has a link with who serves it, and runs what it was given. */
function ofNodes(world: GroupWorld, processes: readonly ReplicaProcess[]): string[] {
  const { state } = world.checkers;
  return world.machines().flatMap(({ name, host }) => {
    if (!state.members.has(name))
      return host.running().length > 0 ? [`${name} is no member and runs ${host.running().join()}`] : [];
    const links = processes.flatMap(({ driver, machine }) => {
      const link = driver.core.viewContext(machine.clock.nowMs()).observed.links.get(name);
      return link?.session && link.via === null ? [machine.name] : [];
    });
    const problems = links.length === 0 ? [`${name} has no link with any replica`] : [];
    const given = state
      .instancesOn(name)
      .map(({ id }) => id)
      .sort();
    const runs = host.running().sort();
    if (given.join() !== runs.join()) problems.push(`${name} was given [${given.join(', ')}] and runs [${runs.join(', ')}]`);
    return problems;
  });
}
