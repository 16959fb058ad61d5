/**
 * Clients: each keeps some services of one orchestrator, asks for one change after the other, and asks again
 * under the same key when no answer comes. What it was told is done is remembered, to be compared in the end; what
 * it asked of services and was told goes into the history, too.
 */
import { chance, integerBetween, pick, type Random } from '../core/base/prng.ts';
import type { ClientRequest } from '../core/model/requests.ts';
import { type ServiceSpec, serviceSpecSchema } from '../core/model/service.ts';
import type { RequestAnswer } from '../core/orchestrator/changes.ts';
import type { ClientHistory, ServiceQuestion } from './client-history.ts';
import type { OrchestratorMachine } from './machine.ts';
import type { World } from './world.ts';

const RETRY_MS = 1_000;

export class Client {
  readonly at: OrchestratorMachine;
  readonly #world: World;
  readonly #random: Random;
  readonly #name: string;
  readonly #history: ClientHistory;
  readonly services: readonly string[];
  /** What was acknowledged last, by service; null: deleted. */
  readonly promised = new Map<string, ServiceSpec | null>();
  readonly promisedCordons = new Map<string, boolean>();
  #asked = 0;
  #left: number;
  answered = 0;

  constructor(
    { world, random, history }: { readonly world: World; readonly random: Random; readonly history: ClientHistory },
    at: OrchestratorMachine,
    name: string,
    requests: number,
  ) {
    this.#world = world;
    this.#random = random;
    this.#history = history;
    this.at = at;
    this.#name = name;
    this.#left = requests;
    this.services = ['web', 'cam', 'db'].map((one) => `${one}-${name}`);
  }

  get done(): boolean {
    return this.#left === 0;
  }

