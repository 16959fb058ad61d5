/**
 * Clients that write all the while, each to a service of its own: the next generation of it, again and again, with one
 * idempotency key a write, at whatever replica answers. So the generation says what became of each write: less than was
 * acknowledged is a lost command, more than was sent is one that was applied twice, and a read that shows less than
 * was acknowledged before it was sent is stale.
 */
import { randomUUID } from 'node:crypto';
import { ApiClient } from '../../src/cli/api/api-client.ts';
import { Transport } from '../../src/cli/api/transport.ts';
import type { Target } from '../../src/cli/context/target.ts';
import { serviceSchema } from '../../src/core/model/service.ts';
import { until } from './until.ts';

/** Of one try: a replica that is stopped by SIGSTOP answers nothing, and another one may. */
const PATIENCE_MS = 1_500;
/** A hang's limit, not a schedule. */
const WRITE_LIMIT_MS = 45_000;

interface Writer {
  readonly service: string;
  acknowledged: number;
  ended: Promise<void>;
}

export class Writers {
  readonly #targets: () => readonly Target[];
  readonly #clients = new Map<string, Connection>();
  readonly #writers: Writer[] = [];
  /** What must not be: reads that showed too little, answers that tell of a second application. */
  readonly violations: string[] = [];
  /** Between two acknowledged writes, whoever wrote them. */
  longestGapMs = 0;
  #lastMs = 0;
  #turn = 0;
  #isOver = false;

  /** `targets`: the replicas that there are at that moment. */
  constructor(targets: () => readonly Target[], prefix: string, count: number) {
    this.#targets = targets;
    this.#lastMs = performance.now();
    for (let number = 1; number <= count; number++) {
      const writer: Writer = { service: `${prefix}-${number}`, acknowledged: 0, ended: Promise.resolve() };
      this.#writers.push(writer);
      writer.ended = this.#run(writer);
      writer.ended.catch(() => undefined); // told by `stop`
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
    await Promise.all([...this.#clients.values()].map(({ client }) => client.close()));
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
    const answer = await this.#ask(({ client }) =>
      client.transport.json('POST', '/v1/apply', { body: { resources: [resource] }, headers: { 'idempotency-key': key } }),
    );
    const { items } = answer as { items: { effect: string; error?: { code: string; message: string } }[] };
    const [{ effect, error } = { effect: 'nothing', error: undefined }] = items;
    if (error?.code === 'unavailable') return false;
    if (effect !== (generation === 1 ? 'created' : 'changed'))
      this.violations.push(`${service}: generation ${generation} was answered with ${effect} ${error?.message ?? ''}`);
    return true;
  }

  /** At any replica; none that answers is an answer, too. */
  async #read(service: string, acknowledged: number): Promise<void> {
    const read = await this.#ask(async ({ client, target }) => ({ ...(await client.service(service)), target })).catch(
      () => null,
    );
    if (read === null || read.generation === acknowledged) return;
    const { server } = read.target;
    this.violations.push(`${service}: generation ${acknowledged} was acknowledged, ${server} shows ${read.generation}`);
  }

  /** The next replica in turn. */
  async #ask<T>(question: (connection: Connection) => Promise<T>): Promise<T> {
    const targets = this.#targets();
    const target = targets[this.#turn++ % targets.length];
    if (!target) throw new Error('no replica runs');
    const connection = this.#clients.get(target.server) ?? open(target);
    this.#clients.set(target.server, connection);
    const patience = setTimeout(() => {
      this.#clients.delete(target.server);
      void connection.client.close();
    }, PATIENCE_MS);
    try {
      return await question(connection);
    } finally {
      clearTimeout(patience);
    }
  }
}

interface Connection {
  readonly client: ApiClient;
  readonly target: Target;
}

function open(target: Target): Connection {
  return { target, client: new ApiClient(new Transport(target, new AbortController().signal, { onlyThis: true })) };
}
