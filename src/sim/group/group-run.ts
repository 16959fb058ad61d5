/**
 * One run of one seed: a group grows from its founder, requests and faults come together, then everything mends and it
 * has to come to rest where it should be. At rest it says nothing on demand and writes nothing; each replica gets a
 * request done, and all at once; leaders change, and nothing starts anew because of it.
 */
import { integerBetween, Prng, pick } from '../../core/base/prng.ts';
import type { Leadership } from '../../core/model/replicas.ts';
import { UNSEEN_LOST_AFTER_MS } from '../../core/orchestrator/reconcile.ts';
import type { RaftLogComponents } from '../../node/raft-log-components.ts';
import { SimulationFailure } from '../failure.ts';
import { GroupClient } from './group-client.ts';
import { whyNotSettled } from './group-convergence.ts';
import { GroupFaults } from './group-faults.ts';
import { type GroupKnobs, groupKnobsOf } from './group-knobs.ts';
import { GroupWorld } from './group-world.ts';
import type { ReplicaMachine } from './replica-machine.ts';

/** Pauses of what crashed grow to a minute. */
const SETTLED_WITHIN_MS = 180_000;
const AT_REST_MS = 5_000;
const ANSWERED_WITHIN_MS = 30_000;
const IDLE_MS = 20_000;
/** For elections of those that have begun to observe late. */
const ALARMS_MS = 15_000;

export interface GroupResult {
  readonly knobs: GroupKnobs;
  readonly digest: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly requests: number;
  readonly fired: Readonly<Record<string, number>>;
  readonly settledMs: number;
}

type Frames = RaftLogComponents['frames'];
type Print = ((line: string) => void) | null;

export async function runGroupSeed(seed: number, mode: Leadership, frames: Frames, print: Print = null): Promise<GroupResult> {
  return await runGroup(groupKnobsOf(seed, mode), frames, print);
}

export async function runGroup(knobs: GroupKnobs, frames: Frames, print: Print = null): Promise<GroupResult> {
  const world = new GroupWorld(knobs, frames, print);
  try {
    return await play(world);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new SimulationFailure(
      [`seed ${knobs.seed} ${JSON.stringify(knobs)}`, ...world.trace.last().slice(-60), text].join('\n'),
      {
        cause: error,
      },
    );
  }
}

async function play(world: GroupWorld): Promise<GroupResult> {
  const { knobs, clock } = world;
  const startMs = clock.nowMs();
  await world.boot();
  await settle(world);
  const random = new Prng(knobs.seed ^ 0xc11e);
  const clients = Array.from({ length: knobs.clients }, (_, at) => new GroupClient(world, random, `c${at + 1}`, knobs.requests));
  for (const client of clients) client.begin(knobs.faultsMs / knobs.requests);
  world.parent?.begin(knobs.faultsMs);
  const faults = new GroupFaults(world, new Prng(knobs.seed ^ 0xfa17));
  await misfortune(world, faults);
  world.trace.add('world', 'everything mends');
  faults.healAll();
  world.parent?.mend();
  const mendedMs = clock.nowMs();
  for (const machine of world.machines()) if (machine.up || !('lives' in machine) || machine.lives > 0) machine.start();
  const isAnswered = (): boolean =>
    faults.asked === 0 && (world.parent?.asked ?? 0) === 0 && clients.every(({ isDone }) => isDone);
  await world.until(isAnswered, SETTLED_WITHIN_MS, () => 'clients are answered');
  await settle(world, faults);
  const settledMs = clock.nowMs() - mendedMs;
  await idle(world);
  await everyGateway(world, clients);
  await settle(world);
  await leadersChange(world, random);
  await settle(world);
  for (const { process } of world.replicas) if (process) world.checkers.same(process);
  const broken = clients.flatMap((client) => client.broken());
  if (broken.length > 0) throw new SimulationFailure(broken.join('\n'));
  return {
    knobs,
    digest: world.trace.digest(),
    events: world.events,
    simulatedMs: clock.nowMs() - startMs,
    requests: clients.reduce((sum, { answered }) => sum + answered, 0),
    fired: Object.fromEntries(faults.fired),
    settledMs,
  };
}

async function misfortune(world: GroupWorld, faults: GroupFaults): Promise<void> {
  const { knobs, clock } = world;
  const random = new Prng(knobs.seed ^ 0x50e5);
  const endMs = clock.nowMs() + knobs.faultsMs;
  const pauseMs = knobs.faultsMs / Math.max(8, 1.5 * knobs.faults.length);
  while (clock.nowMs() < endMs) {
    await world.run(integerBetween(random, 0, 2 * pauseMs));
    faults.clear();
    const missing = knobs.faults.filter((fault) => !faults.fired.has(fault));
    if (knobs.faults.length > 0) faults.inject(pick(random, missing.length > 0 ? missing : knobs.faults));
  }
}

