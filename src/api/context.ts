/** What the routes work with. */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { limits } from '../core/base/limits.ts';
import type { ErrorCode } from '../core/model/errors.ts';
import type { IssuedCertificates, JoinResponse, RenewResponse, ReplicaJoinResponse, Sealed } from '../core/model/join.ts';
import type { Peer } from '../core/model/membership.ts';
import type { GroupView } from '../core/model/replicas.ts';
import type { ClientRequest, RequestOutcome } from '../core/model/requests.ts';
import { validate } from '../core/model/validation.ts';
import type { Clock } from '../ports/clock.ts';
import type { Access } from './access.ts';
import type { Backend } from './backend.ts';
import { invalid, refusalError } from './errors.ts';
import { idempotencyKeySchema } from './schemas.ts';
import type { OpenStreams } from './streams.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Without it `viewer`: see access.ts. */
    access?: Access;
    /** What the route may refuse with, besides what any route may; for the OpenAPI document. */
    errors?: readonly ErrorCode[];
  }
}

/** Letting children in; src/node/admission.ts decides, the TLS port knows whose certificate it is. */
export interface Admission {
  readonly caPem: string;
  /** Whom the other end's certificate speaks for; null without one. */
  peerOf(socket: unknown): Peer | { readonly refused: string } | null;
  /** Rejects with a CodedError. */
  join(body: unknown): Promise<JoinResponse>;
  /** Rejects with a CodedError. */
  renew(peer: Peer, body: unknown): Promise<RenewResponse>;
}

/** A replica of the same orchestrator, as its certificate names it. */
export interface ReplicaPeer {
  readonly id: string;
  readonly name: string;
  readonly publicKeyPem: string;
  readonly publicKeyFingerprint: string;
}

/** The replicas of this orchestrator; src/node/replica-desk.ts decides. Each rejects with a CodedError. */
export interface ReplicaGroup {
  view(): GroupView;
  /** Whom the other end's certificate speaks for; null without one. */
  peerOf(socket: unknown): ReplicaPeer | { readonly refused: string } | null;
  join(body: unknown): Promise<ReplicaJoinResponse>;
  renew(peer: ReplicaPeer, body: unknown): Promise<IssuedCertificates>;
  secrets(peer: ReplicaPeer): Promise<Sealed>;
  move(peer: ReplicaPeer, body: unknown): Promise<void>;
}

export interface MintedToken {
  readonly id: string;
  /** sha256, hex. */
  readonly secretHash: string;
  readonly text: string;
}

export type ApiLimits = Pick<
  { readonly [Name in keyof typeof limits]: number },
  'requestBodyBytes' | 'requestTimeoutMs' | 'openStreams' | 'watchBacklog' | 'streamHeartbeatMs' | 'lingerMs' | 'childAnswerMs'
>;

export interface ApiComponents {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly mintToken: () => MintedToken | Promise<MintedToken>;
  /** Without it this orchestrator lets nobody in: the routes are not there. */
  readonly admission?: Admission | undefined;
  /** Without it this orchestrator has no replicas that it would know of: the routes are not there. */
  readonly replicas?: ReplicaGroup | undefined;
  /** URLs of the orchestrator's replicas: whoever shows a token is told of them, so that it finds another when one is gone. */
  readonly replicaUrls?: (() => readonly string[]) | undefined;
  /** What requests on connections that this orchestrator has dialled pass before `handler`, as others do at the port. */
  readonly gate?: RequestListener;
  /** A defect met while answering; what the client is told names no detail of it. */
  readonly defect: (error: unknown, where: string) => void;
}

export interface RouteContext extends ApiComponents {
  readonly limits: ApiLimits;
  readonly streams: OpenStreams;
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse<IncomingMessage>,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** Hands a write to the backend and answers with what became of it. */
export async function submit(context: RouteContext, request: FastifyRequest, write: ClientRequest): Promise<RequestOutcome> {
  const outcome = await context.backend.submit(write, idempotencyKey(request));
  if (!outcome.ok) throw refusalError(outcome.error);
  return { effect: outcome.value.effect, name: outcome.value.name };
}

/** Throws `invalid_request`. */
export function idempotencyKey(request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return undefined;
  const key = validate(idempotencyKeySchema, header);
  if (!key.ok) throw invalid('Idempotency-Key', key.error[0]?.message ?? 'is not valid');
  return key.value;
}

/** Aborts when the client has gone, or after `withinMs`. */
export function callSignal(reply: FastifyReply, clock: Clock, withinMs?: number): { signal: AbortSignal; settle: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const cancelTimer = withinMs === undefined ? () => {} : clock.startTimer(withinMs, abort);
  reply.raw.once('close', abort);
  return {
    signal: controller.signal,
    /** The answer's head is there: from now on it may take its time. */
    settle: cancelTimer,
  };
}
