/** Clients that only look: how many replicas each service should have, as their orchestrator says. */
import { integerBetween, pick, type Random } from '../core/base/prng.ts';
import type { ClientHistory, Wanted } from './client-history.ts';
import type { OrchestratorMachine } from './machine.ts';
import type { World } from './world.ts';

/** Reads through one orchestrator; undefined when it does not answer. It may take its time. */
export type ReadWanted = (at: OrchestratorMachine, service: string) => Promise<Wanted | undefined>;

/** As the API does it: what the orchestrator has applied. */
export const readApplied: ReadWanted = async (at, service) => {
  if (!at.driver || !at.ready) return undefined;
  const found = at.driver.core.state.services.get(service);
  return found && !found.deleting ? found.replicas : null;
};

export class Reader {
  readonly #world: World;
  readonly #random: Random;
  readonly #history: ClientHistory;
  readonly #read: ReadWanted;
  readonly #at: OrchestratorMachine;
  readonly #services: readonly string[];
  readonly #name: string;

  constructor(
    { world, random, history, read }: { world: World; random: Random; history: ClientHistory; read: ReadWanted },
    at: OrchestratorMachine,
    name: string,
    services: readonly string[],
  ) {
    this.#world = world;
    this.#random = random;
    this.#history = history;
    this.#read = read;
    this.#at = at;
    this.#name = name;
    this.#services = services;
  }

  /** Reads one after the other until `done`. */
  begin(everyMs: number, done: () => boolean): void {
    this.#world.clock.startTimer(integerBetween(this.#random, 0, 2 * everyMs), () => {
      if (done()) return;
      const service = pick(this.#random, this.#services);
      const answered = this.#history.reading(this.#name, service);
      this.#read(this.#at, service).then(
        (wanted) => {
          if (wanted !== undefined) answered(wanted);
          this.begin(everyMs, done);
        },
        (error) => this.#world.fail(error),
      );
    });
  }
}
