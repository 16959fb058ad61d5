/**
 * What must never happen in a group, whatever goes wrong; checked as it moves, against one state to which each entry is
 * applied when any replica is first given it.
 *
 *  G1. All replicas are given the same entries under the same indices and miss none; a snapshot is the state at its index.
 *  G2. The core's S1 to S5 hold on every replica; the chain of decision records is the same on all, and verifies.
 *  G3. No child is told of an instance that was not given to it, and none is given to a second child unless the first
 *      refused it; no instance runs on two machines.
 *  G4. What of a patient service has one copy (`solo-`, lostAfter 1h) runs once at a time, unless its node was given up.
 *  G5. A request is carried out once, however often it was asked, and everyone who asked is told the same.
 */
import type { Desired } from '../../core/model/messages.ts';
import { apply } from '../../core/orchestrator/apply.ts';
import type { RequestAnswer } from '../../core/orchestrator/changes.ts';
import { type Command, decodeCommand } from '../../core/orchestrator/commands.ts';
import { assertState, OrchestratorState } from '../../core/orchestrator/state.ts';
import { sha256 } from '../../node/sha256.ts';
import type { LogEntry } from '../../ports/log.ts';
import { EVENTS_PER_PLACER_CHECK } from '../checkers.ts';
import { SimulationFailure } from '../failure.ts';
import type { Host } from '../runtime.ts';
import type { Trace } from '../trace.ts';
import type { ReplicaProcess } from './replica-process.ts';

interface Committed {
  readonly text: string;
  /** Of the state after it. */
  readonly digest: string;
  readonly tip: string;
  /** The entry before. */
  readonly before: number;
}

const decoder = new TextDecoder();

export class GroupCheckers {
  /** As every replica's has to be when it is as far. */
  readonly state = new OrchestratorState(sha256);
  index = 0;
  /** Decisions that gave a child up. */
  losses = 0;
  readonly #trace: Trace;
  readonly #hosts: () => readonly Host[];
  readonly #committed = new Map<number, Committed>();
  readonly #answers = new Map<string, string>();
  /** By instance: the children that it was given to, and how often it was taken back because one refused it. */
  readonly #given = new Map<string, Set<string>>();
  readonly #takenBack = new Map<string, number>();
  readonly #givenUp = new Set<string>();
  readonly #processes = new Map<ReplicaProcess, number>();
  #events = 0;

  constructor(trace: Trace, hosts: () => readonly Host[]) {
    this.#trace = trace;
    this.#hosts = hosts;
  }

  processStarted(process: ReplicaProcess): void {
    this.#processes.set(process, 0);
  }

  /** G1. */
  entrySeen(process: ReplicaProcess, { index, data }: LogEntry): void {
    const text = decoder.decode(data);
    const known = this.#committed.get(index);
    if (known === undefined) this.#firstSeen(process, index, text);
    else if (known.text !== text) throw new SimulationFailure(`${process.machine.name}: entry ${index} is another one`);
    const before = this.#committed.get(index)?.before;
    if (before !== process.deliveredIndex)
      throw new SimulationFailure(
        `${process.machine.name}: entry ${index} comes after ${process.deliveredIndex} instead of ${before}`,
      );
    process.deliveredIndex = index;
  }

  restored(process: ReplicaProcess, snapshot: Uint8Array, index: number): void {
    this.#trace.add(process.machine.name, `is restored to ${index}`);
    const known = this.#committed.get(index);
    if (known?.digest !== sha256(decoder.decode(snapshot)))
      throw new SimulationFailure(`${process.machine.name}: the snapshot of ${index} is not the state at ${index}`);
    process.deliveredIndex = index;
  }

  #firstSeen(process: ReplicaProcess, index: number, text: string): void {
    if (index <= this.index) throw new SimulationFailure(`${process.machine.name}: entry ${index} comes late`);
    this.#trace.add('log', `${index}: ${text.slice(0, 600)}`);
    const logged = decodeCommand(text);
    const key = logged.command.type === 'request' ? logged.command.idempotencyKey : undefined;
    const isRepeated = key !== undefined && this.#answers.has(key);
    const before = isRepeated ? JSON.stringify(this.state) : '';
    const { answer } = apply(this.state, logged);
    if (isRepeated && JSON.stringify(this.state) !== before) throw new SimulationFailure(`${key} was carried out twice`);
    if (key !== undefined) {
      const told = JSON.stringify(answer);
      if (isRepeated && this.#answers.get(key) !== told)
        throw new SimulationFailure(`${key} was answered ${this.#answers.get(key)} and then ${told}`);
      this.#answers.set(key, told);
    }
    assertState(this.state);
    this.#follow(logged.command);
    const tip = this.state.decisions.tip.hash;
    this.#committed.set(index, { text, digest: sha256(JSON.stringify(this.state)), tip, before: this.index });
    this.index = index;
  }

