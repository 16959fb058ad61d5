/** A backend that keeps all in memory and does what it is told at once: enough of an orchestrator to test the API against. */
import type { Duplex, Readable } from 'node:stream';
import { ok, type Result, refused } from '../../core/base/result.ts';
import type { ChainVerdict, DecisionRecord } from '../../core/model/decisions.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { ClientRequest, RequestOutcome, RequestRefusal } from '../../core/model/requests.ts';
import type { TokenRole } from '../../core/model/token.ts';
import type { Change, ChildView, EventView, InstanceView, ServiceView, StatusView, TokenView } from '../../core/model/views.ts';
import type { LogQuery } from '../../ports/runtime.ts';
import type { Backend } from '../backend.ts';

type Outcome = Result<RequestOutcome, RequestRefusal>;

export const ADMIN = 'admin-token';
export const VIEWER = 'viewer-token';
export const WORKER = 'worker-token';
const ROLES: Readonly<Record<string, TokenRole>> = { [ADMIN]: 'admin', [VIEWER]: 'viewer', [WORKER]: 'worker' };

export class MemoryBackend implements Backend {
  readonly #services = new Map<string, ServiceView>();
  readonly #instances = new Map<string, InstanceView>();
  readonly #children = new Map<string, ChildView>();
  readonly #tokens = new Map<string, TokenView>();
  readonly #events: EventView[] = [];
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #answered = new Map<string, Outcome>();
  /** By cluster: makes a connection on which it serves its API. */
  readonly dialling = new Map<string, () => Promise<Duplex>>();
  /** By instance: what it writes. */
  readonly logs = new Map<string, (options: LogQuery) => Readable>();
  readonly records: DecisionRecord[] = [];
  verdict: ChainVerdict = {
    ok: true,
    records: 0,
    anchor: { number: 0, hash: '00' },
    tip: { number: 0, hash: '00' },
    problem: null,
  };
  /** Every write that came through, in order. */
  readonly submitted: ClientRequest[] = [];

  get listeners(): number {
    return this.#listeners.size;
  }

