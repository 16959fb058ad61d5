/**
 * An orchestrator above the group: to it the group is a cluster. It wishes services of its own meanwhile, its link with
 * the group breaks and falls silent, and its process dies; in the end what it wishes runs, and it knows of that.
 */
import { integerBetween, Prng, pick } from '../../core/base/prng.ts';
import type { ClientRequest } from '../../core/model/requests.ts';
import { serviceSpecSchema } from '../../core/model/service.ts';
import type { RequestAnswer } from '../../core/orchestrator/changes.ts';
import { sha256 } from '../../node/sha256.ts';
import type { Uplink } from '../../ports/uplink.ts';
import { type MachineComponents, OrchestratorMachine, SECRET_HASH } from '../machine.ts';
import type { Life } from '../machine-clock.ts';
import { machineName } from '../network.ts';
import type { GroupWorld } from './group-world.ts';

const NAME = 'above';
/** The group's, there. */
const CHILD = 'edge';
const RETRY_MS = 5_000;
const REQUESTS = 6;
const FAULTS = 4;

export class GroupParent {
  readonly machine: OrchestratorMachine;
  /** Requests of its users that are not answered yet. */
  asked = 0;
  readonly #world: GroupWorld;
  readonly #random: Prng;
  #isMending = false;
  #keys = 0;

  constructor(world: GroupWorld, components: MachineComponents) {
    this.#world = world;
    this.#random = new Prng(world.knobs.seed ^ 0xab0e);
    const random = new Prng(integerBetween(this.#random, 0, 2 ** 31));
    this.machine = new OrchestratorMachine(
      NAME,
      null,
      components,
      {
        ...{ name: NAME, epoch: `epoch-of-${NAME}`, software: 'simulated', random, policy: 'spread', heartbeatMs: 1_000 },
        ...{ entriesPerSnapshot: world.knobs.entriesPerSnapshot, hash: sha256 },
      },
      { entrySeen: () => undefined, started: () => undefined },
    );
    world.network.addPath(NAME, CHILD, Math.ceil(world.knobs.latencyMs));
  }

  async boot(): Promise<void> {
    this.machine.start();
    const token = { secretHash: SECRET_HASH, role: 'cluster', expiresAtMs: null, uses: null } as const;
    await this.#submit({ type: 'createToken', id: 'clustertok', ...token });
    const joined = { kind: 'cluster', publicKeyFingerprint: CHILD, tokenId: 'clustertok', secretHash: SECRET_HASH } as const;
    await this.#submit({ type: 'registerChild', name: CHILD, ...joined });
  }

  /** Of a replica, in one of its lives. */
  uplink(life: Life): Uplink {
    return this.#world.network.uplink(NAME, CHILD, life);
  }

  replicaDied(isPowerCut: boolean): void {
    this.#world.network.processDied(machineName(NAME, CHILD), isPowerCut);
  }

  /** Wishes and misfortunes, within this time. */
  begin(durationMs: number): void {
    const { clock } = this.#world;
    for (let at = 0; at < REQUESTS; at++)
      clock.startTimer(integerBetween(this.#random, 0, durationMs), () => this.#ask(this.#wish(), () => undefined));
    for (let at = 0; at < FAULTS; at++)
      clock.startTimer(integerBetween(this.#random, 0, durationMs), () => {
        if (!this.#isMending) this.#misfortune();
      });
  }

  mend(): void {
    this.#isMending = true;
    this.#world.network.heal(NAME, CHILD);
    this.machine.start();
  }

  whyNotSettled(): string[] {
    const { driver, clock } = this.machine;
    if (!driver) return [`${NAME} is down`];
    const { state, observed } = driver.core.viewContext(clock.nowMs());
    if (!observed.links.get(CHILD)?.session) return [`${NAME} has no link with the group`];
    const wished = [...state.services.values()].flatMap((service) => {
      const instances = state.instancesOf(service.key);
      const isPresent = service.deleting || instances.length !== service.replicas;
      const problems = isPresent ? [`${NAME}: ${service.key} has ${instances.length} of ${service.replicas}`] : [];
      for (const one of instances)
        if (observed.reportOf(one)?.state !== 'RUNNING' || one.lost || one.leaving !== null)
          problems.push(`${NAME}: ${JSON.stringify(one)} is ${observed.reportOf(one)?.state}`);
      return problems;
    });
    const given = state
      .instancesOn(CHILD)
      .map(({ id }) => id)
      .sort()
      .join();
    const taken = [...this.#world.checkers.state.services.keys()]
      .flatMap((key) => (key.startsWith('parent:') ? [key.slice('parent:'.length)] : []))
      .sort()
      .join();
    return given === taken ? wished : [...wished, `${NAME} has given [${given}], and the group has taken up [${taken}]`];
  }

  #wish(): ClientRequest {
    const random = this.#random;
    const name = pick(random, ['top-a', 'top-b']);
    const roll = random.next();
    if (roll < 0.2) return { type: 'deleteService', name };
    const spec = serviceSpecSchema.parse({
      ...{ runtime: 'process', command: ['serve', String(integerBetween(random, 1, 9))] },
      replicas: integerBetween(random, 1, 3),
      resources: { cpu: 0.1, memory: '16Mi' },
      // The group is not given up while it changes its leader.
      disconnect: { lostAfter: '1h' },
    });
    return { type: 'applyService', name, labels: {}, spec };
  }

  #misfortune(): void {
    const { network, clock } = this.#world;
    const random = this.#random;
    const lastsMs = integerBetween(random, 100, 12_000);
    const fault = pick(random, ['broken', 'silent', 'silentUp', 'killed'] as const);
    if (fault === 'broken') network.break(NAME, CHILD);
    else if (fault === 'killed') {
      this.machine.kill();
      clock.startTimer(lastsMs, () => this.machine.start());
    } else {
      network.block(NAME, CHILD, fault === 'silent' ? ['up', 'down'] : ['up']);
      clock.startTimer(lastsMs, () => network.heal(NAME, CHILD));
    }
  }

  async #submit(request: ClientRequest): Promise<void> {
    let isDone = false;
    this.#ask(request, () => {
      isDone = true;
    });
    await this.#world.until(
      () => isDone,
      60_000,
      () => `${NAME} answers ${request.type}`,
    );
  }

  /** Again and again: it may be down. */
  #ask(request: ClientRequest, done: () => void): void {
    const key = `${NAME}-${++this.#keys}`;
    let isDone = false;
    this.asked += 1;
    const answered = (answer: RequestAnswer): void => {
      if (isDone || (!answer.ok && answer.error.code === 'unavailable')) return;
      isDone = true;
      this.asked -= 1;
      this.#world.trace.add(NAME, `${request.type} ${answer.ok ? answer.value.effect : answer.error.code}`);
      done();
    };
    const ask = (): void => {
      if (isDone) return;
      this.#world.clock.startTimer(RETRY_MS, ask);
      const { driver, ready } = this.machine;
      if (driver && ready) driver.submit(request, key).then(answered, (error: unknown) => this.#world.fail(error));
    };
    // Its first start takes a moment.
    this.#world.clock.startTimer(100, ask);
  }
}
