/** Instances: the running copies, and what they say. */
import { CodedError } from '../../core/model/errors.ts';
import { instanceViewSchema } from '../../core/model/views.ts';
import { splitBelow } from '../below.ts';
import { type Api, type RouteContext, submit } from '../context.ts';
import { invalid } from '../errors.ts';
import {
  instanceListSchema,
  instanceParamsSchema,
  instancesQuerySchema,
  logsQuerySchema,
  migrateBodySchema,
  outcomeSchema,
} from '../schemas.ts';
import { sendStream } from '../streams.ts';

const tags = ['instances'];

export function instanceRoutes(api: Api, context: RouteContext): void {
  const { backend } = context;

  api.get(
    '/v1/instances',
    {
      schema: {
        operationId: 'listInstances',
        summary: 'All instances, or those of one service',
        tags,
        querystring: instancesQuerySchema,
        response: { 200: instanceListSchema },
      },
    },
    ({ query: { service } }) => ({
      items: backend.instances().filter((instance) => service === undefined || instance.service === service),
    }),
  );

  api.get(
    '/v1/instances/:id',
    {
      schema: {
        operationId: 'getInstance',
        summary: 'One instance',
        tags,
        params: instanceParamsSchema,
        response: { 200: instanceViewSchema },
      },
      config: { errors: ['not_found'] },
    },
    ({ params: { id } }) => {
      const instance = backend.instance(id);
      if (instance === null) throw new CodedError('not_found', `instance ${id}`);
      return instance;
    },
  );

  api.post(
    '/v1/instances/:id/migrate',
    {
      schema: {
        operationId: 'migrateInstance',
        summary: 'Moves an instance: a new one starts, then the old one stops (MIGRATE)',
        description: 'To the cluster or node that is named, else to any other place.',
        tags,
        params: instanceParamsSchema,
        body: migrateBodySchema,
        response: { 200: outcomeSchema },
      },
      config: { access: 'admin', errors: ['not_found', 'conflict', 'impossible'] },
    },
    (request) => {
      const { id } = request.params;
      return submit(context, request, { type: 'migrateInstance', instance: id, ...migrationTarget(request.body) });
    },
  );

  api.get(
    '/v1/instances/:id/logs',
    {
      schema: {
        operationId: 'getInstanceLogs',
        summary: 'What an instance has written, as text',
        description:
          'With follow=true the answer goes on until the instance is gone or the client leaves. tail: only the last so many lines.',
        tags,
        params: instanceParamsSchema,
        querystring: logsQuerySchema,
        produces: ['text/plain'],
      },
      config: { errors: ['not_found', 'unreachable'] },
    },
    async (request, reply) => {
      const { follow = false, tail } = request.query;
      const signal = context.streams.enter(reply);
      const logs = await backend.instanceLogs(request.params.id, { follow, tailLines: tail, signal });
      await sendStream(reply, 200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }, logs, signal);
    },
  );
}

/** `garching/n2` says cluster and node at once. */
function migrationTarget(body: { cluster?: string | undefined; node?: string | undefined }) {
  const below = body.node === undefined ? null : splitBelow(body.node);
  if (below === null) return body;
  if (body.cluster !== undefined && body.cluster !== below.child)
    throw invalid('node', `${body.node} is not in the cluster ${body.cluster}`);
  return { cluster: below.child, node: below.rest };
}
