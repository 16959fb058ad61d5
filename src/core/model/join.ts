/**
 * What a child and its parent-to-be say to each other, over HTTPS, before there is an uplink:
 *
 *   GET  /v1/ca     who are you          answered to any stranger; the child compares it with its token's pin
 *   POST /v1/join   let me in            token and certificate request -> certificate
 *   POST /v1/renew  a fresh certificate  over mutual TLS, for the same key
 *
 * A replica of the orchestrator says the same at /v1/replicas/join and /v1/replicas/renew, where it gets two certificates.
 */
import * as z from 'zod/mini';
import { limits } from '../base/limits.ts';
import { CHILD_KINDS } from './membership.ts';
import { LEADERSHIPS, REPLICA_ROLES } from './replicas.ts';
import { nameSchema } from './service.ts';

const pem = z.string().check(z.maxLength(limits.pemBytes), z.startsWith('-----BEGIN ', 'a PEM document'));
/** As far as a `Date` reaches. */
const timeMs = z.number().check(z.minimum(0), z.maximum(8.64e15));

export const caResponseSchema = z.object({ caPem: pem, nowMs: timeMs });

export const joinRequestSchema = z.strictObject({
  token: z.string().check(z.maxLength(256)),
  name: nameSchema,
  kind: z.enum(CHILD_KINDS),
  csrPem: pem,
  /** The child's clock. */
  nowMs: timeMs,
});
export type JoinRequest = z.output<typeof joinRequestSchema>;

/** Answers are not strict: a newer parent may say more. */
export const joinResponseSchema = z.object({
  certificatePem: pem,
  caPem: pem,
  orchestratorName: z.string().check(z.maxLength(63)),
  /** Where to take the uplink, when not to the parent's own broker: `mqtts://host:port`. */
  broker: z.optional(z.string().check(z.maxLength(512))),
});
export type JoinResponse = z.output<typeof joinResponseSchema>;

const replicaUrl = z.string().check(z.maxLength(512), z.regex(/^https:\/\/[^\s/]+$/, 'an address such as https://host:7443'));
const serverNames = z.array(z.string().check(z.maxLength(253))).check(z.maxLength(limits.certificateNames));

/** A replica of the orchestrator itself; `id` names the life of its disk. */
export const replicaJoinRequestSchema = z.strictObject({
  token: z.string().check(z.maxLength(256)),
  id: z.string().check(z.regex(/^[a-z0-9]{1,32}$/)),
  name: nameSchema,
  url: replicaUrl,
  role: z.enum(REPLICA_ROLES),
  /** Whether its process runs work, too. */
  works: z.boolean(),
  serverNames,
  csrPem: pem,
  nowMs: timeMs,
});
export type ReplicaJoinRequest = z.output<typeof replicaJoinRequestSchema>;

/** Two certificates for one key: the replica's, and that of the node in its process. */
export const issuedCertificatesSchema = z.object({ certificatePem: pem, nodeCertificatePem: pem });
export type IssuedCertificates = z.output<typeof issuedCertificatesSchema>;

export const replicaJoinResponseSchema = z.object({
  ...issuedCertificatesSchema.shape,
  caPem: pem,
  orchestratorName: z.string().check(z.maxLength(63)),
  broker: z.optional(z.string().check(z.maxLength(512))),
  leadership: z.enum(LEADERSHIPS),
  /** Name of the log in etcd that all replicas share; none: the log is theirs. */
  log: z.optional(nameSchema),
  /** The group that it joins, itself in it. */
  group: z
    .array(z.object({ id: z.string().check(z.maxLength(32)), name: nameSchema, url: replicaUrl, role: z.enum(REPLICA_ROLES) }))
    .check(z.maxLength(limits.orchestratorReplicas)),
});
export type ReplicaJoinResponse = z.output<typeof replicaJoinResponseSchema>;

const base64 = z.string().check(z.maxLength(64 * 1024), z.regex(/^[A-Za-z0-9+/]*={0,2}$/));
/** A secret that only one key opens (adapters/tls/sealing.ts). */
export const sealedSchema = z.strictObject({
  /** The fresh public key that it was sealed with: SubjectPublicKeyInfo in DER. */
  from: base64,
  nonce: base64,
  tag: base64,
  content: base64,
});
export type Sealed = z.output<typeof sealedSchema>;

export const replicaRenewRequestSchema = z.strictObject({ csrPem: pem, serverNames });
export const replicaMoveRequestSchema = z.strictObject({ url: replicaUrl });

export const renewRequestSchema = z.strictObject({ csrPem: pem });
export const renewResponseSchema = z.object({ certificatePem: pem });
export type RenewResponse = z.output<typeof renewResponseSchema>;
