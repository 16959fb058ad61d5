/** The API of one orchestrator, typed: one method a route. All throw CodedErrors. */
import * as z from 'zod/mini';
import {
  type ApplyResult,
  applyAnswerSchema,
  chainVerdictSchema,
  clusterListSchema,
  createdTokenSchema,
  decisionListSchema,
  decisionRecordSchema,
  eventListSchema,
  instanceListSchema,
  type NodeList,
  nodeListSchema,
  type Outcome,
  outcomeSchema,
  serviceListSchema,
  tokenListSchema,
} from '../../api/schemas.ts';
import type { ChainVerdict, DecisionRecord } from '../../core/model/decisions.ts';
import { CodedError } from '../../core/model/errors.ts';
import { type GroupView, groupViewSchema, type ReplicaRole } from '../../core/model/replicas.ts';
import type { ServiceResource } from '../../core/model/service.ts';
import type { TokenRole } from '../../core/model/token.ts';
import { validate } from '../../core/model/validation.ts';
import {
  type Change,
  type ChildView,
  childViewSchema,
  type EventView,
  eventViewSchema,
  type InstanceView,
  instanceViewSchema,
  type ServiceView,
  type StatusView,
  serviceViewSchema,
  statusViewSchema,
  type TokenView,
} from '../../core/model/views.ts';
import { readServerSentEvents } from './sse.ts';
import type { StreamOptions, Transport } from './transport.ts';

export type WatchKind = Change['kind'];
/** A change, or the news that everything that was there has been told. */
export type WatchMessage = Change | { readonly kind: 'synced' };

export type ChildKind = 'node' | 'cluster';

export interface NewToken {
  readonly role: TokenRole;
  readonly ttl?: string | undefined;
  readonly uses?: number | undefined;
}

export interface LogOptions {
  readonly follow: boolean;
  /** Only the last so many lines of what is kept. */
  readonly tail?: number | undefined;
}

const VIEW_SCHEMAS = { service: serviceViewSchema, instance: instanceViewSchema, child: childViewSchema, event: eventViewSchema };
const changeSchema = z.object({
  kind: z.enum(['service', 'instance', 'child', 'event']),
  name: z.string(),
  view: z.optional(z.nullable(z.unknown())),
});

export class ApiClient {
  readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  close(): Promise<void> {
    return this.transport.close();
  }

  status(): Promise<StatusView> {
    return this.#get(statusViewSchema, '/v1/status');
  }