/** Lets time pass until the group has come to rest; says why it has not. */
export async function settle(world: GroupWorld, faults: GroupFaults | null = null): Promise<void> {
  let reasons: string[] = [];
  let lookAtMs = 0;
  let restsSinceMs: number | null = null;
  const isSettled = (): boolean => {
    const nowMs = world.clock.nowMs();
    if (nowMs < lookAtMs) return false;
    lookAtMs = nowMs + 500;
    faults?.clear();
    reasons = whyNotSettled(world);
    restsSinceMs = reasons.length === 0 ? (restsSinceMs ?? nowMs) : null;
    return restsSinceMs !== null && nowMs - restsSinceMs >= AT_REST_MS;
  };
  await world.until(isSettled, SETTLED_WITHIN_MS, () => `it has not settled:\n${reasons.slice(0, 8).join('\n')}`);
}

/**
 * Nobody writes; on demand not one frame goes between replicas. A replica that has started while the group was paused
 * takes children that it never heard of for lost, and hears from the votes of its election that others have them: after
 * that it is quiet.
 */
async function idle(world: GroupWorld): Promise<void> {
  const isOnDemand = world.knobs.leadership === 'on-demand';
  if (isOnDemand) await world.run(UNSEEN_LOST_AFTER_MS + ALARMS_MS);
  await world.run(2_000); // the last acknowledgements
  const before = world.replicas.map(({ frames }) => frames);
  const written = world.machines().map(({ disk }) => disk.syncs);
  await world.run(IDLE_MS);
  for (const [at, { name, process, frames }] of world.replicas.entries()) {
    if (!isOnDemand) continue;
    if (process?.isVoter && !process.log.status?.isPaused) throw new SimulationFailure(`${name} has not paused`);
    const sent = frames - (before[at] ?? 0);
    if (sent > 0) throw new SimulationFailure(`${name} sent ${sent} frames while the group was paused`);
  }
  for (const [at, { name, disk }] of world.machines().entries())
    if (disk.syncs !== written[at]) throw new SimulationFailure(`${name} wrote while idle`);
}

/** Each replica gets a request done, one after the other, then all of them at once. */
async function everyGateway(world: GroupWorld, clients: readonly GroupClient[]): Promise<void> {
  const [client] = clients;
  if (!client) return;
  let open = 0;
  const isAnswered = (): boolean => open === 0;
  const ask = (at: number): void => {
    const replica = world.replicas[at];
    open += 1;
    client.ask(client.applyAtWill(`each${at}`), replica ?? null, () => {
      open -= 1;
    });
  };
  for (const at of world.replicas.keys()) {
    ask(at);
    await world.until(isAnswered, ANSWERED_WITHIN_MS, () => `a request to ${world.replicas[at]?.name} is answered`);
    await world.run(3_000);
  }
  for (const at of world.replicas.keys()) ask(at);
  await world.until(isAnswered, ANSWERED_WITHIN_MS, () => 'requests to all replicas at once are answered');
}

/** Another one leads, because the leader's process was killed or has handed over; no instance starts for it. */
async function leadersChange(world: GroupWorld, random: Prng): Promise<void> {
  const starts = (): number => world.machines().reduce((sum, { host }) => sum + startsOn(host), 0);
  const before = { starts: starts(), losses: world.checkers.losses };
  for (const how of ['kill', 'handOver'] as const) {
    const { leader } = world.newest();
    const machine = leader ?? pick(random, world.replicas);
    if (how === 'kill') {
      machine.kill();
      await world.run(500); // less than the shortest patience of a service
      machine.start();
    } else await handOver(world, machine);
    await settle(world);
  }
  if (starts() !== before.starts)
    throw new SimulationFailure(`${starts() - before.starts} instances started when leaders changed`);
  if (world.checkers.losses !== before.losses) throw new SimulationFailure('a child was given up when leaders changed');
}

/** As a replica does before it is stopped. */
async function handOver(world: GroupWorld, { process, name }: ReplicaMachine): Promise<void> {
  let isOver = false;
  process?.keeper.handOver().then(
    () => {
      isOver = true;
    },
    (error: unknown) => world.fail(error),
  );
  await world.until(
    () => isOver,
    ANSWERED_WITHIN_MS,
    () => `${name} hands over`,
  );
}

function startsOn(host: { readonly starts: ReadonlyMap<string, { readonly starts: number }> }): number {
  return [...host.starts.values()].reduce((sum, { starts }) => sum + starts, 0);
}
