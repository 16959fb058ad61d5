/**
 * What must never happen to a log with replicas, as its listeners see it (L1 to L3 of src/ports/log.ts), whatever goes wrong:
 *
 *  - Every replica is given the same entries, under the same indices, in order.
 *  - A proposal is in the log at most once, and never after it was dropped for good.
 *  - A snapshot holds what the entries up to its index say.
 *  - Of a term one replica leads.
 */
import type { Leadership, ProposalFate } from '../../core/model/leadership.ts';
import { SimulationFailure } from '../failure.ts';
import { type Command, Registers } from './registers.ts';
import type { ReplicaMachine } from './replica.ts';

export class RaftCheckers {
  /** As the log says, without faults between. */
  readonly registers = new Registers();
  /** By index. */
  readonly #attempts = new Map<number, string>();
  readonly #indices = new Map<string, number>();
  readonly #dropped = new Set<string>();
  readonly #leaders = new Map<number, string>();
  /** After each entry, the state as text; only the last few, which a snapshot may still be of. */
  readonly #states = new Map<number, string>();

  applied({ id }: ReplicaMachine, index: number, command: Command): void {
    const { attempt } = command;
    const known = this.#attempts.get(index);
    if (known === undefined) this.#add(id, index, command);
    else if (known !== attempt) throw new SimulationFailure(`entry ${index} is ${attempt} at ${id}, and was ${known}`);
  }

  #add(id: string, index: number, command: Command): void {
    const { attempt } = command;
    if (index <= this.registers.index)
      throw new SimulationFailure(`${id} is given ${index}, of which nobody else was told before ${this.registers.index}`);
    const earlier = this.#indices.get(attempt);
    if (earlier !== undefined) throw new SimulationFailure(`${attempt} is in the log at ${earlier} and at ${index}`);
    if (this.#dropped.has(attempt)) throw new SimulationFailure(`${attempt} was dropped for good, and is in the log at ${index}`);
    this.#attempts.set(index, attempt);
    this.#indices.set(attempt, index);
    this.registers.apply(index, command);
    this.#states.set(index, textOf(this.registers));
  }

  holds({ id }: ReplicaMachine, registers: Registers): void {
    const expected = this.#states.get(registers.index);
    const found = textOf(registers);
    if (found !== expected)
      throw new SimulationFailure(`${id} at ${registers.index} holds ${found}\nthe entries say      ${expected ?? 'nothing'}`);
  }

  dropped(command: Command, fate: ProposalFate): void {
    if (fate !== 'never') return;
    const index = this.#indices.get(command.attempt);
    if (index !== undefined) throw new SimulationFailure(`${command.attempt} is dropped for good, and is in the log at ${index}`);
    this.#dropped.add(command.attempt);
  }

  leads({ id }: ReplicaMachine, { term }: Leadership): void {
    const known = this.#leaders.get(term);
    if (known !== undefined && known !== id) throw new SimulationFailure(`${known} and ${id} lead term ${term}`);
    this.#leaders.set(term, id);
  }

  get terms(): number {
    return this.#leaders.size;
  }
}

function textOf(registers: Registers): string {
  return `${registers.applied} ${registers.read('a')} ${registers.read('b')}`;
}
