/** What the API reads and writes, over a running orchestrator. */
import type { Duplex, Readable } from 'node:stream';
import { type Result, refused } from '../core/base/result.ts';
import type { ChainVerdict, DecisionRecord } from '../core/model/decisions.ts';
import { CodedError } from '../core/model/errors.ts';
import type { TokenRecord } from '../core/model/membership.ts';
import type { GroupView } from '../core/model/replicas.ts';
import type { ClientRequest, RequestOutcome, RequestRefusal } from '../core/model/requests.ts';
import type { TokenRole } from '../core/model/token.ts';
import type { Change, ChildView, EventView, InstanceView, ServiceView, StatusView, TokenView } from '../core/model/views.ts';
import { parentKey } from '../core/orchestrator/services.ts';
import type { InstanceRecord } from '../core/orchestrator/state.ts';
import { childView, instanceView, serviceView, tokenViews } from '../core/orchestrator/views.ts';
import type { Clock } from '../ports/clock.ts';
import type { LogQuery } from '../ports/runtime.ts';
import type { OrchestratorDriver } from './orchestrator-driver.ts';

export interface BackendComponents {
  readonly driver: OrchestratorDriver;
  readonly clock: Clock;
  readonly dialChild: (child: string) => Promise<Duplex>;
  /** Reads an instance's output from the child that has it, over a connection that the child dialled. */
  readonly readLogs: (connection: Duplex, instance: string, options: LogQuery) => Promise<Readable>;
  /** The same on the node inside this process. */
  readonly readLocalLogs: ((instance: string, options: LogQuery) => Readable) | null;
  readonly checkToken: (
    text: string,
    find: (id: string) => TokenRecord | undefined,
    nowMs: number,
  ) => Result<{ readonly role: TokenRole }, RequestRefusal>;
  readonly metrics: () => Promise<string>;
  /** null of a root. */
  readonly parentUrl: () => string | null;
  /** null: the log's replicas are not this orchestrator's own. */
  readonly group: (() => GroupView) | null;
}

export interface BackendInit {
  readonly software: string;
  readonly startedAtMs: number;
  /** The node inside this process, if any. */
  readonly localNode: string | null;
}

export class OrchestratorBackend {
  readonly #components: BackendComponents;
  readonly #init: BackendInit;

  constructor(components: BackendComponents, init: BackendInit) {
    this.#components = components;
    this.#init = init;
  }

  status(): StatusView {
    const { driver } = this.#components;
    const { state } = driver.core;
    const children = this.children();
    const ofKind = (kind: ChildView['kind']) => {
      const all = children.filter((child) => child.kind === kind);
      return { known: all.length, connected: all.filter((child) => child.lastHeardMs !== null && isConnected(child)).length };
    };
    const services = this.services();
    const wanted = services.reduce((sum, service) => sum + service.wanted, 0);
    const running = services.reduce((sum, service) => sum + service.running, 0);
    const { software, startedAtMs } = this.#init;
    const parentUrl = this.#components.parentUrl();
    return {
      name: state.name,
      level: parentUrl === null ? 'root' : 'cluster',
      epoch: state.epoch,
      software,
      startedAtMs,
      parent:
        parentUrl === null
          ? null
          : { url: parentUrl, connected: driver.parentConnected, sinceMs: driver.parentSinceMs, problem: driver.parentProblem },
      nodes: ofKind('node'),
      clusters: ofKind('cluster'),
      services: services.length,
      instances: { wanted, running, waiting: [...state.instances.values()].filter((instance) => instance.child === null).length },
      log: driver.core.logPosition,
      group: this.#components.group?.() ?? null,
    };
  }

