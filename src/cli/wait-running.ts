/**
 * Waits until services run as they were declared, and says meanwhile what they wait for: nothing within the
 * first second, then one line that is rewritten on a terminal, or a line a change elsewhere.
 *
 * To run means to have stayed up for `update.provenAfter`: a program that ends at once was RUNNING for a moment.
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
  const proof = new Proof(shell.nowMs());
  const isDone = (name: string) =>
    until === 'gone' ? !services.has(name) : runs(services.get(name)) && proof.lacksMs(services.get(name), instances) === 0;
  const started = shell.nowMs();
  const progress = new Progress(shell);
  const messages = follow(client, ['service', 'instance'], { lost: () => {} });
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(() => resolve('timeout'), timeoutMs);
  });
  let synced = false;
  let proven: NodeJS.Timeout | undefined;
  let arriving = messages.next();
  try {
    for (;;) {
      const proving = new Promise<'proven'>((resolve) => {
        clearTimeout(proven);
        const lacking = synced ? names.filter((name) => !isDone(name) && runs(services.get(name))) : [];
        const lackingMs = Math.min(...lacking.map((name) => proof.lacksMs(services.get(name), instances)));
        if (Number.isFinite(lackingMs)) proven = setTimeout(() => resolve('proven'), lackingMs);
      });
      const next = await Promise.race([arriving, proving, timeout]);
      if (next === 'timeout')
        throw timedOut(
          names.filter((name) => !isDone(name)),
          services,
          instances,
          timeoutMs,
        );
      if (next !== 'proven') {
        arriving = messages.next();
        const message = next.value;
        if (message?.kind === 'synced') synced = true;
        else if (message?.kind === 'service') set(services, message.name, message.view);
        else if (message?.kind === 'instance') {
          set(instances, message.name, message.view);
          proof.see(message.name, message.view, synced);
        }
      }
      if (!synced) continue;
      const open = names.filter((name) => !isDone(name));
      if (open.length === 0) return;
      if (shell.nowMs() - started >= QUIET_MS)
        progress.show(open.map((name) => outline(services.get(name), instances)).join('; '));
      else progress.showLater(QUIET_MS, () => open.map((name) => outline(services.get(name), instances)).join('; '));
    }
  } finally {
    clearTimeout(timer);
    clearTimeout(proven);
    progress.end();
    // Not awaited: a generator that waits for the network ends when the client closes.
    arriving.catch(() => {});
    messages.return(undefined).catch(() => {});
  }
}

function runs(service: ServiceView | undefined): boolean {
  if (!service) return false;
  const settled = service.phase === 'RUNNING' || (service.wanted === 0 && service.phase !== 'REQUESTED');
  return service.running === service.wanted && settled;
}

/**
 * Since when the running instances run. Of what becomes RUNNING while we look, this program's own stopwatch says
 * so: the orchestrator's clock may differ. Only of what ran before is its word taken.
 */
class Proof {
  readonly #startedMs: number;
  readonly #runs = new Map<string, { readonly run: string; readonly sinceMs: number }>();

  /** `startedMs`: the time now. */
  constructor(startedMs: number) {
    this.#startedMs = startedMs;
  }

  see(id: string, view: InstanceView | null, synced: boolean): void {
    if (view?.state !== 'RUNNING') {
      this.#runs.delete(id);
      return;
    }
    const run = `${view.restarts} ${view.sinceMs}`;
    if (this.#runs.get(id)?.run === run) return;
    const beforeMs = synced ? 0 : Math.max(0, this.#startedMs - view.sinceMs);
    this.#runs.set(id, { run, sinceMs: performance.now() - beforeMs });
  }

  /** How long the service must yet stay as it is; infinite while too few of its instances run at all. */
  lacksMs(service: ServiceView | undefined, instances: ReadonlyMap<string, InstanceView>): number {
    if (!service) return Number.POSITIVE_INFINITY;
    const running = instancesOf(service.name, instances).flatMap(({ id }) => this.#runs.get(id) ?? []);
    if (running.length < service.wanted) return Number.POSITIVE_INFINITY;
    const oldestMs = performance.now() - service.spec.update.provenAfter;
    return Math.max(0, ...running.map(({ sinceMs }) => Math.ceil(sinceMs - oldestMs)));
  }
}

/** `web 1/3 running; web-3 REQUESTED: no node has 4 cores free`. */
function outline(service: ServiceView | undefined, instances: ReadonlyMap<string, InstanceView>): string {
  if (!service) return 'not there yet';
  const trouble = instancesOf(service.name, instances).find((instance) => instance.reason !== '' && instance.state !== 'RUNNING');
  const why = trouble ? ` (${trouble.id} ${trouble.state}: ${trouble.reason})` : service.reason ? ` (${service.reason})` : '';
  const watched = runs(service) && !why ? `, watched for ${service.spec.update.provenAfter / 1000} s` : '';
  return `${service.name} ${service.running}/${service.wanted} running, ${service.phase}${why}${watched}`;
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
