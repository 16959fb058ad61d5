/**
 * One run of one seed of a replicated log: questions and faults together, then everything mends, every client has to be
 * answered, and every replica has to come to rest with all there is, and write nothing more. What clients saw has to be
 * explained by one copy that does one thing at a time.
 */
import { assert } from '../../core/base/assert.ts';
import { integerBetween, Prng, pick } from '../../core/base/prng.ts';
import { setLimits } from '../../core/raft/testing/small-limits.ts';
import type { RaftLogComponents } from '../../node/raft-log-components.ts';
import { SimulationFailure } from '../failure.ts';
import { RaftFaults } from './raft-faults.ts';
import { type RaftKnobs, raftKnobsOf } from './raft-knobs.ts';
import { RaftWorld } from './raft-world.ts';
import { RegisterClient } from './register-client.ts';
import { RegisterHistory } from './register-history.ts';

/** After the last fault: back-offs of elections and of dials have grown to seconds. */
const ANSWERED_WITHIN_MS = 180_000;
const CONVERGED_WITHIN_MS = 60_000;
const IDLE_MS = 20_000;

export interface RaftRunResult {
  readonly knobs: RaftKnobs;
  readonly digest: string;
  readonly events: number;
  readonly simulatedMs: number;
  /** Operations that were judged. */
  readonly judged: number;
  /** Terms in which somebody led. */
  readonly terms: number;
  readonly fired: Readonly<Record<string, number>>;
  /** What happened by itself. */
  readonly seen: Readonly<Record<string, number>>;
}

export async function runRaftSeed(
  seed: number,
  frames: RaftLogComponents['frames'],
  print: ((line: string) => void) | null = null,
): Promise<RaftRunResult> {
  const knobs = raftKnobsOf(seed);
  const putBack = setLimits(knobs.limits);
  const world = new RaftWorld(knobs, frames, print);
  try {
    return await play(world);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new SimulationFailure(
      [`seed ${knobs.seed} ${JSON.stringify(knobs)}`, ...world.trace.last().slice(-60), text].join('\n'),
      { cause: error },
    );
  } finally {
    putBack();
  }
}

async function play(world: RaftWorld): Promise<RaftRunResult> {
  const { knobs, clock } = world;
  const random = new Prng(knobs.seed ^ 0xc11e);
  const history = new RegisterHistory(clock);
  for (const machine of world.machines.values()) machine.start();
  const paceMs = (0.7 * knobs.faultsMs) / knobs.questions;
  const clients = Array.from({ length: knobs.clients }, (_, at) => {
    const own = new Prng(integerBetween(random, 0, 2 ** 31));
    return new RegisterClient(world, own, history, { name: `c${at + 1}`, questions: knobs.questions, paceMs });
  });
  for (const client of clients) client.begin();
  const faults = new RaftFaults(world, new Prng(knobs.seed ^ 0xfa17));
  const endMs = clock.nowMs() + knobs.faultsMs;
  while (clock.nowMs() < endMs) {
    await world.run(integerBetween(random, 0, 400));
    if (knobs.faults.length > 0) faults.inject(pick(random, knobs.faults));
  }
  world.trace.add('world', 'everything mends');
  faults.healAll();
  for (const machine of world.machines.values()) machine.start();
  const waiting = (): readonly RegisterClient[] => clients.filter(({ isDone }) => !isDone);
  await world.until(
    () => waiting().length === 0,
    ANSWERED_WITHIN_MS,
    () => `answers to ${waiting().length} clients; ${whyNotConverged(world).join('; ')}`,
  );
  await converge(world);
  history.check();
  for (const machine of world.machines.values()) {
    const server = world.server(machine);
    if (server && server.registers.index === world.checkers.registers.index) world.checkers.holds(machine, server.registers);
  }
  await idle(world);
  for (const { disk } of world.machines.values()) if (disk.tornWrites > 0) world.saw('tornWrite');
  return {
    knobs,
    digest: world.trace.digest(),
    events: world.events,
    simulatedMs: clock.nowMs(),
    judged: history.length,
    terms: world.checkers.terms,
    fired: Object.fromEntries(faults.fired),
    seen: Object.fromEntries(world.seen),
  };
}

async function converge(world: RaftWorld): Promise<void> {
  let reasons: readonly string[] = ['nothing has happened'];
  let checkAtMs = 0;
  await world.until(
    () => {
      if (world.clock.nowMs() < checkAtMs) return false;
      checkAtMs = world.clock.nowMs() + 50;
      removeLost(world);
      reasons = whyNotConverged(world);
      return reasons.length === 0;
    },
    CONVERGED_WITHIN_MS,
    () => `it has not converged: ${reasons.join('; ')}`,
  );
}

/** Who has lost its disk is taken out, as a person would; on demand that is something to decide. */
function removeLost(world: RaftWorld): void {
  const lost = world.newest()?.membership.find(({ id }) => world.machines.get(id)?.isLost);
  if (!lost) return;
  if (world.leader()) world.change({ do: 'remove', id: lost.id });
  else for (const { log } of world.machines.values()) log?.wantLeadership();
}

function whyNotConverged(world: RaftWorld): readonly string[] {
  const status = world.newest();
  if (status === null) return ['no replica runs'];
  const reasons: string[] = [];
  const { index } = world.checkers.registers;
  const isSilent = [...world.machines.values()].some(({ log }) => log?.status?.isPaused);
  if (!world.leader() && !isSilent) reasons.push('nobody leads');
  for (const { id } of status.membership) {
    const machine = world.machine(id);
    if (machine.isLost) reasons.push(`${id} is lost and still a member`);
    const server = world.server(machine);
    const own = machine.log?.status;
    if (!server || !own) reasons.push(`${id} is down`);
    else if (server.registers.index < index)
      reasons.push(`${id}, ${own.role} of term ${own.term}, has applied ${server.registers.index} of ${index}`);
    else if (server.unanswered > 0) reasons.push(`${id} has not answered ${server.unanswered} proposals`);
  }
  return reasons;
}

/** With nothing to do nothing is written; on demand nothing is said. */
async function idle(world: RaftWorld): Promise<void> {
  const membership = world.newest()?.membership ?? [];
  // Whoever was removed and was not told asks for ever; a person switches it off.
  for (const machine of world.machines.values()) if (!membership.some(({ id }) => id === machine.id)) machine.kill(false);
  await world.run(IDLE_MS);
  const before = membership.map(({ id }) => ({ id, ...countsOf(world, id) }));
  await world.run(IDLE_MS);
  for (const { id, syncs, frames } of before) {
    const now = countsOf(world, id);
    assert(now.syncs === syncs, `${id} wrote ${now.syncs - syncs} times while idle`);
    if (world.knobs.leadership === 'on-demand')
      assert(now.frames === frames, `${id} said ${now.frames - frames} things in silence`);
  }
}

function countsOf(world: RaftWorld, id: string): { readonly syncs: number; readonly frames: number } {
  const { disk, frames } = world.machine(id);
  return { syncs: disk.syncs, frames };
}
