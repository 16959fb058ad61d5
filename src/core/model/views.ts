/**
 * What the API answers and the CLI and the dashboard show: the state of things in the user's words.
 * Times are milliseconds since the Unix epoch, on the orchestrator's clock.
 */
import * as z from 'zod/mini';
import { INSTANCE_STATES } from './instance-state.ts';
import { endpointSchema } from './messages.ts';
import { groupViewSchema } from './replicas.ts';
import { labelsSchema, nameSchema, serviceSpecSchema } from './service.ts';
import { summarySchema } from './summary.ts';
import { TOKEN_ROLES } from './token.ts';

/** A service's state is that of the work it stands for (edgeIO's job): the least settled of its instances decides. */
export const SERVICE_PHASES = [
  'REQUESTED',
  'SCALING',
  'MIGRATING',
  'UPDATING',
  'RUNNING',
  'FAILED',
  'STOPPING',
  'TERMINATED',
] as const;
export type ServicePhase = (typeof SERVICE_PHASES)[number];

export const serviceViewSchema = z.strictObject({
  name: z.string(),
  labels: labelsSchema,
  /** `user`: asked for here. `parent`: one instance of a service of the parent, which this cluster keeps running. */
  owner: z.enum(['user', 'parent']),
  /** Counts the changes of the spec. */
  generation: z.int(),
  phase: z.enum(SERVICE_PHASES),
  /** Why it is not (yet) as wanted; empty when it is. */
  reason: z.string(),
  wanted: z.int(),
  running: z.int(),
  createdAtMs: z.number(),
  updatedAtMs: z.number(),
  spec: serviceSpecSchema,
});
export type ServiceView = z.output<typeof serviceViewSchema>;

/** Why a candidate did not get an instance. */
export const refusalViewSchema = z.strictObject({ child: z.string(), kind: z.string(), detail: z.string() });
export type RefusalView = z.output<typeof refusalViewSchema>;

export const instanceViewSchema = z.strictObject({
  id: z.string(),
  service: z.string(),
  generation: z.int(),
  state: z.enum(INSTANCE_STATES),
  reason: z.string(),
  /** The child that has it; null while it waits for a place. */
  child: z.nullable(z.string()),
  /** Where it runs, from here down: `n2`, or `garching/n2`; empty while unknown. */
  node: z.string(),
  endpoints: z.array(endpointSchema),
  restarts: z.int(),
  exitCode: z.nullable(z.int()),
  createdAtMs: z.number(),
  sinceMs: z.number(),
  /** The instance whose place it takes (update, migration, loss). */
  replaces: z.nullable(z.string()),
  /** While it waits: what each candidate lacked. */
  refusals: z.array(refusalViewSchema),
});
export type InstanceView = z.output<typeof instanceViewSchema>;

export const CHILD_STATES = ['ready', 'cordoned', 'draining', 'silent', 'lost', 'expected'] as const;

/** A node or a cluster. */
export const childViewSchema = z.strictObject({
  /** From here down: `n2`, or `garching/n2` in a recursive listing. */
  name: z.string(),
  kind: z.enum(['node', 'cluster']),
  /** silent: its link is down, within its patience. lost: longer than that. expected: a member not seen since this orchestrator started. */
  state: z.enum(CHILD_STATES),
  software: z.string(),
  registeredAtMs: z.number(),
  lastHeardMs: z.nullable(z.number()),
  /** Instances that it has been given. */
  instances: z.int(),
  summary: z.nullable(summarySchema),
});
export type ChildView = z.output<typeof childViewSchema>;

export const eventViewSchema = z.strictObject({
  sequence: z.int(),
  atMs: z.number(),
  level: z.enum(['info', 'warning']),
  /** `service/web`, `instance/web-3`, `node/n2`, `cluster/garching`, `orchestrator`. */
  subject: z.string(),
  message: z.string(),
});
export type EventView = z.output<typeof eventViewSchema>;

export const tokenViewSchema = z.strictObject({
  id: z.string(),
  role: z.enum(TOKEN_ROLES),
  createdAtMs: z.number(),
  /** null: never. */
  expiresAtMs: z.nullable(z.number()),
  /** null: without limit. */
  usesLeft: z.nullable(z.int()),
});
export type TokenView = z.output<typeof tokenViewSchema>;

export const statusViewSchema = z.strictObject({
  /** The orchestrator's own name; of a cluster, the name under which its parent knows it. */
  name: nameSchema,
  /** Has it a parent? */
  level: z.enum(['root', 'cluster']),
  epoch: z.string(),
  software: z.string(),
  startedAtMs: z.number(),
  parent: z.nullable(z.strictObject({ url: z.string(), connected: z.boolean(), sinceMs: z.number(), problem: z.string() })),
  nodes: z.strictObject({ known: z.int(), connected: z.int() }),
  clusters: z.strictObject({ known: z.int(), connected: z.int() }),
  services: z.int(),
  instances: z.strictObject({ wanted: z.int(), running: z.int(), waiting: z.int() }),
  log: z.strictObject({ index: z.int(), snapshotIndex: z.int() }),
  /** null: the log's replicas are not this orchestrator's own. */
  group: z.nullable(groupViewSchema),
});
export type StatusView = z.output<typeof statusViewSchema>;

/** A change, as a watch tells it: the new view, or null when it is gone. */
export type Change =
  | { readonly kind: 'service'; readonly name: string; readonly view: ServiceView | null }
  | { readonly kind: 'instance'; readonly name: string; readonly view: InstanceView | null }
  | { readonly kind: 'child'; readonly name: string; readonly view: ChildView | null }
  | { readonly kind: 'event'; readonly name: string; readonly view: EventView };