  async services(): Promise<readonly ServiceView[]> {
    return (await this.#get(serviceListSchema, '/v1/services')).items;
  }

  service(name: string): Promise<ServiceView> {
    return this.#get(serviceViewSchema, `/v1/services/${encodeURIComponent(name)}`);
  }

  /** One result a resource, in their order; those refused do not keep the others from being done. */
  async apply(resources: readonly ServiceResource[], options: { readonly dryRun: boolean }): Promise<readonly ApplyResult[]> {
    const path = options.dryRun ? '/v1/apply?dryRun=true' : '/v1/apply';
    return (await this.#write(applyAnswerSchema, 'POST', path, { resources })).items;
  }

  deleteService(name: string): Promise<Outcome> {
    return this.#write(outcomeSchema, 'DELETE', `/v1/services/${encodeURIComponent(name)}`);
  }

  scale(name: string, replicas: number): Promise<Outcome> {
    return this.#write(outcomeSchema, 'POST', `/v1/services/${encodeURIComponent(name)}/scale`, { replicas });
  }

  async instances(service?: string): Promise<readonly InstanceView[]> {
    const query = service === undefined ? '' : `?service=${encodeURIComponent(service)}`;
    return (await this.#get(instanceListSchema, `/v1/instances${query}`)).items;
  }

  instance(id: string): Promise<InstanceView> {
    return this.#get(instanceViewSchema, `/v1/instances/${encodeURIComponent(id)}`);
  }

  migrate(id: string, target: { readonly cluster?: string; readonly node?: string }): Promise<Outcome> {
    return this.#write(outcomeSchema, 'POST', `/v1/instances/${encodeURIComponent(id)}/migrate`, target);
  }

  /** What the instance writes, as it wrote it. */
  logs(id: string, options: LogOptions & StreamOptions): AsyncGenerator<Uint8Array> {
    const query = new URLSearchParams({ follow: String(options.follow) });
    if (options.tail !== undefined) query.set('tail', String(options.tail));
    return this.transport.stream(`/v1/instances/${encodeURIComponent(id)}/logs?${query}`, 'text/plain', options);
  }

  /** All nodes, those below clusters included as far as the clusters answer. */
  nodes(): Promise<NodeList> {
    return this.#get(nodeListSchema, '/v1/nodes?recursive=true');
  }

  async clusters(): Promise<readonly ChildView[]> {
    return (await this.#get(clusterListSchema, '/v1/clusters')).items;
  }

  child(kind: ChildKind, name: string): Promise<ChildView> {
    return this.#get(childViewSchema, childPath(kind, name));
  }

  cordon(kind: ChildKind, name: string, cordoned: boolean): Promise<Outcome> {
    return this.#write(outcomeSchema, 'POST', `${childPath(kind, name)}/cordon`, { cordoned });
  }

  drain(kind: ChildKind, name: string, draining: boolean): Promise<Outcome> {
    return this.#write(outcomeSchema, 'POST', `${childPath(kind, name)}/drain`, { draining });
  }

  removeChild(kind: ChildKind, name: string): Promise<Outcome> {
    return this.#write(outcomeSchema, 'DELETE', childPath(kind, name));
  }

  /** The replicas as the one that is asked sees them; answered with or without a leader. */
  group(): Promise<GroupView> {
    return this.#get(groupViewSchema, '/v1/replicas');
  }

  setReplicaRole(name: string, role: ReplicaRole): Promise<Outcome> {
    return this.#write(outcomeSchema, 'POST', `/v1/replicas/${encodeURIComponent(name)}/role`, { role });
  }

  async tokens(): Promise<readonly TokenView[]> {
    return (await this.#get(tokenListSchema, '/v1/tokens')).items;
  }

  createToken(token: NewToken): Promise<{ readonly id: string; readonly token: string }> {
    return this.#write(createdTokenSchema, 'POST', '/v1/tokens', token);
  }

  revokeToken(id: string): Promise<Outcome> {
    return this.#write(outcomeSchema, 'DELETE', `/v1/tokens/${encodeURIComponent(id)}`);
  }

  /** Events after this sequence number that the orchestrator still remembers, oldest first. */
  async events(after = 0): Promise<readonly EventView[]> {
    return (await this.#get(eventListSchema, `/v1/events?after=${after}`)).items;
  }

  /** Records of placements, oldest first: the newest, or those after a number. */
  async decisions(limit: number, after?: number): Promise<readonly DecisionRecord[]> {
    const query = after === undefined ? '' : `&after=${after}`;
    return (await this.#get(decisionListSchema, `/v1/decisions?limit=${limit}${query}`)).items;
  }

  decision(number: number): Promise<DecisionRecord> {
    return this.#get(decisionRecordSchema, `/v1/decisions/${number}`);
  }

  verifyDecisions(): Promise<ChainVerdict> {
    return this.#get(chainVerdictSchema, '/v1/decisions/verify');
  }

  /** First everything of these kinds that is there, then `synced`, then each change, until the connection ends. */
  async *watch(kinds: readonly WatchKind[], options: StreamOptions = {}): AsyncGenerator<WatchMessage> {
    const stream = this.transport.stream(`/v1/watch?kind=${kinds.join(',')}`, 'text/event-stream', options);
    for await (const { event, data } of readServerSentEvents(stream)) {
      if (event === 'synced') yield { kind: 'synced' };
      else if (event === 'put' || event === 'delete') yield readChange(data);
    }
  }

  async #get<S extends z.core.$ZodType>(schema: S, path: string): Promise<z.output<S>> {
    return accept(schema, await this.transport.json('GET', path));
  }

  async #write<S extends z.core.$ZodType>(schema: S, method: string, path: string, body?: unknown): Promise<z.output<S>> {
    return accept(schema, await this.transport.json(method, path, body === undefined ? {} : { body }));
  }
}

/** `garching/n2` is one name. */
function childPath(kind: ChildKind, name: string): string {
  return `/v1/${kind}s/${encodeURIComponent(name)}`;
}

function readChange(data: string): WatchMessage {
  const { kind, name, view } = accept(changeSchema, parseJson(data));
  const known = view === null || view === undefined ? null : accept(VIEW_SCHEMAS[kind], view);
  // The schema was chosen by the kind.
  return { kind, name, view: known } as Change;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CodedError('unavailable', 'an event of the watch is no JSON', [], error);
  }
}

/** Answers are not held to the letter: a newer orchestrator may say more than this program knows. */
function accept<S extends z.core.$ZodType>(schema: S, value: unknown): z.output<S> {
  const outcome = validate(schema, value);
  if (outcome.ok) return outcome.value;
  if (outcome.error.every((finding) => finding.message.startsWith('unknown field'))) return value as z.output<S>;
  throw new CodedError(
    'unavailable',
    'the orchestrator answers in a form that this version does not know; compare: tendril version',
    outcome.error,
  );
}
