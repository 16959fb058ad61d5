/**
 * The child's side of joining and renewing. Nothing is written here: the caller keeps what it gets only after
 * all of it was checked, so nobody is ever half-joined. Keep the key before joining, though: when the answer
 * is lost, only the same key may ask again for the same name.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as z from 'zod/mini';
import { CodedError } from '../../core/model/errors.ts';
import {
  caResponseSchema,
  type JoinRequest,
  type JoinResponse,
  joinResponseSchema,
  type ReplicaJoinRequest,
  type ReplicaJoinResponse,
  renewResponseSchema,
  replicaJoinResponseSchema,
} from '../../core/model/join.ts';
import type { ChildKind } from '../../core/model/membership.ts';
import { parseToken } from '../../core/model/token.ts';
import { CLOCK_SKEW_MAX_MS } from '../../core/orchestrator/admission.ts';
import { call } from './call.ts';
import { makeCertificateRequest } from './certificate-request.ts';
import type { ChildIdentity } from './dial.ts';
import { certificateFingerprint } from './fingerprint.ts';
import { childOf, replicaOf } from './identity-name.ts';

export interface JoinInput {
  /** `https://host:7443` */
  readonly url: string;
  readonly token: string;
  readonly name: string;
  readonly kind: ChildKind;
  readonly keyPem: string;
  readonly nowMs: number;
}

export interface ReplicaJoinInput extends Omit<ReplicaJoinRequest, 'csrPem'> {
  /** Of any replica. */
  readonly at: string;
  readonly keyPem: string;
}

/** Throws the refusal of either side: `wrong_ca` and `clock_skew` before the secret was said, the rest from the parent. */
export async function joinParent(input: JoinInput): Promise<JoinResponse> {
  const { url, name, kind, keyPem, nowMs } = input;
  const caPem = await checkPin(url, input.token, nowMs);
  const body: JoinRequest = { token: input.token.trim(), name, kind, csrPem: makeCertificateRequest(keyPem, name), nowMs };
  const answer = await call({ url, method: 'POST', path: '/v1/join', trust: { caPem }, body });
  const response = readAnswer(joinResponseSchema, answer);
  checkIssued({ caPem, keyPem, certificatePem: response.certificatePem }, name, kind);
  return { ...response, caPem };
}

/** As a replica of the orchestrator itself; refused like a child. */
export async function joinGroup({ at, keyPem, ...wish }: ReplicaJoinInput): Promise<ReplicaJoinResponse> {
  const caPem = await checkPin(at, wish.token, wish.nowMs);
  const body: ReplicaJoinRequest = { ...wish, token: wish.token.trim(), csrPem: makeCertificateRequest(keyPem, wish.name) };
  const answer = await call({ url: at, method: 'POST', path: '/v1/replicas/join', trust: { caPem }, body });
  const response = readAnswer(replicaJoinResponseSchema, answer);
  checkIssued({ caPem, keyPem, certificatePem: response.nodeCertificatePem }, wish.name, 'node');
  if (replicaOf(new X509Certificate(response.certificatePem).subjectAltName)?.id !== wish.id)
    throw new CodedError('internal', 'the orchestrator answered with a certificate for somebody else');
  return { ...response, caPem };
}

/** The authority at `url`, once it is the one that the token pins and its clock agrees. */
async function checkPin(url: string, tokenText: string, nowMs: number): Promise<string> {
  const token = parseToken(tokenText);
  if (!token.ok) throw new CodedError(token.error);
  const stranger = readAnswer(caResponseSchema, await call({ url, method: 'GET', path: '/v1/ca', trust: null }));
  if (fingerprintOf(stranger.caPem) !== token.value.caFingerprint) throw new CodedError('wrong_ca', url);
  if (Math.abs(stranger.nowMs - nowMs) > CLOCK_SKEW_MAX_MS)
    throw new CodedError('clock_skew', `here it is ${timeText(nowMs)}, there ${timeText(stranger.nowMs)}`);
  return stranger.caPem;
}

/** A new certificate for the same key. Throws `not_a_member` when the child was removed meanwhile. */
export async function renewAtParent(url: string, identity: ChildIdentity): Promise<ChildIdentity> {
  const child = childOf(new X509Certificate(identity.certificatePem));
  if (child === null) throw new CodedError('data_dir_corrupt', 'the certificate names no node and no cluster');
  const body = { csrPem: makeCertificateRequest(identity.keyPem, child.name) };
  const answer = await call({ url, method: 'POST', path: '/v1/renew', trust: identity, body });
  const renewed = { ...identity, certificatePem: readAnswer(renewResponseSchema, answer).certificatePem };
  checkIssued(renewed, child.name, child.kind);
  return renewed;
}

function readAnswer<T extends z.core.$ZodType>(schema: T, answer: unknown): z.output<T> {
  const parsed = z.safeParse(schema, answer);
  if (!parsed.success) throw new CodedError('unreachable', 'what answers there does not speak as a tendril orchestrator');
  return parsed.data;
}

function fingerprintOf(caPem: string): string | null {
  try {
    return certificateFingerprint(caPem);
  } catch {
    return null;
  }
}

/** A parent that errs must not leave a child with an identity that works nowhere. */
function checkIssued(identity: ChildIdentity, name: string, kind: ChildKind): void {
  try {
    const certificate = new X509Certificate(identity.certificatePem);
    const child = childOf(certificate);
    const issued = certificate.verify(new X509Certificate(identity.caPem).publicKey);
    const ours = certificate.checkPrivateKey(createPrivateKey(identity.keyPem));
    if (issued && ours && child?.name === name && child.kind === kind) return;
  } catch (error) {
    throw new CodedError('internal', 'the parent answered with something else than a certificate', [], error);
  }
  throw new CodedError('internal', 'the parent answered with a certificate for somebody else');
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
