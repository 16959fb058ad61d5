/**
 * What clients asked of services and what they were told, kept to be judged at the end of a run: of each service of
 * each orchestrator, how many replicas it should have is one register, however many replicas the orchestrator has.
 */

import type { RequestAnswer } from '../core/orchestrator/changes.ts';
import type { Clock } from '../ports/clock.ts';
import { SimulationFailure } from './failure.ts';
import { checkHistory, type Model, type Operation } from './linearizability.ts';

/** Replicas that a service should have; null: there is no such service, or it is being deleted. */
export type Wanted = number | null;

export type ServiceQuestion =
  | { readonly kind: 'apply'; readonly replicas: number }
  | { readonly kind: 'scale'; readonly replicas: number }
  | { readonly kind: 'delete' };

export type ServiceOp =
  /** Without an answer it is not known what it did, if anything. */
  | { readonly kind: 'change'; readonly question: ServiceQuestion; readonly answer: RequestAnswer | null }
  | { readonly kind: 'read'; readonly wanted: Wanted };

export const serviceModel: Model<Wanted, ServiceOp> = {
  initial: null,
  step(state, op) {
    if (op.kind === 'read') return op.wanted === state ? [state] : [];
    const { question, answer } = op;
    const told = answer === null ? null : answer.ok ? answer.value.effect : answer.error.code;
    if (told !== null && !mayAnswer(state, question, told)) return [];
    // A refusal has changed nothing.
    if (answer !== null && !answer.ok) return [state];
    return [afterwards(state, question)];
  },
  changesNothing: (op) => op.kind === 'read' || (op.answer !== null && !op.answer.ok),
  keyOf: (state) => (state === null ? 'no service' : `${state} replicas`),
  describe(op) {
    if (op.kind === 'read') return `read -> ${serviceModel.keyOf(op.wanted)}`;
    const { question, answer } = op;
    const asked = question.kind === 'delete' ? 'delete' : `${question.kind} to ${question.replicas}`;
    return `${asked} -> ${answer === null ? '?' : answer.ok ? answer.value.effect : answer.error.code}`;
  },
};

function afterwards(state: Wanted, question: ServiceQuestion): Wanted {
  if (question.kind === 'delete') return null;
  if (question.kind === 'scale' && state === null) return null;
  return question.replicas;
}

/** Whether an orchestrator that knows `state` can have said this. */
function mayAnswer(state: Wanted, question: ServiceQuestion, told: string): boolean {
  switch (told) {
    case 'created':
    // Only a service that is being deleted is in the way of another of its name.
    case 'conflict':
      return question.kind === 'apply' && state === null;
    case 'not_found':
      return state === null;
    case 'deleted':
      return state !== null;
    case 'changed':
      return state !== null && !(question.kind === 'scale' && state === question.replicas);
    case 'unchanged':
      return question.kind === 'delete' ? state === null : state === question.replicas;
    default:
      return true;
  }
}

interface Asked {
  readonly client: string;
  readonly key: string;
  readonly invokedAtMs: number;
  readonly question: ServiceQuestion;
  returned: { readonly atMs: number; readonly answer: RequestAnswer } | null;
}

export class ClientHistory {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #startMs: number;
  readonly #asked: Asked[] = [];
  readonly #reads: Operation<ServiceOp>[] = [];
  #lastMs = -1;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  /** A client begins to ask; what it returns is called with the answer, if there ever is one. Repeats are the same question. */
  asks(client: string, key: string, question: ServiceQuestion): (answer: RequestAnswer) => void {
    const asked: Asked = { client, key, invokedAtMs: this.#momentMs(), question, returned: null };
    this.#asked.push(asked);
    return (answer) => {
      asked.returned ??= { atMs: this.#momentMs(), answer };
    };
  }

  /** As `asks`; a read that gets no answer says nothing and is not kept. */
  reading(client: string, key: string): (wanted: Wanted) => void {
    const invokedAtMs = this.#momentMs();
    return (wanted) => {
      this.#reads.push({ client, key, invokedAtMs, returnedAtMs: this.#momentMs(), op: { kind: 'read', wanted } });
    };
  }

  operations(): readonly Operation<ServiceOp>[] {
    const changes = this.#asked.map(({ client, key, invokedAtMs, question, returned }): Operation<ServiceOp> => {
      const op = { kind: 'change', question, answer: returned?.answer ?? null } as const;
      return { client, key, invokedAtMs, returnedAtMs: returned?.atMs ?? null, op };
    });
    return [...changes, ...this.#reads];
  }

  /** Fails when no order explains what was told, and when it cannot be decided. */
  check(): void {
    const found = checkHistory(this.operations(), serviceModel);
    if (found.verdict === 'not linearizable') throw new SimulationFailure(found.explanation);
    if (found.verdict === 'undecided')
      throw new SimulationFailure(`${found.key}: whether it is linearizable is undecided after ${found.states} states`);
  }

  /** The present moment of the run, later than the one before by at least a microsecond: what came first, came first. */
  #momentMs(): number {
    this.#lastMs = Math.max(this.#clock.nowMs() - this.#startMs, this.#lastMs + 0.001);
    return this.#lastMs;
  }
}