  services(): readonly ServiceView[] {
    return [...this.#state.services.values()].map((service) => serviceView(service, this.#context()));
  }

  service(name: string): ServiceView | null {
    const service = this.#state.services.get(name);
    return service ? serviceView(service, this.#context()) : null;
  }

  instances(): readonly InstanceView[] {
    const context = this.#context();
    return [...this.#state.instances.values()].map((instance) => instanceView(instance, context));
  }

  instance(id: string): InstanceView | null {
    const instance = this.#state.instances.get(id);
    return instance ? instanceView(instance, this.#context()) : null;
  }

  children(): readonly ChildView[] {
    const context = this.#context();
    return [...this.#state.members.keys()].map((name) => childView(name, context));
  }

  child(name: string): ChildView | null {
    return this.#state.members.has(name) ? childView(name, this.#context()) : null;
  }

  tokens(): readonly TokenView[] {
    return tokenViews(this.#state);
  }

  events(afterSequence: number): readonly EventView[] {
    return this.#components.driver.core.eventsAfter(afterSequence);
  }

  decisions(limit: number, after?: number): readonly DecisionRecord[] {
    return this.#state.decisions.list(limit, after);
  }

  decision(number: number): DecisionRecord | null {
    return this.#state.decisions.record(number) ?? null;
  }

  verifyDecisions(): ChainVerdict {
    return this.#state.decisions.verify(this.#state.firstEpoch);
  }

  subscribe(listener: (change: Change) => void): () => void {
    return this.#components.driver.watch({
      changed: (changes) => {
        for (const { kind, name } of changes) listener(this.#changeOf(kind, name));
      },
      happened: (view) => listener({ kind: 'event', name: String(view.sequence), view }),
    });
  }

  async submit(request: ClientRequest, idempotencyKey?: string): Promise<Result<RequestOutcome, RequestRefusal>> {
    const refusal = this.#refuseBeforehand(request);
    return refusal ?? this.#components.driver.submit(request, idempotencyKey);
  }

  async instanceLogs(id: string, options: LogQuery): Promise<Readable> {
    const { readLogs, readLocalLogs } = this.#components;
    const instance = this.#instanceToRead(id);
    if (!instance) throw new CodedError('not_found', `instance ${id}`);
    if (instance.child === null) throw new CodedError('unavailable', `${instance.id} has not been placed yet`);
    if (instance.child === this.#init.localNode && readLocalLogs) return readLocalLogs(instance.id, options);
    return readLogs(await this.dialChild(instance.child), instance.id, options);
  }

  async dialChild(child: string): Promise<Duplex> {
    const view = this.child(child);
    if (!view) throw new CodedError('not_found', `cluster ${child}`);
    if (!isConnected(view)) throw new CodedError('unavailable', `${child} is not connected`);
    return this.#components.dialChild(child);
  }

  authenticate(tokenText: string): Result<{ readonly role: TokenRole }, RequestRefusal> {
    const { checkToken, clock, driver } = this.#components;
    const answer = checkToken(tokenText, (id) => this.#state.tokens.get(id), clock.nowMs());
    if (answer.ok || answer.error.code !== 'token_unknown' || driver.core.isInformed) return answer;
    return refused({ code: 'no_quorum', what: 'this replica has not heard of a leader since it was started', details: [] });
  }

  metrics(): Promise<string> {
    return this.#components.metrics();
  }

  get #state() {
    return this.#components.driver.core.state;
  }

  #context() {
    return this.#components.driver.core.viewContext(this.#components.clock.nowMs());
  }

  #changeOf(kind: 'service' | 'instance' | 'child', name: string): Change {
    if (kind === 'service') return { kind, name, view: this.service(name) };
    if (kind === 'instance') return { kind, name, view: this.instance(name) };
    return { kind, name, view: this.child(name) };
  }

  /** By its own id; or, asked by the parent, by the parent's: then the copy that stands for it now. */
  #instanceToRead(id: string): InstanceRecord | undefined {
    const own = this.#state.instances.get(id);
    if (own || !this.#state.services.has(parentKey(id))) return own;
    const copies = this.#state.instancesOf(parentKey(id));
    return copies.find((copy) => copy.leaving === null && !copy.lost) ?? copies[0];
  }

  /** What needs no log entry to be refused: a place that does not exist, a service larger than any known machine. */
  #refuseBeforehand(request: ClientRequest): Result<RequestOutcome, RequestRefusal> | null {
    if (request.type === 'migrateInstance') return this.#checkTarget(request);
    // One of several replicas can go, also while it leads and answers: it hands over first.
    const isAlone = this.#state.replicas.size <= 1;
    if (request.type === 'removeChild' && request.child === this.#init.localNode && isAlone)
      return refused({
        code: 'conflict',
        what: `${request.child} is this orchestrator's own node; start it with --no-worker instead`,
        details: [],
      });
    if (request.type !== 'applyService') return null;
    const lacks = this.#components.driver.core.lackForEver(request.spec, this.#components.clock.nowMs());
    // A label, a runtime or a node by name may yet come: such a service waits, with its reasons. Only what asks for
    // more than the largest machine has is a slip of the pen, and not even that while nodes are still expected.
    if (lacks.length === 0 || lacks.some(({ kind }) => kind !== 'resources')) return null;
    if (this.children().some((child) => child.state === 'expected')) return null;
    const details = lacks.map((lack) => ({ field: lack.child, message: lack.detail }));
    return refused({ code: 'impossible', what: request.name, details });
  }

  #checkTarget({
    cluster,
    node,
  }: Extract<ClientRequest, { type: 'migrateInstance' }>): Result<RequestOutcome, RequestRefusal> | null {
    const names = cluster === undefined ? this.children() : this.children().filter((child) => child.name === cluster);
    if (node === undefined || names.length === 0) return null; // an unknown cluster is refused by the state machine
    const known = names.some(
      (child) =>
        (child.kind === 'node' && child.name === node) ||
        child.summary?.nodeNames.includes(node) ||
        child.summary?.namesComplete === false,
    );
    return known ? null : refused({ code: 'not_found', what: `node ${node}${cluster ? ` in ${cluster}` : ''}`, details: [] });
  }
}

function isConnected(child: ChildView): boolean {
  return child.state === 'ready' || child.state === 'cordoned' || child.state === 'draining';
}
