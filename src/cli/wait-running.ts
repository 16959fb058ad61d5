/**
 * Waits until services run as they were declared, and says meanwhile what they wait for: nothing within the
 * first second, then one line that is rewritten on a terminal, or a line a change elsewhere.
 */
import { CodedError, type ErrorDetail } from '../core/model/errors.ts';
import type { InstanceView, ServiceView } from '../core/model/views.ts';
import type { ApiClient } from './api/api-client.ts';
import { follow } from './api/follow.ts';
import { printable, type Shell } from './shell.ts';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly until: 'running' | 'gone';
}

const QUIET_MS = 1_000;

/** Throws `timed_out` with the reasons. */
export async function waitForServices(
  client: ApiClient,
  shell: Shell,
  names: readonly string[],
  { timeoutMs, until }: WaitOptions,
): Promise<void> {
  const services = new Map<string, ServiceView>();
  const instances = new Map<string, InstanceView>();
  const isDone = (name: string) => (until === 'gone' ? !services.has(name) : runs(services.get(name)));
  const started = shell.nowMs();
  const progress = new Progress(shell);
  const messages = follow(client, ['service', 'instance'], { lost: () => {} });
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(() => resolve('timeout'), timeoutMs);
  });
  let synced = false;
  try {
    for (;;) {
      const next = await Promise.race([messages.next(), timeout]);
      if (next === 'timeout')
        throw timedOut(
          names.filter((name) => !isDone(name)),
          services,
          instances,
          timeoutMs,
        );
      const message = next.value;
      if (message?.kind === 'synced') synced = true;
      else if (message?.kind === 'service') set(services, message.name, message.view);
      else if (message?.kind === 'instance') set(instances, message.name, message.view);
      if (!synced) continue;
      const open = names.filter((name) => !isDone(name));
      if (open.length === 0) return;
      if (shell.nowMs() - started >= QUIET_MS)
        progress.show(open.map((name) => outline(services.get(name), instances)).join('; '));
      else progress.showLater(QUIET_MS, () => open.map((name) => outline(services.get(name), instances)).join('; '));
    }
  } finally {
    clearTimeout(timer);
    progress.end();
    // Not awaited: a generator that waits for the network ends when the client closes.
    messages.return(undefined).catch(() => {});
  }
}

function runs(service: ServiceView | undefined): boolean {
  if (!service) return false;
  const settled = service.phase === 'RUNNING' || (service.wanted === 0 && service.phase !== 'REQUESTED');
  return service.running === service.wanted && settled;
}

/** `web 1/3 running; web-3 REQUESTED: no node has 4 cores free`. */
function outline(service: ServiceView | undefined, instances: ReadonlyMap<string, InstanceView>): string {
  if (!service) return 'not there yet';
  const trouble = instancesOf(service.name, instances).find((instance) => instance.reason !== '' && instance.state !== 'RUNNING');
  const why = trouble ? ` (${trouble.id} ${trouble.state}: ${trouble.reason})` : service.reason ? ` (${service.reason})` : '';
  return `${service.name} ${service.running}/${service.wanted} running, ${service.phase}${why}`;
}

function timedOut(
  names: readonly string[],
  services: ReadonlyMap<string, ServiceView>,
  instances: ReadonlyMap<string, InstanceView>,
  timeoutMs: number,
): CodedError {
  const details: ErrorDetail[] = [];
  for (const name of names) {
    const service = services.get(name);
    if (!service) continue;
    details.push({ field: `service/${name}`, message: outline(service, new Map()) });
    for (const instance of instancesOf(name, instances)) {
      if (instance.state === 'RUNNING') continue;
      details.push({
        field: `instance/${instance.id}`,
        message: `${instance.state}${instance.reason ? `: ${instance.reason}` : ''}`,
      });
      for (const { child, detail } of instance.refusals)
        details.push({ field: `instance/${instance.id}`, message: `${child}: ${detail}` });
    }
  }
  return new CodedError('timed_out', `${names.join(', ')} after ${timeoutMs / 1000} s`, details);
}

function instancesOf(service: string, instances: ReadonlyMap<string, InstanceView>): InstanceView[] {
  return [...instances.values()].filter((instance) => instance.service === service);
}

function set<V>(map: Map<string, V>, name: string, view: V | null): void {
  if (view === null) map.delete(name);
  else map.set(name, view);
}

class Progress {
  readonly #shell: Shell;
  #last = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(shell: Shell) {
    this.#shell = shell;
  }

  show(text: string): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const line = printable(text).replace(/\s+/g, ' ');
    if (line === this.#last) return;
    this.#last = line;
    const { stderr } = this.#shell;
    if (!stderr.isTTY) stderr.write(`waiting: ${line}\n`);
    else stderr.write(`\r\u001b[K${`waiting: ${line}`.slice(0, (stderr.columns ?? 80) - 1)}`);
  }

  showLater(afterMs: number, text: () => string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.show(text()), afterMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#last !== '' && this.#shell.stderr.isTTY) this.#shell.stderr.write('\r\u001b[K');
  }
}
