/** The simplest thing that clients can share: a register that is written, read, and swapped if it is as expected. */
import type { Model, Operation } from '../../src/sim/linearizability.ts';

/** What an answer said is undefined when there was none. */
export type RegisterOp =
  | { readonly kind: 'write'; readonly value: number }
  | { readonly kind: 'read'; readonly value: number | undefined }
  | { readonly kind: 'compareAndSet'; readonly expected: number; readonly value: number; readonly ok: boolean | undefined };

export type RegisterOperation = Operation<RegisterOp>;

export const register: Model<number, RegisterOp> = {
  initial: 0,
  step(state, op) {
    switch (op.kind) {
      case 'write':
        return [op.value];
      case 'read':
        return op.value === undefined || op.value === state ? [state] : [];
      case 'compareAndSet': {
        const ok = state === op.expected;
        if (op.ok !== undefined && op.ok !== ok) return [];
        return [ok ? op.value : state];
      }
    }
  },
  // A write of what is there already is none of these: it may be needed after another.
  changesNothing: (op) => op.kind === 'read' || (op.kind === 'compareAndSet' && op.ok === false),
  keyOf: (state) => String(state),
  describe(op) {
    if (op.kind === 'write') return `write ${op.value}`;
    if (op.kind === 'read') return `read -> ${op.value ?? '?'}`;
    return `${op.expected} to ${op.value} -> ${op.ok ?? '?'}`;
  },
};

/** `client`, what it did, from when to when: a line of a story. */
export function did(
  client: string,
  op: RegisterOp,
  invokedAtMs: number,
  returnedAtMs: number | null,
  key = 'x',
): RegisterOperation {
  return { client, key, invokedAtMs, returnedAtMs, op };
}

export const write = (value: number): RegisterOp => ({ kind: 'write', value });
export const read = (value: number | undefined): RegisterOp => ({ kind: 'read', value });
export const swap = (expected: number, value: number, ok: boolean | undefined): RegisterOp => ({
  kind: 'compareAndSet',
  expected,
  value,
  ok,
});
