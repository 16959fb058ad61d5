/**
 * A part of a bench that runs in a process of its own, so that what is measured and what measures it do not share an
 * event loop: this program once more, with the part's name. It is asked over the pipe between the two, and ends with it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { assert, must } from '../../src/core/base/assert.ts';
import { ROOT } from '../root.ts';

/** Word before the name of a part, on the command line. */
export const PART = 'part';

export interface Question {
  readonly number: number;
  readonly about: string;
  readonly value: unknown;
}

export type Reply = { readonly number: number } & ({ readonly value: unknown } | { readonly error: string });

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

export class Part {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #lastNumber = 0;
  #over: string | null = null;

  /** `nodeFlags`: to look at it with Node's profiler, say. */
  constructor(name: string, nodeFlags: readonly string[] = []) {
    this.name = name;
    this.#child = fork(must(process.argv[1], 'the path of this program'), [PART, name], {
      cwd: ROOT,
      execArgv: [...nodeFlags],
      serialization: 'advanced',
      env: { ...process.env, NODE_OPTIONS: undefined, NODE_EXTRA_CA_CERTS: undefined },
    });
    this.#child.on('message', (reply: Reply) => this.#replied(reply));
    this.#child.on('exit', (code, signal) => this.#ended(`${name} has ended (${code ?? signal})`));
    this.#child.on('error', (error) => this.#ended(`${name}: ${error.message}`));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask<T>(about: string, value: unknown = null): Promise<T> {
    if (this.#over !== null) return Promise.reject(new Error(this.#over));
    const number = ++this.#lastNumber;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#child.send({ number, about, value } satisfies Question, (error) => {
        if (error) this.#waiting.delete(number) && reject(error);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Lets it end by itself: what it was to write at its end, such as a profile, is written. */
  async end(): Promise<void> {
    if (this.#over !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  /** Also one that does not listen any more. */
  async kill(): Promise<void> {
    if (this.#over !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  #replied(reply: Reply): void {
    const waiting = this.#waiting.get(reply.number);
    this.#waiting.delete(reply.number);
    assert(waiting !== undefined, `${this.name} answers what was asked`);
    if ('error' in reply) waiting.reject(new Error(`${this.name}: ${reply.error}`));
    else waiting.resolve(reply.value as never);
  }

  #ended(reason: string): void {
    this.#over ??= reason;
    for (const { reject } of this.#waiting.values()) reject(new Error(this.#over));
    this.#waiting.clear();
  }
}
