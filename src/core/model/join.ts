/**
 * What a child and its parent-to-be say to each other, over HTTPS, before there is an uplink:
 *
 *   GET  /v1/ca     who are you          answered to any stranger; the child compares it with its token's pin
 *   POST /v1/join   let me in            token and certificate request -> certificate
 *   POST /v1/renew  a fresh certificate  over mutual TLS, for the same key
 */
import * as z from 'zod/mini';
import { limits } from '../base/limits.ts';
import { CHILD_KINDS } from './membership.ts';
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

export const renewRequestSchema = z.strictObject({ csrPem: pem });
export const renewResponseSchema = z.object({ certificatePem: pem });
export type RenewResponse = z.output<typeof renewResponseSchema>;
