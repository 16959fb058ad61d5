/**
 * A client of a group: it keeps some services, asks any replica for one change after the other, and asks another one
 * under the same key when no answer comes. What it was told is done has to be so in the end.
 */
import { chance, integerBetween, pick, type Random } from '../../core/base/prng.ts';
import type { ClientRequest } from '../../core/model/requests.ts';
import { type ServiceSpec, serviceSpecSchema } from '../../core/model/service.ts';
import type { RequestAnswer } from '../../core/orchestrator/changes.ts';
import { type GroupWorld, isRetried } from './group-world.ts';
import type { ReplicaMachine } from './replica-machine.ts';

/** As long as a user waits before asking elsewhere. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 300;

export class GroupClient {
  /** What was acknowledged last, by service; null: deleted. */
  readonly promised = new Map<string, ServiceSpec | null>();
  answered = 0;
  readonly #world: GroupWorld;
  readonly #random: Random;
  readonly #name: string;
  #asked = 0;
  #left: number;

  constructor(world: GroupWorld, random: Random, name: string, requests: number) {
    this.#world = world;
    this.#random = random;
    this.#name = name;
    this.#left = requests;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  begin(everyMs: number): void {
    if (this.#left === 0) return;
    const request = this.#asked === 0 ? this.#applySolo() : this.#think();
    this.#world.clock.startTimer(integerBetween(this.#random, 0, 2 * everyMs), () =>
      this.ask(request, null, () => {
        this.#left -= 1;
        this.begin(everyMs);
      }),
    );
  }

  /** `first`: at which replica, and then no answer is lost on the way; null: at any. */
  ask(request: ClientRequest, first: ReplicaMachine | null, done: () => void): void {
    const { clock, checkers, trace } = this.#world;
    const key = `${this.#name}-${++this.#asked}`;
    let isDone = false;
    const ask = (at: ReplicaMachine): void => {
      if (isDone) return;
      let isOver = false;
      const again = (): void => {
        if (!isOver) ask(pick(this.#random, this.#world.replicas));
        isOver = true;
      };
      clock.startTimer(PATIENCE_MS, again);
      const isLost = first === null && chance(this.#random, 0.05);
      this.#world.ask(at, { request, key, by: [] }, (answer) => {
        if (isDone || isLost) return;
        if (isRetried(answer)) {
          clock.startTimer(RETRY_MS, again);
          return;
        }
        isDone = true;
        this.answered += 1;
        trace.add(this.#name, `${request.type} by ${at.name}: ${answer.ok ? answer.value.effect : answer.error.code}`);
        checkers.answered(key, answer);
        this.#remember(request, answer);
        done();
      });
    };
    ask(first ?? pick(this.#random, this.#world.replicas));
  }

  applyAtWill(name: string): ClientRequest {
    return { type: 'applyService', name, labels: {}, spec: this.#spec() };
  }

  /** What was acknowledged and is not so. */
  broken(): string[] {
    return [...this.promised].flatMap(([name, spec]) => {
      const service = this.#world.checkers.state.services.get(name);
      if (spec === null) return service && !service.deleting ? [`${name} was deleted and is there`] : [];
      if (!service || service.deleting) return [`${name} was acknowledged and is not there`];
      const now = service.specs.get(service.generation);
      const isSame =
        service.replicas === spec.replicas &&
        JSON.stringify({ ...now, replicas: 0 }) === JSON.stringify({ ...spec, replicas: 0 });
      return isSame ? [] : [`${name} is not as acknowledged`];
    });
  }

  #remember(request: ClientRequest, answer: RequestAnswer): void {
    if (!answer.ok) return;
    if (request.type === 'applyService') this.promised.set(request.name, request.spec);
    if (request.type === 'deleteService') this.promised.set(request.name, null);
    const now = request.type === 'scaleService' ? this.promised.get(request.name) : null;
    if (request.type === 'scaleService' && now) this.promised.set(request.name, { ...now, replicas: request.replicas });
  }

  #applySolo(): ClientRequest {
    const spec = serviceSpecSchema.parse({
      runtime: 'process',
      command: ['serve'],
      replicas: 1,
      disconnect: { lostAfter: '1h' },
      resources: { cpu: 0.1, memory: '16Mi' },
    });
    return { type: 'applyService', name: `solo-${this.#name}`, labels: {}, spec };
  }

  #think(): ClientRequest {
    const random = this.#random;
    const name = `${pick(random, ['web', 'db'])}-${this.#name}`;
    const roll = random.next();
    if (roll < 0.55) return { type: 'applyService', name, labels: {}, spec: this.#spec() };
    if (roll < 0.85) return { type: 'scaleService', name, replicas: integerBetween(random, 0, 4) };
    return { type: 'deleteService', name };
  }

  #spec(): ServiceSpec {
    const random = this.#random;
    return serviceSpecSchema.parse({
      runtime: 'process',
      command: ['serve', String(integerBetween(random, 1, 9))],
      replicas: integerBetween(random, 0, 4),
      ports: chance(random, 0.3) ? [{ name: 'http' }] : [],
      resources: { cpu: pick(random, [0.05, 0.2]), memory: '16Mi' },
      disconnect: chance(random, 0.3) ? { lostAfter: pick(random, ['1s', '10s', '1h']) } : {},
      update: { order: chance(random, 0.5) ? 'stop-first' : 'start-first', maxParallel: integerBetween(random, 1, 3) },
      stopGrace: pick(random, ['0s', '1s']),
    });
  }
}
