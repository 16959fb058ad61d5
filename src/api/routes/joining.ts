/** How nodes and clusters come in (core/model/join.ts has the conversation). */
import type { FastifyRequest } from 'fastify';
import { CodedError } from '../../core/model/errors.ts';
import {
  caResponseSchema,
  joinRequestSchema,
  joinResponseSchema,
  renewRequestSchema,
  renewResponseSchema,
} from '../../core/model/join.ts';
import { FORWARDED_HEADER } from '../../core/model/leadership.ts';
import type { Peer } from '../../core/model/membership.ts';
import type { Admission, Api, RouteContext } from '../context.ts';

const tags = ['joining'];

export function joiningRoutes(api: Api, context: RouteContext, admission: Admission): void {
  api.get(
    '/v1/ca',
    {
      schema: {
        operationId: 'getCa',
        summary: 'The certificate that tokens pin, and the time here',
        tags,
        response: { 200: caResponseSchema },
      },
      config: { access: 'stranger' },
    },
    () => ({ caPem: admission.caPem, nowMs: context.clock.nowMs() }),
  );

  api.post(
    '/v1/join',
    {
      schema: {
        operationId: 'join',
        summary: 'Lets a node or a cluster in, with a token of role worker or cluster',
        tags,
        body: joinRequestSchema,
        response: { 200: joinResponseSchema },
      },
      config: {
        access: 'stranger',
        errors: ['token_malformed', 'token_unknown', 'token_expired', 'token_used_up', 'wrong_role', 'name_taken', 'clock_skew'],
      },
    },
    (request) => admission.join(request.body),
  );

  const certified = ({ raw, headers }: FastifyRequest): Peer => {
    // The certificate that a forwarded request shows is that of the replica that forwarded it.
    if (headers[FORWARDED_HEADER] !== undefined) throw new CodedError('not_leading');
    const peer = admission.peerOf(raw.socket);
    if (peer === null) throw new CodedError('certificate_refused', 'none was shown');
    if ('refused' in peer) throw new CodedError('certificate_refused', peer.refused);
    return peer;
  };

  api.post(
    '/v1/renew',
    {
      // Before its body is read: a stranger is not told what is wrong with that.
      onRequest: async (request) => void certified(request),
      schema: {
        operationId: 'renew',
        summary: "A fresh certificate for a member's key, over a connection that shows the present one",
        tags,
        body: renewRequestSchema,
        response: { 200: renewResponseSchema },
      },
      config: { access: 'certificate', errors: ['certificate_refused', 'not_a_member'] },
    },
    (request) => admission.renew(certified(request), request.body),
  );
}
