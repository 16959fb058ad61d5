/**
 * What must never happen, whatever goes wrong; checked as the world moves.
 *
 *  - S1 to S4 of every orchestrator's state (core/orchestrator/state.ts), after every entry.
 *  - D1 to D4: the chain of decision records verifies, whenever it grows; replaying gives the same (with the state).
 *  - A committed entry never changes, and replaying all of them gives the present state.
 *  - An instance id is made once.
 *  - Below one orchestrator no instance runs on two machines.
 *  - Whoever watches an orchestrator sees instances take legal steps only.
 *  - What a watch told, added up, is what the views say.
 */
import { canFollow, type InstanceState } from '../core/model/instance-state.ts';
import { apply } from '../core/orchestrator/apply.ts';
import { decodeCommand } from '../core/orchestrator/commands.ts';
import { assertState, OrchestratorState } from '../core/orchestrator/state.ts';
import { childView, instanceView, serviceView } from '../core/orchestrator/views.ts';
import type { Changed, OrchestratorDriver } from '../node/orchestrator-driver.ts';
import { sha256 } from '../node/sha256.ts';
import type { LogEntry } from '../ports/log.ts';
import { SimulationFailure } from './failure.ts';
import type { OrchestratorMachine } from './machine.ts';
import type { Host } from './runtime.ts';
import type { World } from './world.ts';

/** What is kept of one orchestrator over all its lives. */
interface Record {
  readonly entries: string[];
  readonly made: Set<string>;
  checkedIndex: number;
  /** Of the chain of decision records. */
  checkedTip: string;
  /** As a client sees it that watches the present life. */
  seen: Map<string, InstanceState>;
  shown: Map<string, string>;
}

const decoder = new TextDecoder();

/** It costs as much as all else that an event does. */
export const EVENTS_PER_PLACER_CHECK = 8;

export class Checkers {
  readonly #world: World;
  readonly #records = new Map<OrchestratorMachine, Record>();
  #events = 0;

  constructor(world: World) {
    this.#world = world;
  }

  entrySeen(machine: OrchestratorMachine, entry: LogEntry): void {
    const { entries } = this.#record(machine);
    const text = decoder.decode(entry.data);
    const before = entries[entry.index - 1];
    if (before === undefined) {
      if (entries.length !== entry.index - 1) throw new SimulationFailure(`${machine.name}: entry ${entry.index} comes early`);
      entries.push(text);
      this.#world.trace.add(machine.name, `commits ${entry.index}: ${text.slice(0, 1_000)}`);
    } else if (before !== text) throw new SimulationFailure(`${machine.name}: entry ${entry.index} has changed`);
  }

  driverStarted(machine: OrchestratorMachine, driver: OrchestratorDriver): void {
    const record = this.#record(machine);
    record.seen = new Map();
    record.shown = new Map();
    record.checkedIndex = 0;
    record.checkedTip = '';
    driver.watch({
      changed: (changes) => {
        for (const change of changes) this.#changed(machine, driver, change);
      },
      happened: () => undefined,
    });
  }

  starting(host: Host, id: string): void {
    const parentOf = (name: string): string => (name.includes('/') ? name.slice(0, name.indexOf('/')) : 'root');
    for (const node of this.#world.nodes) {
      if (node.host === host || parentOf(node.name) !== parentOf(host.name)) continue;
      if (node.host.instances.get(id)?.running)
        throw new SimulationFailure(`${id} starts on ${host.name} and runs on ${node.name}`);
    }
  }