  #follow(command: Command): void {
    if (command.type === 'request' && command.request.type === 'removeChild') this.#givenUpBy(command.request.child);
    for (const decision of command.type === 'decide' ? command.decisions : []) {
      const id = decision.do === 'create' ? decision.id : decision.instance;
      if (decision.do === 'lose') {
        this.#givenUp.add(id);
        this.losses += 1;
      }
      if (decision.do === 'unplace') this.#takenBack.set(id, (this.#takenBack.get(id) ?? 0) + 1);
      const child = this.state.instances.get(id)?.child;
      if (!child) continue;
      const given = this.#given.get(id) ?? new Set();
      this.#given.set(id, given.add(child));
      if (given.size > 1 + (this.#takenBack.get(id) ?? 0))
        throw new SimulationFailure(`${id} was given to ${[...given].join(' and ')}`);
    }
  }

  #givenUpBy(removed: string): void {
    if (!this.state.members.has(removed))
      for (const [id, children] of this.#given) if (children.has(removed)) this.#givenUp.add(id);
  }

  /** G3. */
  told(process: ReplicaProcess, child: string, { set }: Desired): void {
    for (const { id } of set)
      if (!this.#given.get(id)?.has(child))
        throw new SimulationFailure(`${process.machine.name} tells ${child} to run ${id}, which was not given to it`);
  }

  /** G3, G4. */
  starting(host: Host, id: string): void {
    const service = serviceOf(id);
    for (const other of this.#hosts()) {
      if (other === host) continue;
      for (const running of other.running()) {
        if (running === id) throw new SimulationFailure(`${id} starts on ${host.name} and runs on ${other.name}`);
        // One that was given up may run on where nobody could tell it, also after a reboot.
        const isGivenUp = this.#givenUp.has(running) || this.#givenUp.has(id);
        if (service.startsWith('solo-') && serviceOf(running) === service && !isGivenUp)
          throw new SimulationFailure(`${id} starts on ${host.name} while ${running} runs on ${other.name}`);
      }
    }
  }

  /** G5. */
  answered(key: string, answer: RequestAnswer): void {
    const committed = this.#answers.get(key);
    const told = JSON.stringify(answer);
    if (committed !== told) throw new SimulationFailure(`${key} was told ${told}, and ${committed} is what came of it`);
  }

  /** G1 and G2, of what has moved. */
  afterEvent(): void {
    this.#events += 1;
    for (const [process, checkedIndex] of this.#processes) {
      if (!process.life.alive) {
        this.#processes.delete(process);
        continue;
      }
      const { core } = process.driver;
      if (this.#events % EVENTS_PER_PLACER_CHECK === 0) core.assertPlacer();
      const { index } = core.logPosition;
      if (index === checkedIndex) continue;
      this.#processes.set(process, index);
      assertState(core.state);
      if (core.state.decisions.tip.hash !== this.#committed.get(index)?.tip)
        throw new SimulationFailure(`${process.machine.name}: another chain of decision records at ${index}`);
    }
  }

  /** All that a replica knows is what the entries make of it. */
  same(process: ReplicaProcess): void {
    const { core } = process.driver;
    if (core.logPosition.index !== this.index) return; // a learner of a paused group
    const [present, wanted] = [JSON.stringify(core.state), JSON.stringify(this.state)];
    if (present !== wanted)
      throw new SimulationFailure(`${process.machine.name} knows something else\nentries ${wanted}\nreplica ${present}`);
    const { problem } = core.state.decisions.verify(core.state.firstEpoch);
    if (problem) throw new SimulationFailure(`${process.machine.name}: decision ${problem.number} ${problem.what}`);
  }
}

function serviceOf(id: string): string {
  return id.slice(0, id.lastIndexOf('-'));
}
