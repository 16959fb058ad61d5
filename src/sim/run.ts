/**
 * One run of one seed: boot, requests and faults together, then everything mends and the deployment has to
 * come to rest where it should be (safety always, liveness after: TigerBeetle's simulator), and stay there
 * without writing anything. What clients saw meanwhile has to be explained by one orchestrator that does one thing at
 * a time. At the end it must have been a real test: each fault that was chosen has fired.
 */
import { integerBetween, Prng, pick } from '../core/base/prng.ts';
import { ClientHistory } from './client-history.ts';
import { whyNotConverged } from './convergence.ts';
import { SimulationFailure } from './failure.ts';
import { Faults } from './faults.ts';
import { type Knobs, knobsOf } from './knobs.ts';
import { Reader, type ReadWanted, readApplied } from './readers.ts';
import { Client } from './workload.ts';
import { World } from './world.ts';

/** After the last fault: pauses after refusals and crashes grow to a minute, moves are given up after two. */
const CONVERGED_WITHIN_MS = 600_000;

/** It has converged when nothing moves for this long: a late decision would show. */
const AT_REST_MS = 10_000;

export interface RunResult {
  readonly knobs: Knobs;
  readonly digest: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly requests: number;
  /** Operations on services that were judged, reads included. */
  readonly judged: number;
  readonly fired: Readonly<Record<string, number>>;
  /** From the moment everything was mended to rest. */
  readonly convergedMs: number;
}

export async function runSeed(seed: number, print: ((line: string) => void) | null = null): Promise<RunResult> {
  return await runKnobs(knobsOf(seed), print);
}

/** `read` is how clients read; another one than the real is a bug that has to be found. */
export async function runKnobs(
  knobs: Knobs,
  print: ((line: string) => void) | null = null,
  read = readApplied,
): Promise<RunResult> {
  const world = new World(knobs, print);
  try {
    return await play(world, read);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new SimulationFailure(
      [`seed ${knobs.seed} ${JSON.stringify(knobs)}`, ...world.trace.last().slice(-60), text].join('\n'),
      { cause: error },
    );
  }
}

async function play(world: World, read: ReadWanted): Promise<RunResult> {
  const { knobs, clock } = world;
  const startMs = clock.nowMs();
  await world.boot();
  const random = new Prng(knobs.seed ^ 0xc11e);
  const history = new ClientHistory(clock);
  const clients = world.orchestrators.flatMap((at) =>
    [0, 1].map(
      (n) =>
        new Client({ world, random, history }, at, `${at.name}-${n}`, Math.ceil(knobs.requests / 2 / world.orchestrators.length)),
    ),
  );
  // Chance of their own: what is asked for and what goes wrong does not depend on who looks.
  const readers = clients.map(
    ({ at, services }, n) =>
      new Reader(
        { world, random: new Prng(knobs.seed ^ (0x4ead + n)), history, read },
        at,
        `reader-${at.name}-${n % 2}`,
        services,
      ),
  );
  for (const client of clients) client.begin(knobs.faultsMs / 15);
  const answered = (): boolean => clients.every((client) => client.done);
  for (const reader of readers) reader.begin(knobs.faultsMs / 60, answered);
  const faults = new Faults(world, new Prng(knobs.seed ^ 0xfa17));
  await misfortune(world, faults, random);
  world.trace.add('world', 'everything mends');
  faults.healAll();
  for (const machine of world.machines()) world.start(machine);
  for (const { host } of world.nodes) host.init.startFailureRate = 0;
  await world.until(answered, 600_000, 'clients are answered');
  const mendedMs = clock.nowMs();
  await converge(world);
  const convergedMs = clock.nowMs() - mendedMs;
  for (const client of clients) {
    const broken = client.broken();
    if (broken.length > 0) throw new SimulationFailure(broken.join('\n'));
  }
  history.check();
  await idle(world);
  for (const orchestrator of world.orchestrators) {
    world.checkers.replay(orchestrator);
    world.checkers.watched(orchestrator);
  }
  for (const fault of knobs.faults)
    if (!faults.fired.has(fault) && !faults.withoutVictim.has(fault))
      throw new SimulationFailure(`the fault ${fault} never fired`);
  return {
    knobs,
    digest: world.trace.digest(),
    events: world.events,
    simulatedMs: clock.nowMs() - startMs,
    requests: clients.reduce((sum, client) => sum + client.answered, 0),
    judged: history.operations().length,
    fired: Object.fromEntries(faults.fired),
    convergedMs,
  };
}

/** Every chosen fault in turn, then any of them, until the time is over and each has hit something. */
async function misfortune(world: World, faults: Faults, random: Prng): Promise<void> {
  const { knobs, clock } = world;
  if (knobs.faults.length === 0) {
    await world.run(knobs.faultsMs);
    return;
  }
  const endMs = clock.nowMs() + knobs.faultsMs;
  const pauseMs = knobs.faultsMs / Math.max(10, 2 * knobs.faults.length);
  for (;;) {
    const missing = knobs.faults.filter((fault) => !faults.fired.has(fault));
    const late = clock.nowMs() >= endMs;
    if (late && (missing.length === 0 || clock.nowMs() >= endMs + 20 * 60_000)) return;
    await world.run(integerBetween(random, 0, 2 * pauseMs));
    faults.inject(pick(random, missing.length > 0 ? missing : knobs.faults));
  }
}

/** Lets time pass until the deployment has come to rest; says why it has not. */
export async function converge(world: World, withinMs = CONVERGED_WITHIN_MS): Promise<void> {
  let reasons: string[] = [];
  let checkAtMs = 0;
  let restsSinceMs: number | null = null;
  const converged = (): boolean => {
    if (world.clock.nowMs() < checkAtMs) return false;
    checkAtMs = world.clock.nowMs() + 500;
    reasons = whyNotConverged(world);
    restsSinceMs = reasons.length === 0 ? (restsSinceMs ?? world.clock.nowMs()) : null;
    return restsSinceMs !== null && world.clock.nowMs() - restsSinceMs >= AT_REST_MS;
  };
  await world.until(converged, withinMs, () => `it has not converged:\n${reasons.slice(0, 6).join('\n')}`);
}

/** With nothing to do nothing is written and nothing but heartbeats is said. */
export async function idle(world: World): Promise<void> {
  const retries = retriesExpected(world);
  // What is under way at the moment of convergence may still be acknowledged.
  await world.run(5_000);
  const before = { ...world.network.carried };
  const written = new Map(world.machines().map((machine) => [machine, machine.disk.syncs]));
  await world.run(world.knobs.idleMs);
  for (const machine of retries ? [] : world.machines()) {
    const more = machine.disk.syncs - (written.get(machine) ?? 0);
    if (more > 0) throw new SimulationFailure(`${machine.name} wrote ${more} times while idle`);
  }
  const { others, lastOther, heartbeats } = world.network.carried;
  if (others > before.others && !retries) throw new SimulationFailure(`something was said while idle: ${lastOther}`);
  if (world.nodes.length > 0 && world.knobs.idleMs > 5_000 && heartbeats === before.heartbeats)
    throw new SimulationFailure('no heartbeats while idle');
}

/** What waits is offered to clusters again, if ever more seldom: a refusal may have had reasons that no summary shows. */
function retriesExpected(world: World): boolean {
  const instances = world.root.driver?.core.state.instances.values() ?? [];
  return world.clusters.length > 0 && [...instances].some((instance) => instance.child === null);
}
