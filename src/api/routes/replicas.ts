/**
 * The replicas of this orchestrator. How the group is doing, each replica answers itself, also without a leader; what
 * changes it is a request like any other. What replicas ask each other is known by their certificates
 * (node/replica-desk.ts has the conversation).
 */
import type { FastifyRequest } from 'fastify';
import { CodedError } from '../../core/model/errors.ts';
import {
  issuedCertificatesSchema,
  replicaJoinRequestSchema,
  replicaJoinResponseSchema,
  replicaMoveRequestSchema,
  replicaRenewRequestSchema,
  sealedSchema,
} from '../../core/model/join.ts';
import { FORWARDED_HEADER } from '../../core/model/leadership.ts';
import { groupViewSchema } from '../../core/model/replicas.ts';
import { type Api, type ReplicaGroup, type ReplicaPeer, type RouteContext, submit } from '../context.ts';
import { nameParamsSchema, outcomeSchema, replicaRoleBodySchema } from '../schemas.ts';

const tags = ['replicas'];

export function replicaRoutes(api: Api, context: RouteContext, group: ReplicaGroup): void {
  api.get(
    '/v1/replicas',
    {
      schema: {
        operationId: 'listReplicas',
        summary: 'The replicas of this orchestrator, as the one that is asked sees them',
        description: 'Answered with or without a leader. How far others are behind, only the leader knows.',
        tags,
        response: { 200: groupViewSchema },
      },
    },
    () => group.view(),
  );

  api.post(
    '/v1/replicas/:name/role',
    {
      schema: {
        operationId: 'setReplicaRole',
        summary: 'Makes a replica a voter or a learner; the group follows as soon as it can',
        tags,
        params: nameParamsSchema,
        body: replicaRoleBodySchema,
        response: { 200: outcomeSchema },
      },
      config: { access: 'admin', errors: ['not_found', 'conflict', 'limit_reached'] },
    },
    (request) => submit(context, request, { type: 'setReplicaRole', name: request.params.name, role: request.body.role }),
  );

  api.post(
    '/v1/replicas/join',
    {
      schema: {
        operationId: 'joinReplica',
        summary: 'Lets a replica of this orchestrator in, with a token of role voter or learner',
        tags,
        body: replicaJoinRequestSchema,
        response: { 200: replicaJoinResponseSchema },
      },
      config: {
        access: 'stranger',
        errors: ['token_malformed', 'token_unknown', 'token_expired', 'token_used_up', 'wrong_role', 'name_taken', 'clock_skew'],
      },
    },
    (request) => group.join(request.body),
  );

  const certified = ({ raw, headers }: FastifyRequest): ReplicaPeer => {
    // The certificate that a forwarded request shows is that of the replica that forwarded it.
    if (headers[FORWARDED_HEADER] !== undefined) throw new CodedError('not_leading');
    const peer = group.peerOf(raw.socket);
    if (peer === null) throw new CodedError('certificate_refused', 'none was shown');
    if ('refused' in peer) throw new CodedError('certificate_refused', peer.refused);
    return peer;
  };
  // Before its body is read: a stranger is not told what is wrong with that.
  const onRequest = async (request: FastifyRequest) => void certified(request);
  const config = { access: 'certificate', errors: ['certificate_refused', 'not_a_member', 'unavailable'] } as const;

  api.post(
    '/v1/replicas/renew',
    {
      onRequest,
      schema: {
        operationId: 'renewReplica',
        summary: "Fresh certificates for a replica's key, from a voter",
        tags,
        body: replicaRenewRequestSchema,
        response: { 200: issuedCertificatesSchema },
      },
      config,
    },
    (request) => group.renew(certified(request), request.body),
  );

  api.post(
    '/v1/replicas/secrets',
    {
      onRequest,
      schema: {
        operationId: 'replicaSecrets',
        summary: 'For a voter: what voters hold of the orchestrator, sealed to its key',
        tags,
        response: { 200: sealedSchema },
      },
      config,
    },
    (request) => group.secrets(certified(request)),
  );

  api.post(
    '/v1/replicas/move',
    {
      onRequest,
      schema: {
        operationId: 'moveReplica',
        summary: 'A replica says where it can be reached now',
        tags,
        body: replicaMoveRequestSchema,
        response: { 200: outcomeSchema },
      },
      config,
    },
    async (request) => {
      const peer = certified(request);
      await group.move(peer, request.body);
      return { effect: 'changed' as const, name: peer.name };
    },
  );
}
