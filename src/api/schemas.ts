/**
 * What goes over the wire besides the views of core/model/views.ts: bodies, queries, answers. The OpenAPI
 * document is made from these, and the CLI takes its types from here.
 *
 * Bodies are strict, so that a misspelt field is named. Lists come as `{items: [...]}`, which leaves room
 * beside them.
 */
import * as z from 'zod/mini';
import { limits } from '../core/base/limits.ts';
import { chainVerdictSchema, decisionRecordSchema } from '../core/model/decisions.ts';
import { ERRORS, type ErrorCode } from '../core/model/errors.ts';
import {
  caResponseSchema,
  issuedCertificatesSchema,
  joinRequestSchema,
  joinResponseSchema,
  renewRequestSchema,
  renewResponseSchema,
  replicaJoinRequestSchema,
  replicaJoinResponseSchema,
  sealedSchema,
} from '../core/model/join.ts';
import { groupViewSchema, REPLICA_ROLES } from '../core/model/replicas.ts';
import { durationSchema, labelsSchema, nameSchema, serviceSchema, serviceSpecSchema } from '../core/model/service.ts';
import { TOKEN_ROLES } from '../core/model/token.ts';
import {
  childViewSchema,
  eventViewSchema,
  instanceViewSchema,
  serviceViewSchema,
  statusViewSchema,
  tokenViewSchema,
} from '../core/model/views.ts';

function list<T extends z.core.$ZodType>(item: T) {
  return z.strictObject({ items: z.array(item) });
}

/** A whole number in a query string. */
function integerText(max: number) {
  return z.pipe(
    z.string().check(z.regex(/^\d{1,15}$/, 'expected a whole number')),
    z.pipe(z.transform(Number), z.number().check(z.maximum(max))),
  );
}

const flag = z.pipe(
  z.enum(['true', 'false']),
  z.transform((text) => text === 'true'),
);

// ---- what a request carries

export const nameParamsSchema = z.strictObject({ name: nameSchema });
/** A node as it is known from here: `n2`, or `garching/n2`, url-encoded. */
export const nodeParamsSchema = z.strictObject({
  name: z.string().check(z.regex(/^[a-z0-9-]{1,63}(\/[a-z0-9-]{1,63}){0,7}$/, 'expected a node such as n2 or garching/n2')),
});
export const instanceParamsSchema = z.strictObject({
  id: z.string().check(z.regex(/^[a-z0-9][a-z0-9.-]{0,126}$/, 'expected an instance such as web-3')),
});
export const tokenParamsSchema = z.strictObject({
  id: z.string().check(z.regex(/^[a-z0-9]{1,64}$/, 'expected the id of a token')),
});

export const scaleBodySchema = z.strictObject({ replicas: z.int().check(z.minimum(0), z.maximum(limits.replicas)) });
export const applyBodySchema = z.strictObject({
  resources: z.array(z.unknown()).check(z.maxLength(limits.manifestDocuments)),
});
export const applyQuerySchema = z.strictObject({ dryRun: z.optional(flag) });
export const migrateBodySchema = z.strictObject({
  cluster: z.optional(nameSchema),
  /** `n2`; below a cluster with `cluster`, or at once as `garching/n2`. */
  node: z.optional(nodeParamsSchema.shape.name),
});
export const cordonBodySchema = z.strictObject({ cordoned: z.boolean() });
export const drainBodySchema = z.strictObject({ draining: z.boolean() });
export const createTokenBodySchema = z.strictObject({
  role: z.enum(TOKEN_ROLES),
  /** How long it may be used; without it, for ever. */
  ttl: z.optional(durationSchema),
  /** How many may join with it; without it, any number. */
  uses: z.optional(z.int().check(z.minimum(1), z.maximum(1_000_000))),
});

export const replicaRoleBodySchema = z.strictObject({ role: z.enum(REPLICA_ROLES) });

export const instancesQuerySchema = z.strictObject({ service: z.optional(nameSchema) });
export const logsQuerySchema = z.strictObject({ follow: z.optional(flag), tail: z.optional(integerText(1_000_000)) });
export const nodesQuerySchema = z.strictObject({
  recursive: z.optional(flag),
  /** How long clusters may take to answer; each level below takes a part of it. */
  withinMs: z.optional(integerText(30_000)),
});
export const eventsQuerySchema = z.strictObject({ after: z.optional(integerText(Number.MAX_SAFE_INTEGER)) });

export const decisionsQuerySchema = z.strictObject({
  limit: z.optional(integerText(limits.decisionRecords)),
  after: z.optional(integerText(Number.MAX_SAFE_INTEGER)),
});
export const decisionParamsSchema = z.strictObject({ number: integerText(Number.MAX_SAFE_INTEGER) });