  status(): StatusView {
    return {
      name: 'root',
      level: 'root',
      epoch: 'e1',
      software: '0.1.0',
      startedAtMs: 0,
      parent: null,
      nodes: { known: this.#children.size, connected: this.#children.size },
      clusters: { known: 0, connected: 0 },
      services: this.#services.size,
      instances: { wanted: 0, running: this.#instances.size, waiting: 0 },
      log: { index: this.submitted.length, snapshotIndex: 0 },
      group: null,
    };
  }

  services = () => [...this.#services.values()];
  service = (name: string) => this.#services.get(name) ?? null;
  instances = () => [...this.#instances.values()];
  instance = (id: string) => this.#instances.get(id) ?? null;
  children = () => [...this.#children.values()];
  child = (name: string) => this.#children.get(name) ?? null;
  tokens = () => [...this.#tokens.values()];
  events = (afterSequence: number) => this.#events.filter((event) => event.sequence > afterSequence);

  decisions = (limit: number, after?: number) =>
    after === undefined ? this.records.slice(-limit) : this.records.filter(({ number }) => number > after).slice(0, limit);
  decision = (wanted: number) => this.records.find(({ number }) => number === wanted) ?? null;
  verifyDecisions = () => this.verdict;

  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  putInstance(id: string, service: string): void {
    const view: InstanceView = {
      id,
      service,
      generation: 1,
      state: 'RUNNING',
      reason: '',
      child: 'n1',
      node: 'n1',
      endpoints: [],
      restarts: 0,
      exitCode: null,
      createdAtMs: 0,
      sinceMs: 0,
      replaces: null,
      refusals: [],
    };
    this.#instances.set(id, view);
    this.#tell({ kind: 'instance', name: id, view });
  }

  putChild(name: string, kind: ChildView['kind'], state: ChildView['state'] = 'ready'): void {
    const view: ChildView = {
      name,
      kind,
      state,
      software: '0.1.0',
      registeredAtMs: 0,
      lastHeardMs: 0,
      instances: 0,
      summary: null,
    };
    this.#children.set(name, view);
    this.#tell({ kind: 'child', name, view });
  }

  putEvent(message: string): void {
    const sequence = this.#events.length + 1;
    const view: EventView = { sequence, atMs: sequence, level: 'info', subject: 'orchestrator', message };
    this.#events.push(view);
    this.#tell({ kind: 'event', name: String(sequence), view });
  }

  submit(request: ClientRequest, idempotencyKey?: string): Promise<Outcome> {
    const before = idempotencyKey === undefined ? undefined : this.#answered.get(idempotencyKey);
    if (before) return Promise.resolve(before);
    this.submitted.push(request);
    const outcome = this.#apply(request);
    if (idempotencyKey !== undefined) this.#answered.set(idempotencyKey, outcome);
    return Promise.resolve(outcome);
  }

  #apply(request: ClientRequest): Outcome {
    switch (request.type) {
      case 'applyService': {
        const { name, labels, spec } = request;
        const old = this.service(name);
        if (old !== null && JSON.stringify(old.spec) === JSON.stringify(spec)) return ok({ effect: 'unchanged', name });
        const view: ServiceView = {
          name,
          labels,
          spec,
          owner: 'user',
          generation: (old?.generation ?? 0) + 1,
          phase: 'REQUESTED',
          reason: '',
          wanted: spec.replicas,
          running: 0,
          createdAtMs: 0,
          updatedAtMs: 0,
        };
        this.#services.set(name, view);
        this.#tell({ kind: 'service', name, view });
        return ok({ effect: old === null ? 'created' : 'changed', name });
      }
      case 'deleteService':
        if (!this.#services.delete(request.name)) return missing(`service ${request.name}`);
        this.#tell({ kind: 'service', name: request.name, view: null });
        return ok({ effect: 'deleted', name: request.name });
      case 'scaleService': {
        const service = this.service(request.name);
        if (service === null) return missing(`service ${request.name}`);
        const { name, labels, spec } = service;
        return this.#apply({ type: 'applyService', name, labels, spec: { ...spec, replicas: request.replicas } });
      }
      case 'migrateInstance':
        return this.instance(request.instance) ? changed(request.instance) : missing(`instance ${request.instance}`);
      case 'cordonChild':
      case 'drainChild': {
        const child = this.child(request.child);
        if (child === null) return missing(`node ${request.child}`);
        const off = request.type === 'cordonChild' ? request.cordoned : request.draining;
        this.putChild(child.name, child.kind, off ? (request.type === 'cordonChild' ? 'cordoned' : 'draining') : 'ready');
        return changed(child.name);
      }
      case 'removeChild':
        return this.#children.delete(request.child) ? ok({ effect: 'deleted', name: request.child }) : missing(request.child);
      case 'createToken': {
        const { id, role, expiresAtMs, uses } = request;
        this.#tokens.set(id, { id, role, createdAtMs: 0, expiresAtMs, usesLeft: uses });
        return ok({ effect: 'created', name: id });
      }
      case 'revokeToken':
        return this.#tokens.delete(request.id) ? ok({ effect: 'deleted', name: request.id }) : missing(`token ${request.id}`);
      case 'registerChild':
        this.putChild(request.name, request.kind);
        return ok({ effect: 'created', name: request.name });
      case 'registerReplica':
        return ok({ effect: 'created', name: request.name });
      case 'setReplicaRole':
        return changed(request.name);
      case 'moveReplica':
        return changed(request.id);
    }
  }

  instanceLogs(id: string, options: LogQuery): Promise<Readable> {
    const logs = this.logs.get(id);
    return logs ? Promise.resolve(logs(options)) : Promise.reject(new CodedError('not_found', `instance ${id}`));
  }

  dialChild(child: string): Promise<Duplex> {
    const dial = this.dialling.get(child);
    return dial ? dial() : Promise.reject(new CodedError('unreachable', `cluster ${child} has no link`));
  }

  authenticate(tokenText: string): Result<{ readonly role: TokenRole }, RequestRefusal> {
    const role = ROLES[tokenText];
    return role ? ok({ role }) : refused({ code: 'token_unknown', what: '', details: [] });
  }

  metrics(): Promise<string> {
    return Promise.resolve('tendril_services 0\n');
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }
}

function changed(name: string): Outcome {
  return ok({ effect: 'changed', name });
}

function missing(what: string): Outcome {
  return refused({ code: 'not_found', what, details: [] });
}
