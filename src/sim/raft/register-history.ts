/** What clients of the registers asked and were answered, to be judged at the end of a run. */
import type { Clock } from '../../ports/clock.ts';
import { SimulationFailure } from '../failure.ts';
import { checkHistory, type Operation } from '../linearizability.ts';
import { type Change, type RegisterOp, registerModel } from './registers.ts';

export class RegisterHistory {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #operations: Operation<RegisterOp>[] = [];
  #lastMs = -1;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  get length(): number {
    return this.#operations.length;
  }

  /** A change counts from the moment it is asked, whether it is ever answered or not. */
  changes(client: string, key: string, change: Change): (answer: number) => void {
    const at = this.#operations.length;
    const op = { kind: 'change', change, answer: null } as const;
    const asked: Operation<RegisterOp> = { client, key, invokedAtMs: this.#momentMs(), returnedAtMs: null, op };
    this.#operations.push(asked);
    return (answer) => {
      this.#operations[at] = { ...asked, returnedAtMs: this.#momentMs(), op: { ...op, answer } };
    };
  }

  /** A read without an answer says nothing. */
  reads(client: string, key: string): (value: number) => void {
    const invokedAtMs = this.#momentMs();
    return (value) => {
      this.#operations.push({ client, key, invokedAtMs, returnedAtMs: this.#momentMs(), op: { kind: 'read', value } });
    };
  }

  /** Fails when no order explains what was answered, and when it cannot be decided. */
  check(): void {
    const found = checkHistory(this.#operations, registerModel);
    if (found.verdict === 'not linearizable') throw new SimulationFailure(found.explanation);
    if (found.verdict === 'undecided')
      throw new SimulationFailure(`${found.key}: whether it is linearizable is undecided after ${found.states} states`);
  }

  /** Later than the one before by at least a microsecond: what came first, came first. */
  #momentMs(): number {
    this.#lastMs = Math.max(this.#clock.nowMs(), this.#lastMs + 0.001);
    return this.#lastMs;
  }
}