export const WATCH_KINDS = ['service', 'instance', 'child', 'event'] as const;
export const watchQuerySchema = z.strictObject({
  /** Some of service, instance, child, event, with commas between; without it, all but events. */
  kind: z.optional(
    z.pipe(
      z
        .string()
        .check(
          z.refine(
            (text) => text.split(',').every((kind) => (WATCH_KINDS as readonly string[]).includes(kind)),
            `expected some of ${WATCH_KINDS.join(', ')}, with commas between`,
          ),
        ),
      z.transform((text) => new Set(text.split(','))),
    ),
  ),
});

/** Chosen by the client for one write; a retry with the same key is applied once. */
export const idempotencyKeySchema = z
  .string()
  .check(z.regex(/^[\x21-\x7e]{1,128}$/, 'expected 1 to 128 printable characters, no blanks'));

// ---- what an answer carries

export const errorBodySchema = z.strictObject({
  error: z.strictObject({
    code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
    message: z.string(),
    hint: z.string(),
    details: z.array(
      z.strictObject({
        field: z.string(),
        message: z.string(),
        file: z.optional(z.string()),
        line: z.optional(z.int()),
        column: z.optional(z.int()),
      }),
    ),
  }),
});
export type ErrorBody = z.output<typeof errorBodySchema>;

export const healthSchema = z.strictObject({ status: z.literal('ok') });

export const outcomeSchema = z.strictObject({
  effect: z.enum(['created', 'changed', 'unchanged', 'deleted']),
  /** Service, instance, child or token. */
  name: z.string(),
});
export type Outcome = z.output<typeof outcomeSchema>;

const declaredSchema = z.strictObject({ labels: labelsSchema, spec: serviceSpecSchema });

/** One for each resource, in their order. */
export const applyResultSchema = z.strictObject({
  kind: z.literal('Service'),
  name: z.string(),
  /** refused: this one could not be done and `error` says why; the others are done. */
  effect: z.enum(['created', 'changed', 'unchanged', 'refused']),
  error: z.optional(errorBodySchema.shape.error),
  /** Only of a dry run: what is there (null: nothing) and what would be. */
  before: z.optional(z.nullable(declaredSchema)),
  after: z.optional(declaredSchema),
});
export type ApplyResult = z.output<typeof applyResultSchema>;
export const applyAnswerSchema = list(applyResultSchema);

export const createdTokenSchema = z.strictObject({
  id: z.string(),
  /** The token itself: said now and never again. */
  token: z.string(),
});

export const serviceListSchema = list(serviceViewSchema);
export const instanceListSchema = list(instanceViewSchema);
export const clusterListSchema = list(childViewSchema);
export const tokenListSchema = list(tokenViewSchema);
export const eventListSchema = list(eventViewSchema);
export const decisionListSchema = list(decisionRecordSchema);
export { chainVerdictSchema, decisionRecordSchema };
export const nodeListSchema = z.strictObject({
  items: z.array(childViewSchema),
  /** Clusters whose nodes are missing from `items`, and why. */
  unanswered: z.array(z.strictObject({ cluster: z.string(), reason: z.string() })),
});
export type NodeList = z.output<typeof nodeListSchema>;

/** The names under which the OpenAPI document speaks of them. */
const NAMES: readonly (readonly [string, z.core.$ZodType])[] = [
  ['Service', serviceSchema],
  ['ServiceSpec', serviceSpecSchema],
  ['ServiceView', serviceViewSchema],
  ['InstanceView', instanceViewSchema],
  ['ChildView', childViewSchema],
  ['EventView', eventViewSchema],
  ['TokenView', tokenViewSchema],
  ['DecisionRecord', decisionRecordSchema],
  ['ChainVerdict', chainVerdictSchema],
  ['Status', statusViewSchema],
  ['Health', healthSchema],
  ['Outcome', outcomeSchema],
  ['ApplyResult', applyResultSchema],
  ['CreatedToken', createdTokenSchema],
  ['NodeList', nodeListSchema],
  ['Error', errorBodySchema],
  ['CaResponse', caResponseSchema],
  ['JoinRequest', joinRequestSchema],
  ['JoinResponse', joinResponseSchema],
  ['GroupView', groupViewSchema],
  ['ReplicaJoinRequest', replicaJoinRequestSchema],
  ['ReplicaJoinResponse', replicaJoinResponseSchema],
  ['IssuedCertificates', issuedCertificatesSchema],
  ['Sealed', sealedSchema],
  ['RenewRequest', renewRequestSchema],
  ['RenewResponse', renewResponseSchema],
];

for (const [id, schema] of NAMES) z.globalRegistry.add(schema, { ...z.globalRegistry.get(schema), id });