  /** Asks no more; what is under way is still asked for until it is answered. */
  begin(everyMs: number): void {
    if (this.#left === 0) return;
    const request = this.#think();
    const key = `${this.#name}-${++this.#asked}`;
    const pauseMs = integerBetween(this.#random, 0, 2 * everyMs);
    this.#world.clock.startTimer(pauseMs, () => {
      const question = questionOf(request);
      const answered = question && this.#history.asks(this.#name, question.service, question);
      this.#ask(request, key, (answer) => {
        answered?.(answer);
        this.#remember(request, answer);
        this.#left -= 1;
        this.answered += 1;
        this.begin(everyMs);
      });
    });
  }

  /** What was acknowledged and is not so. */
  broken(): string[] {
    const state = this.at.driver?.core.state;
    if (!state) return [`${this.at.name} is down`];
    const problems: string[] = [];
    for (const [name, spec] of this.promised) {
      const service = state.services.get(name);
      if (spec === null) {
        if (service && !service.deleting) problems.push(`${name} was deleted and is there`);
        continue;
      }
      const now = service?.specs.get(service.generation);
      if (!service || service.deleting) problems.push(`${name} was acknowledged and is not there`);
      else if (
        service.replicas !== spec.replicas ||
        JSON.stringify({ ...now, replicas: 0 }) !== JSON.stringify({ ...spec, replicas: 0 })
      )
        problems.push(`${name} is not as acknowledged`);
    }
    for (const [child, cordoned] of this.promisedCordons)
      if (state.members.get(child)?.cordoned !== cordoned) problems.push(`the cordon of ${child} is not as acknowledged`);
    return problems;
  }

  #ask(request: ClientRequest, key: string, done: (answer: RequestAnswer) => void): void {
    let settled = false;
    const again = (): void => {
      if (settled) return;
      settled = true;
      this.#ask(request, key, done);
    };
    this.#world.clock.startTimer(RETRY_MS, again);
    const { driver } = this.at;
    if (!driver || !this.at.ready) return;
    const answerIsLost = chance(this.#random, 0.1);
    driver.submit(request, key).then(
      (answer) => {
        if (settled || answerIsLost || (!answer.ok && answer.error.code === 'unavailable')) return;
        settled = true;
        this.#world.trace.add(this.#name, `${request.type} ${answer.ok ? answer.value.effect : answer.error.code}`);
        done(answer);
      },
      (error) => this.#world.fail(error),
    );
  }

  #remember(request: ClientRequest, answer: RequestAnswer): void {
    if (!answer.ok) return;
    const now = request.type === 'scaleService' ? this.promised.get(request.name) : null;
    if (request.type === 'applyService') this.promised.set(request.name, request.spec);
    if (request.type === 'deleteService') this.promised.set(request.name, null);
    if (request.type === 'scaleService' && now) this.promised.set(request.name, { ...now, replicas: request.replicas });
    if (request.type === 'cordonChild') this.promisedCordons.set(request.child, request.cordoned);
    if (request.type === 'drainChild' && request.draining) this.promisedCordons.set(request.child, true);
  }

  #think(): ClientRequest {
    const random = this.#random;
    const name = pick(random, this.services);
    const state = this.at.driver?.core.state;
    const children = [...(state?.members.keys() ?? [])];
    const roll = random.next();
    if (roll < 0.4) return { type: 'applyService', name, labels: {}, spec: this.#spec() };
    if (roll < 0.55) return { type: 'scaleService', name, replicas: integerBetween(random, 0, 5) };
    if (roll < 0.65) return { type: 'deleteService', name };
    const child = children.length > 0 ? pick(random, children) : null;
    if (roll < 0.8 || child === null) return this.#migrate(child);
    // Only one client of an orchestrator has a say in its nodes, so that what it was promised holds.
    if (!this.#name.endsWith('0')) return { type: 'scaleService', name, replicas: integerBetween(random, 0, 5) };
    if (roll < 0.87) return { type: 'drainChild', child, draining: chance(random, 0.5) };
    return { type: 'cordonChild', child, cordoned: chance(random, 0.3) };
  }

  #migrate(child: string | null): ClientRequest {
    const random = this.#random;
    const state = this.at.driver?.core.state;
    const instances = [...(state?.instances.values() ?? [])];
    const instance = instances.length > 0 ? pick(random, instances).id : `${pick(random, this.services)}-1`;
    const kind = child === null ? undefined : state?.members.get(child)?.record.kind;
    const node = `n${integerBetween(random, 1, this.#world.knobs.nodesPerCluster)}`;
    if (child === null || chance(random, 0.3)) return { type: 'migrateInstance', instance };
    if (kind === 'node' || chance(random, 0.3))
      return { type: 'migrateInstance', instance, node: kind === 'node' ? child : node };
    return { type: 'migrateInstance', instance, cluster: child, node: chance(random, 0.5) ? node : undefined };
  }

  #spec(): ServiceSpec {
    const random = this.#random;
    const { clusters, nodesPerCluster } = this.#world.knobs;
    const runtime = chance(random, 0.8) ? 'process' : 'container';
    const fixedPort = chance(random, 0.2);
    return serviceSpecSchema.parse({
      runtime,
      ...(runtime === 'process' ? { command: ['serve', String(integerBetween(random, 1, 9))] } : { image: 'busybox' }),
      replicas: integerBetween(random, 0, 4),
      ports: fixedPort
        ? [{ name: 'http', hostPort: 8_000 + integerBetween(random, 0, 3) }]
        : chance(random, 0.5)
          ? [{ name: 'http' }]
          : [],
      resources: { cpu: pick(random, [0.05, 0.3, 0.9, 1.5]), memory: pick(random, ['16Mi', '200Mi', '700Mi']) },
      placement: {
        ...(chance(random, 0.2) ? { labels: { zone: pick(random, ['a', 'b']) } } : {}),
        ...(chance(random, 0.1) ? { node: `n${integerBetween(random, 1, nodesPerCluster)}` } : {}),
        ...(clusters > 0 && chance(random, 0.1) ? { cluster: `c${integerBetween(random, 1, clusters)}` } : {}),
        ...(chance(random, 0.3) ? { policy: pick(random, ['spread', 'best-fit', 'first-fit', 'least-loaded']) } : {}),
      },
      disconnect: {
        ...(chance(random, 0.2) ? { lostAfter: pick(random, ['0s', '1s', '10s', '2m']) } : {}),
        ...(chance(random, 0.2) ? { replace: false } : {}),
        ...(chance(random, 0.2) ? { stopOnNodeAfter: pick(random, ['1s', '20s']) } : {}),
      },
      update: {
        order: fixedPort || chance(random, 0.4) ? 'stop-first' : 'start-first',
        maxParallel: integerBetween(random, 1, 3),
      },
      stopGrace: pick(random, ['0s', '1s', '10s']),
    });
  }
}

/** What a request asks of a service; null when it is about something else. */
function questionOf(request: ClientRequest): (ServiceQuestion & { readonly service: string }) | null {
  if (request.type === 'applyService') return { kind: 'apply', service: request.name, replicas: request.spec.replicas };
  if (request.type === 'scaleService') return { kind: 'scale', service: request.name, replicas: request.replicas };
  return request.type === 'deleteService' ? { kind: 'delete', service: request.name } : null;
}
