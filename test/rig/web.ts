/** A service that answers HTTP, and a client that keeps asking it: any copy that answers will do. */
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { InstanceView } from '../../src/core/model/views.ts';
import type { Deployment, ProcessSpec } from './deployment.ts';

export const WEB_SPEC = {
  command: [process.execPath, join(import.meta.dirname, 'web-server.mjs')],
  ports: [{}],
  resources: { cpu: 0.1, memory: '128Mi' },
} satisfies ProcessSpec;

export interface WebAnswer {
  readonly instance: string;
  readonly version: string;
}

/** null when it does not answer. */
export function askWeb({ endpoints }: Pick<InstanceView, 'endpoints'>): Promise<WebAnswer | null> {
  const [endpoint] = endpoints;
  if (!endpoint) return Promise.resolve(null);
  return new Promise((resolve) => {
    const { address: host, port } = endpoint;
    const asking = request({ host, port, agent: false, timeout: 2_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text) as WebAnswer)).on('error', () => resolve(null));
    });
    asking.on('timeout', () => asking.destroy()).on('error', () => resolve(null));
    asking.end();
  });
}

/** Asks without pause, from the first answer until `stop`, which tells every answer and every moment without one. */
export class WebUser {
  readonly answers: WebAnswer[] = [];
  readonly gaps: string[] = [];
  readonly #deployment: Deployment;
  readonly #orchestrator: string;
  readonly #service: string;
  #known: readonly InstanceView[] = [];
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(deployment: Deployment, orchestrator: string, service: string) {
    this.#deployment = deployment;
    this.#orchestrator = orchestrator;
    this.#service = service;
  }

  async start(): Promise<void> {
    await this.#deployment.until(`${this.#service} answers`, () => this.#askFresh(), 10_000);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const answer = (await this.#askKnown()) ?? (await this.#askFresh());
      if (answer) this.answers.push(answer);
      else this.gaps.push(this.#known.map(({ id, state }) => `${id} ${state}`).join(', '));
      await delay(5);
    }
  }

  /** Where it was last known to be. */
  async #askKnown(): Promise<WebAnswer | null> {
    for (const instance of this.#known) {
      const answer = await askWeb(instance);
      if (answer) return answer;
    }
    return null;
  }

  async #askFresh(): Promise<WebAnswer | null> {
    this.#known = await this.#deployment.api(this.#orchestrator).instances(this.#service);
    return this.#askKnown();
  }
}
