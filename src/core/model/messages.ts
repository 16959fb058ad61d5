/**
 * The uplink protocol: what a child and its parent say to each other, node to cluster and cluster to root
 * alike. JSON over MQTT, documented for operators in docs/uplink.md. The child always dials.
 *
 *   child -> parent   hello    once a session: who I am, what I have, what I run, how far I know your wishes
 *                     report   what has changed since; empty, it is a heartbeat
 *   parent -> child   desired  what you shall run, from the version you know to the newest
 *                     stream   dial a stream back to me (logs, API calls to the child)
 *
 * A session is one life of a link. Within it messages arrive in order or the link breaks; anything that
 * names another session is stale and dropped.
 */
import * as z from 'zod/mini';
import { ADDRESS_PATTERN } from '../base/addresses.ts';
import { limits } from '../base/limits.ts';
import { INSTANCE_STATES } from './instance-state.ts';
import { nameSchema, serviceSpecSchema } from './service.ts';
import { summarySchema } from './summary.ts';

export const UPLINK_VERSION = 1;

const session = z.string().check(z.minLength(1), z.maxLength(64));
const version = z.int().check(z.minimum(0));
const instanceId = z.string().check(z.regex(/^[a-z0-9][a-z0-9.-]{0,126}$/));

/** People read it in terminals, where a control character of a node that lies could write anything anywhere. */
const printable = z.regex(/^\P{Cc}*$/u, 'no control characters');

export const endpointSchema = z.strictObject({
  name: z.string().check(z.maxLength(63)),
  address: z.string().check(z.maxLength(253), printable),
  port: z.int().check(z.minimum(1), z.maximum(65535)),
});
export type Endpoint = z.output<typeof endpointSchema>;

/** How an instance is doing, as the child that runs it sees it. */
export const instanceReportSchema = z.strictObject({
  id: instanceId,
  state: z.enum(INSTANCE_STATES),
  /** Why it is so, for a person to read; empty when there is nothing to say. */
  reason: z.string().check(z.maxLength(limits.reasonLength), printable),
  /** Where below the child it runs: empty on a node itself, `n2` when a cluster put it on its node n2. */
  node: z.string().check(z.maxLength(limits.nodePathLength), printable),
  endpoints: z.array(endpointSchema).check(z.maxLength(limits.ports)),
  restarts: z.int().check(z.minimum(0)),
  /** When it came into this state, child's clock. */
  sinceMs: z.number(),
  exitCode: z.nullable(z.int()),
});
export type InstanceReport = z.output<typeof instanceReportSchema>;

/** As much of it as a report may carry, in one line: else the whole message would be refused, and the link with it. */
export function reportedReason(reason: string): string {
  const line = reason.replace(/\p{Cc}+/gu, ' ');
  return line.length <= limits.reasonLength ? line : `${line.slice(0, limits.reasonLength - 4)} ...`;
}

/** An instance that the child shall run. */
export const assignmentSchema = z.strictObject({
  id: instanceId,
  /** The service as the user named it: containers, metrics and DNS speak of it. */
  service: nameSchema,
  spec: serviceSpecSchema,
});
export type Assignment = z.output<typeof assignmentSchema>;

export const helloSchema = z.strictObject({
  type: z.literal('hello'),
  protocol: z.literal(UPLINK_VERSION),
  session,
  kind: z.enum(['node', 'cluster']),
  software: z.string().check(z.maxLength(64), printable),
  /** The parent's state that the child knows: its epoch and the version of this child's desired state. */
  epoch: z.string().check(z.maxLength(64)),
  version,
  summary: summarySchema,
  instances: z.array(instanceReportSchema).check(z.maxLength(limits.instances)),
});
export type Hello = z.output<typeof helloSchema>;

export const reportSchema = z.strictObject({
  type: z.literal('report'),
  session,
  /** 1, 2, 3 ... within the session. */
  sequence: z.int().check(z.minimum(1)),
  /** The version of desired state that the child has taken up and made durable. */
  version,
  summary: z.optional(summarySchema),
  changed: z.array(instanceReportSchema).check(z.maxLength(limits.instances)),
  /** Instances that the child has no trace of any more. */
  gone: z.array(instanceId).check(z.maxLength(limits.instances)),
});
export type Report = z.output<typeof reportSchema>;

export const desiredSchema = z.strictObject({
  type: z.literal('desired'),
  session,
  epoch: z.string().check(z.minLength(1), z.maxLength(64)),
  /** Applies on top of this version; 0 replaces all that the child knew. */
  from: version,
  to: version,
  /** The first messages of a whole that did not fit into one: the child takes them up together with the last. */
  more: z._default(z.boolean(), false),
  set: z.array(assignmentSchema).check(z.maxLength(limits.instances)),
  unset: z.array(instanceId).check(z.maxLength(limits.instances)),
  /** How often the child lets itself be heard when nothing changes. */
  heartbeatMs: z.int().check(z.minimum(100), z.maximum(3_600_000)),
  /** Where the parent's replicas are, the leader first: with the first answer to a hello, and again when it changes. */
  orchestrators: z.optional(
    z
      .array(z.string().check(z.maxLength(limits.addressLength), z.regex(ADDRESS_PATTERN)))
      .check(z.minLength(1), z.maxLength(limits.orchestratorAddresses)),
  ),
});
export type Desired = z.output<typeof desiredSchema>;

export const streamRequestSchema = z.strictObject({
  type: z.literal('stream'),
  /** Names the stream that the child dials: `/v1/streams/<id>` at its parent. */
  id: z.string().check(z.regex(/^[A-Za-z0-9_-]{16,64}$/)),
});

export const upMessageSchema = z.discriminatedUnion('type', [helloSchema, reportSchema]);
export type UpMessage = z.output<typeof upMessageSchema>;
export const downMessageSchema = z.discriminatedUnion('type', [desiredSchema, streamRequestSchema]);
export type DownMessage = z.output<typeof downMessageSchema>;
