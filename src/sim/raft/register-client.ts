/**
 * A client of a replicated log: one question after the other, each repeated under its key until it is answered, at
 * whichever replica it thinks of next. Questions and answers take their time, and some are lost.
 */
import { chance, integerBetween, pick, type Random } from '../../core/base/prng.ts';
import type { RaftWorld } from './raft-world.ts';
import type { RegisterHistory } from './register-history.ts';
import type { Reply } from './register-server.ts';
import type { Change, Command } from './registers.ts';

const REGISTERS = ['a', 'b'] as const;
/** A client that hears nothing for this long asks another replica. */
const PATIENCE_MS = [300, 2_000] as const;

export interface ClientInit {
  readonly name: string;
  readonly questions: number;
  /** The mean pause between an answer and the next question. */
  readonly paceMs: number;
}

export class RegisterClient {
  readonly #world: RaftWorld;
  readonly #random: Random;
  readonly #history: RegisterHistory;
  readonly #init: ClientInit;
  #left: number;
  #number = 0;
  #attempts = 0;
  /** Whom it asks next; null: anyone. */
  #next: string | null = null;

  constructor(world: RaftWorld, random: Random, history: RegisterHistory, init: ClientInit) {
    this.#world = world;
    this.#random = random;
    this.#history = history;
    this.#init = init;
    this.#left = init.questions;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  begin(): void {
    this.#world.clock.startTimer(2 * this.#init.paceMs * this.#random.next(), () => this.#ask());
  }

  #ask(): void {
    const register = pick(this.#random, REGISTERS);
    this.#number += 1;
    const key = `${this.#init.name}-${this.#number}`;
    if (chance(this.#random, 0.4)) {
      const answered = this.#history.reads(this.#init.name, register);
      this.#repeat((to, reply) => to.read(register, reply), answered);
      return;
    }
    const change = this.#change();
    const answered = this.#history.changes(this.#init.name, register, change);
    this.#repeat((to, reply) => {
      this.#attempts += 1;
      const command: Command = { key, attempt: `${this.#init.name}/${this.#attempts}`, register, change };
      to.change(command, reply);
    }, answered);
  }

  #change(): Change {
    const value = integerBetween(this.#random, 1, 5);
    const kind = pick(this.#random, ['write', 'add', 'swap'] as const);
    return kind === 'swap' ? { kind, expected: integerBetween(this.#random, 0, 5), value } : { kind, value };
  }

  #repeat(ask: Parameters<RaftWorld['ask']>[1], answered: (answer: number) => void): void {
    let isOver = false;
    const over = (): boolean => {
      const was = isOver;
      isOver = true;
      return was;
    };
    // Mostly whoever was of use last.
    const isKnown = this.#next !== null && chance(this.#random, 0.8);
    const to = isKnown && this.#next !== null ? this.#next : pick(this.#random, [...this.#world.machines.keys()]);
    const [minMs, maxMs] = PATIENCE_MS;
    this.#world.clock.startTimer(integerBetween(this.#random, minMs, maxMs), () => {
      if (over()) return;
      this.#next = null;
      this.#repeat(ask, answered);
    });
    this.#world.ask(to, ask, (reply: Reply) => {
      if (over()) return;
      if (reply.type === 'done') {
        this.#next = to;
        answered(reply.answer);
        this.#left -= 1;
        if (this.#left > 0) this.begin();
        return;
      }
      this.#next = reply.leader;
      // Nobody leads: it takes them a moment to change that.
      const pauseMs = reply.leader === null ? integerBetween(this.#random, 10, 200) : 0;
      this.#world.clock.startTimer(pauseMs, () => this.#repeat(ask, answered));
    });
  }
}
