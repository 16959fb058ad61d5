/** Follows the instances of one orchestrator over its API, and says when something became so. */
import type { ApiClient } from '../src/cli/api/api-client.ts';
import type { InstanceView } from '../src/core/model/views.ts';

type Condition = (instances: readonly InstanceView[]) => boolean;

interface Waiter {
  readonly holds: () => boolean;
  readonly resolve: (atMs: number) => void;
}

export class InstanceWatch {
  readonly #instances = new Map<string, InstanceView>();
  readonly #waiters = new Set<Waiter>();

  /** Resolves when everything that is there has been told. It ends with the client. */
  static async open(client: ApiClient): Promise<InstanceWatch> {
    const watch = new InstanceWatch();
    await new Promise<void>((resolve, reject) => {
      watch.#follow(client, resolve).then(() => reject(new Error('the watch ended')), reject);
    });
    return watch;
  }

  of(service: string): InstanceView[] {
    return [...this.#instances.values()].filter((instance) => instance.service === service);
  }

  /** When (`performance.now()`) the service's instances first met the condition, at this end of the watch. */
  until(what: string, service: string, condition: Condition, limitMs = 60_000): Promise<number> {
    const holds = () => condition(this.of(service));
    if (holds()) return Promise.resolve(performance.now());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new Error(`${what}: not within ${limitMs} ms; ${JSON.stringify(this.of(service))}`));
      }, limitMs);
      const waiter: Waiter = {
        holds,
        resolve: (atMs) => {
          clearTimeout(timer);
          resolve(atMs);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  running(service: string, count: number, limitMs?: number): Promise<number> {
    const enough: Condition = (instances) => instances.filter(({ state }) => state === 'RUNNING').length >= count;
    return this.until(`${count} of ${service} RUNNING`, service, enough, limitMs);
  }

  gone(service: string): Promise<number> {
    return this.until(`${service} gone`, service, (instances) => instances.length === 0);
  }

  async #follow(client: ApiClient, synced: () => void): Promise<void> {
    for await (const message of client.watch(['instance'])) {
      const atMs = performance.now();
      if (message.kind === 'synced') synced();
      else if (message.kind === 'instance') {
        if (message.view === null) this.#instances.delete(message.name);
        else this.#instances.set(message.name, message.view);
      }
      for (const waiter of this.#waiters) {
        if (!waiter.holds()) continue;
        this.#waiters.delete(waiter);
        waiter.resolve(atMs);
      }
    }
  }
}
