/**
 * What simulated clients share: registers, as a state machine on a log. A change that is repeated under its key is
 * applied once, and answered as it was the first time.
 */
import type { Model } from '../linearizability.ts';

export type Change =
  | { readonly kind: 'write'; readonly value: number }
  | { readonly kind: 'add'; readonly value: number }
  | { readonly kind: 'swap'; readonly expected: number; readonly value: number };

export interface Command {
  /** Of the question: repeats have the same. */
  readonly key: string;
  /** Of this proposal of it, like no other. */
  readonly attempt: string;
  readonly register: string;
  readonly change: Change;
}

export class Registers {
  /** Applied up to here. */
  index = 0;
  readonly #values = new Map<string, number>();
  readonly #answers = new Map<string, number>();
  /** Changes that were applied, repeats not counted. */
  #applied = 0;

  get applied(): number {
    return this.#applied;
  }

  read(register: string): number {
    return this.#values.get(register) ?? 0;
  }

  /** The value afterwards; of a swap whether it was made, as 1 or 0. */
  apply(index: number, { key, register, change }: Command): number {
    this.index = index;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const before = this.read(register);
    const isRefused = change.kind === 'swap' && change.expected !== before;
    const after = isRefused ? before : change.kind === 'add' ? before + change.value : change.value;
    const answer = change.kind === 'swap' ? Number(!isRefused) : after;
    this.#values.set(register, after);
    this.#answers.set(key, answer);
    this.#applied += 1;
    return answer;
  }

  snapshot(): Uint8Array {
    return encode({ values: [...this.#values], answers: [...this.#answers], applied: this.#applied });
  }

  restore(snapshot: Uint8Array, index: number): void {
    const { values, answers, applied } = JSON.parse(decoder.decode(snapshot));
    this.index = index;
    this.#applied = applied;
    this.#values.clear();
    this.#answers.clear();
    for (const [register, value] of values) this.#values.set(register, value);
    for (const [key, answer] of answers) this.#answers.set(key, answer);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encode(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

export function decodeCommand(data: Uint8Array): Command {
  return JSON.parse(decoder.decode(data));
}

/** A change with what it was answered, if it was; or a read with what it saw. */
export type RegisterOp =
  | { readonly kind: 'change'; readonly change: Change; readonly answer: number | null }
  | { readonly kind: 'read'; readonly value: number };

export const registerModel: Model<number, RegisterOp> = {
  initial: 0,
  step(state, op) {
    if (op.kind === 'read') return op.value === state ? [state] : [];
    const { change, answer } = op;
    if (change.kind === 'swap') {
      const isMade = state === change.expected;
      if (answer !== null && answer !== Number(isMade)) return [];
      return [isMade ? change.value : state];
    }
    const after = change.kind === 'add' ? state + change.value : change.value;
    return answer === null || answer === after ? [after] : [];
  },
  changesNothing: (op) => op.kind === 'read' || (op.change.kind === 'swap' && op.answer === 0),
  keyOf: (state) => String(state),
  describe(op) {
    if (op.kind === 'read') return `read -> ${op.value}`;
    const { change, answer } = op;
    const asked = change.kind === 'swap' ? `${change.expected} to ${change.value}` : `${change.kind} ${change.value}`;
    return `${asked} -> ${answer ?? '?'}`;
  },
};
