/** The examples as the demo deploys them: through the public API, those that this edge has a runtime for. */
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from '../cli/api/api-client.ts';
import { readManifests } from '../cli/manifest/read-manifests.ts';
import type { ServiceResource } from '../core/model/service.ts';
import type { InstanceView, ServiceView } from '../core/model/views.ts';
import { EXAMPLES, EXAMPLES_DIRECTORY, RUNTIME_NEEDS } from './plan.ts';

const CHECK_MS = 20;
const HTTP_TIMEOUT_MS = 2_000;

export interface Deployed {
  readonly names: readonly string[];
  /** For each that was left out, why. */
  readonly without: readonly string[];
}

export async function deploy(client: ApiClient): Promise<Deployed> {
  const { items } = await client.nodes();
  const offered = new Set(items.flatMap(({ summary }) => summary?.groups.flatMap(({ runtimes }) => runtimes) ?? []));
  const files = EXAMPLES.map((name) => join(EXAMPLES_DIRECTORY, name));
  const resources = (await readManifests({ stdin: Readable.from([]), cwd: EXAMPLES_DIRECTORY }, files)).map(
    ({ resource }) => resource,
  );
  const runnable = resources.filter(({ spec }) => offered.has(spec.runtime));
  for (const { name, error } of await client.apply(runnable, { dryRun: false }))
    if (error) throw new Error(`${name} was refused: ${error.message}`);
  return { names: runnable.map(nameOf), without: resources.filter((resource) => !runnable.includes(resource)).map(explain) };
}

function nameOf({ metadata }: ServiceResource): string {
  return metadata.name;
}

function explain({ metadata, spec }: ServiceResource): string {
  return `${metadata.name} is left out: this machine has no ${RUNTIME_NEEDS[spec.runtime] ?? spec.runtime}`;
}

/** Resolves when as many copies run as are wanted; tells meanwhile how it stands. */
export async function untilRunning(
  client: ApiClient,
  name: string,
  told: (service: ServiceView) => void,
  signal: AbortSignal,
): Promise<readonly InstanceView[]> {
  for (;;) {
    const service = await client.service(name);
    if (service.phase === 'RUNNING' && service.running === service.wanted)
      return (await client.instances(name)).filter(({ state }) => state === 'RUNNING');
    told(service);
    await delay(CHECK_MS, undefined, { signal });
  }
}

/** What the instance answers over HTTP; null when it does not, or not yet. */
export async function ask({ endpoints }: InstanceView): Promise<string | null> {
  const [endpoint] = endpoints;
  if (!endpoint) return null;
  try {
    const answer = await fetch(urlOf(endpoint), { signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) });
    const text = await answer.text();
    return answer.ok ? text.trim() : null;
  } catch {
    return null;
  }
}

export function urlOf({ address, port }: { readonly address: string; readonly port: number }): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}/`;
}

export async function untilAnswers(instance: InstanceView, signal: AbortSignal): Promise<string> {
  for (;;) {
    const answer = await ask(instance);
    if (answer !== null) return answer;
    await delay(CHECK_MS, undefined, { signal });
  }
}
