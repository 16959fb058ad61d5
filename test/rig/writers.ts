/**
 * Clients that write all the while, each to a service of its own: the next generation of it, again and again, with one
 * idempotency key a write, at whatever replica answers. So the generation says what became of each write: less than was
 * acknowledged is a lost command, more than was sent is one that was applied twice, and a read that shows less than
 * was acknowledged before it was sent is stale. (On demand a replica that is cut off may be behind: docs/replicas.md.)
 */
import { randomUUID } from 'node:crypto';
import { serviceSchema } from '../../src/core/model/service.ts';
import type { ReplicaClient } from './replica-client.ts';
import { until } from './until.ts';

/** A hang's limit, not a schedule. */
const WRITE_LIMIT_MS = 45_000;

interface Writer {
  readonly service: string;
  acknowledged: number;
  ended: Promise<void>;
}

export class Writers {
  readonly #replicas: () => readonly ReplicaClient[];
  readonly #mayBeBehind: boolean;
  readonly #writers: Writer[] = [];
  /** What must not be: reads that showed too little, answers that tell of a second application. */
  readonly violations: string[] = [];
  /** Between two acknowledged writes, whoever wrote them. */
  longestGapMs = 0;
  #lastMs = 0;
  #turn = 0;
  #isOver = false;

  /** `replicas`: those that there are at that moment; `mayBeBehind`: a replica may show less than was acknowledged. */
  constructor(replicas: () => readonly ReplicaClient[], prefix: string, count: number, mayBeBehind: boolean) {
    this.#replicas = replicas;
    this.#mayBeBehind = mayBeBehind;
    this.#lastMs = performance.now();
    for (let number = 1; number <= count; number++) {
      const writer: Writer = { service: `${prefix}-${number}`, acknowledged: 0, ended: Promise.resolve() };
      this.#writers.push(writer);
      writer.ended = this.#run(writer);
      writer.ended.catch((error: unknown) => this.violations.push(`${writer.service} gave up: ${String(error)}`));
    }
  }

  get acknowledged(): number {
    return this.#writers.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  }

  /** Resolves when each of them has had `count` more acknowledged: the group works. */
  async progress(what: string, count = 3, boundMs = 30_000): Promise<void> {
    const before = this.#writers.map(({ acknowledged }) => acknowledged);
    await until(
      `${what}: every client goes on writing`,
      () => {
        const [broken] = this.violations;
        if (broken !== undefined) throw new Error(broken);
        return this.#writers.every(({ acknowledged }, index) => acknowledged >= (before[index] ?? 0) + count);
      },
      boundMs,
    );
  }

  /** Resolves when none writes any more, with what was acknowledged: generation by service. */
  async stop(): Promise<ReadonlyMap<string, number>> {
    this.#isOver = true;
    await Promise.all(this.#writers.map(({ ended }) => ended));
    return new Map(this.#writers.map(({ service, acknowledged }) => [service, acknowledged]));
  }

  async #run(writer: Writer): Promise<void> {
    const { service } = writer;
    while (!this.#isOver) {
      const generation = writer.acknowledged + 1;
      const key = randomUUID();
      await until(`${service} has generation ${generation}`, () => this.#write(service, generation, key), WRITE_LIMIT_MS);
      const nowMs = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastMs);
      this.#lastMs = nowMs;
      writer.acknowledged = generation;
      await this.#read(service, generation);
    }
  }

  async #write(service: string, generation: number, key: string): Promise<boolean> {
    const spec = { runtime: 'process', command: ['sleep', '1'], replicas: 0, env: { GENERATION: String(generation) } };
    const resource = serviceSchema.parse({ apiVersion: 'tendril/v1', kind: 'Service', metadata: { name: service }, spec });
    const effect = await this.#next().apply(resource, key);
    if (effect === 'unavailable') return false;
    if (effect !== (generation === 1 ? 'created' : 'changed'))
      this.violations.push(`${service}: generation ${generation} was answered with ${effect}`);
    return true;
  }

  /** At any replica; none that answers is an answer, too. */
  async #read(service: string, acknowledged: number): Promise<void> {
    const replica = this.#next();
    const read = await replica.service(service).catch(() => null);
    if (read === null || read.generation === acknowledged) return;
    if (this.#mayBeBehind && read.generation < acknowledged) return;
    this.violations.push(`${service}: ${acknowledged} was acknowledged, ${replica.server} shows generation ${read.generation}`);
  }

  #next(): ReplicaClient {
    const replicas = this.#replicas();
    const replica = replicas[this.#turn++ % replicas.length];
    if (!replica) throw new Error('no replica runs');
    return replica;
  }
}
