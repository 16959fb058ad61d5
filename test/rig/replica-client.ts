/** Asks one replica, once: the command line, and its client, would turn to whichever is there, again and again. */
import { randomUUID } from 'node:crypto';
import * as z from 'zod/mini';
import { applyAnswerSchema } from '../../src/api/schemas.ts';
import { Exchange, Failure } from '../../src/cli/api/exchange.ts';
import type { Target } from '../../src/cli/context/target.ts';
import { type GroupView, groupViewSchema } from '../../src/core/model/replicas.ts';
import type { ServiceResource } from '../../src/core/model/service.ts';
import { type ServiceView, serviceViewSchema } from '../../src/core/model/views.ts';

/** A replica that is stopped by SIGSTOP takes connections and answers nothing. */
const PATIENCE_MS = 1_500;

export class ReplicaClient {
  readonly server: string;
  readonly #exchange: Exchange;
  readonly #over = new AbortController();

  constructor(target: Target) {
    this.server = target.server;
    this.#exchange = new Exchange(target, this.#over.signal);
  }

  /** What became of it at this replica; throws a CodedError. */
  async apply(resource: ServiceResource, key: string = randomUUID(), answerMs = PATIENCE_MS): Promise<string> {
    const options = { body: { resources: [resource] }, headers: { 'idempotency-key': key } };
    const { items } = z.parse(applyAnswerSchema, await this.#ask('POST', '/v1/apply', options, answerMs));
    const [item] = items;
    if (!item) throw new Error('one resource, one answer');
    return item.effect === 'refused' ? (item.error?.code ?? 'refused') : item.effect;
  }

  async service(name: string, answerMs = PATIENCE_MS): Promise<ServiceView> {
    return z.parse(serviceViewSchema, await this.#ask('GET', `/v1/services/${name}`, {}, answerMs));
  }

  /** As this replica sees it. */
  async group(): Promise<GroupView> {
    return z.parse(groupViewSchema, await this.#ask('GET', '/v1/replicas', {}, PATIENCE_MS));
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#exchange.close();
  }

  async #ask(method: string, path: string, options: Parameters<Exchange['json']>[3], answerMs: number): Promise<unknown> {
    try {
      const { body } = await this.#exchange.json(this.server, method, path, options, { connectMs: answerMs, answerMs });
      return body;
    } catch (error) {
      throw error instanceof Failure ? error.error : error;
    }
  }
}