  afterEvent(): void {
    this.#events += 1;
    for (const [machine, record] of this.#records) {
      const core = machine.driver?.core;
      if (this.#events % EVENTS_PER_PLACER_CHECK === 0) core?.assertPlacer();
      if (!core || core.logPosition.index === record.checkedIndex) continue;
      record.checkedIndex = core.logPosition.index;
      assertState(core.state);
      const { tip } = core.state.decisions;
      if (tip.hash === record.checkedTip) continue;
      record.checkedTip = tip.hash;
      const { problem } = core.state.decisions.verify(core.state.firstEpoch);
      if (problem) throw new SimulationFailure(`${machine.name}: decision ${problem.number} ${problem.what}`);
    }
  }

  /** A fresh replay of all that was ever committed is what the orchestrator knows now. */
  replay(machine: OrchestratorMachine): void {
    const core = machine.driver?.core;
    if (!core) return;
    const state = new OrchestratorState(sha256);
    const record = this.#record(machine);
    record.made.clear();
    for (const text of record.entries.slice(0, core.logPosition.index)) {
      apply(state, decodeCommand(text));
      for (const { decisions } of decisionsOf(text)) {
        for (const decision of decisions) {
          if (decision.do !== 'create' || !state.instances.has(decision.id)) continue;
          if (record.made.has(decision.id)) throw new SimulationFailure(`${machine.name}: instance ${decision.id} is made twice`);
          record.made.add(decision.id);
        }
      }
    }
    const replayed = JSON.stringify(state);
    const present = JSON.stringify(core.state);
    if (replayed !== present)
      throw new SimulationFailure(`${machine.name}: a replay gives another state\nreplay  ${replayed}\npresent ${present}`);
  }

  /** What a watcher of this life was told last of each thing is how it is now. */
  watched(machine: OrchestratorMachine): void {
    const { driver } = machine;
    if (!driver) return;
    const { state } = driver.core;
    const { shown } = this.#record(machine);
    const names = [
      ...[...state.services.keys()].map((name) => ({ kind: 'service' as const, name })),
      ...[...state.instances.keys()].map((name) => ({ kind: 'instance' as const, name })),
      ...[...state.members.keys()].map((name) => ({ kind: 'child' as const, name })),
    ];
    for (const change of names) {
      const told = shown.get(`${change.kind}/${change.name}`);
      const now = this.#show(machine, driver, change);
      if (told !== undefined && told !== now)
        throw new SimulationFailure(`${machine.name}: a watch has missed a change of ${change.name}\n${difference(told, now)}`);
    }
  }

  #changed(machine: OrchestratorMachine, driver: OrchestratorDriver, change: Changed): void {
    const { seen, shown } = this.#record(machine);
    const shownNow = this.#show(machine, driver, change);
    if (shownNow === null) shown.delete(`${change.kind}/${change.name}`);
    else shown.set(`${change.kind}/${change.name}`, shownNow);
    if (change.kind !== 'instance') return;
    const record = driver.core.state.instances.get(change.name);
    const context = driver.core.viewContext(machine.clock.nowMs());
    const now: InstanceState = record ? instanceView(record, context).state : 'TERMINATED';
    const before = seen.get(change.name);
    if (before !== undefined && !canFollow(before, now))
      throw new SimulationFailure(`${machine.name} shows ${change.name} as ${now} after ${before}`);
    if (record) seen.set(change.name, now);
    else seen.delete(change.name);
  }

  /** A view as text, less what changes with time alone. */
  #show(machine: OrchestratorMachine, driver: OrchestratorDriver, { kind, name }: Changed): string | null {
    const { core } = driver;
    const context = core.viewContext(machine.clock.nowMs());
    if (kind === 'child')
      return core.state.members.has(name) ? JSON.stringify({ ...childView(name, context), lastHeardMs: 0 }) : null;
    if (kind === 'service') {
      const service = core.state.services.get(name);
      return service ? JSON.stringify(serviceView(service, context)) : null;
    }
    const instance = core.state.instances.get(name);
    return instance ? JSON.stringify(instanceView(instance, context)) : null;
  }

  #record(machine: OrchestratorMachine): Record {
    const known = this.#records.get(machine);
    if (known) return known;
    const fresh: Record = { entries: [], made: new Set(), checkedIndex: 0, checkedTip: '', seen: new Map(), shown: new Map() };
    this.#records.set(machine, fresh);
    return fresh;
  }
}

function decisionsOf(text: string) {
  const { command } = decodeCommand(text);
  return command.type === 'decide' ? [command] : [];
}

/** Both texts from a little before they differ. */
function difference(told: string, now: string | null): string {
  const other = now ?? '';
  let at = 0;
  while (at < told.length && told[at] === other[at]) at += 1;
  const from = Math.max(0, at - 80);
  return `told ${told.slice(from, at + 300)}\nnow  ${other.slice(from, at + 300)}`;
}
