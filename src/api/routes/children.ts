/** Nodes and clusters: to its parent, a cluster is a node, so both have the same routes. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CodedError } from '../../core/model/errors.ts';
import type { ClientRequest } from '../../core/model/requests.ts';
import { type ChildView, childViewSchema } from '../../core/model/views.ts';
import { forwardBelow, nodesBelow, splitBelow } from '../below.ts';
import { type Api, callSignal, type RouteContext, submit } from '../context.ts';
import {
  clusterListSchema,
  cordonBodySchema,
  drainBodySchema,
  nameParamsSchema,
  nodeListSchema,
  nodeParamsSchema,
  nodesQuerySchema,
  type Outcome,
  outcomeSchema,
} from '../schemas.ts';

type Kind = 'node' | 'cluster';

export function childRoutes(api: Api, context: RouteContext): void {
  api.get(
    '/v1/nodes',
    {
      schema: {
        operationId: 'listNodes',
        summary: 'The nodes of this orchestrator',
        description:
          'With recursive=true those of the clusters below too, which are asked now: their nodes are named `garching/n2`. ' +
          'A cluster that does not answer in time is named in `unanswered`.',
        tags: ['nodes'],
        querystring: nodesQuerySchema,
        response: { 200: nodeListSchema },
      },
    },
    async (request, reply) => {
      const own = context.backend.children().filter((child) => child.kind === 'node');
      if (!request.query.recursive) return { items: own, unanswered: [] };
      const { signal } = callSignal(reply, context.clock);
      const below = await nodesBelow(context, request.query.withinMs ?? context.limits.childAnswerMs, signal);
      return { items: [...own, ...below.items], unanswered: below.unanswered };
    },
  );

  api.get(
    '/v1/clusters',
    {
      schema: {
        operationId: 'listClusters',
        summary: 'The clusters of this orchestrator',
        tags: ['clusters'],
        response: { 200: clusterListSchema },
      },
    },
    () => ({ items: context.backend.children().filter((child) => child.kind === 'cluster') }),
  );

  oneChildRoutes(api, context, 'node', 'Node');
  oneChildRoutes(api, context, 'cluster', 'Cluster');
}

function oneChildRoutes(api: Api, context: RouteContext, kind: Kind, operation: 'Node' | 'Cluster'): void {
  const path = `/v1/${kind}s/:name`;
  const tags = [`${kind}s`];
  const params = kind === 'node' ? nodeParamsSchema : nameParamsSchema;
  const writes = { access: 'admin', errors: ['not_found', 'unreachable'] } as const;

  api.get(
    path,
    {
      schema: { operationId: `get${operation}`, summary: `One ${kind}`, tags, params, response: { 200: childViewSchema } },
      config: { errors: ['not_found', 'unreachable'] },
    },
    async (request, reply) => {
      const { name } = request.params;
      const below = await forward(context, request, reply, kind, '');
      return (below as ChildView | null) ?? ownChild(context, kind, name);
    },
  );

  const write = async (request: FastifyRequest, reply: FastifyReply, action: string, name: string, own: ClientRequest) => {
    const below = await forward(context, request, reply, kind, action);
    if (below !== null) return below as Outcome;
    // A replica that runs no work is no child, and is removed by the same name.
    if (action !== '' || context.backend.child(name) !== null) ownChild(context, kind, name);
    return submit(context, request, own);
  };

  api.post(
    `${path}/cordon`,
    {
      schema: {
        operationId: `cordon${operation}`,
        summary: `Gives a ${kind} no new work, or does so again`,
        tags,
        params,
        body: cordonBodySchema,
        response: { 200: outcomeSchema },
      },
      config: writes,
    },
    (request, reply) => {
      const { name } = request.params;
      const { cordoned } = request.body;
      return write(request, reply, '/cordon', name, { type: 'cordonChild', child: name, cordoned });
    },
  );

  api.post(
    `${path}/drain`,
    {
      schema: {
        operationId: `drain${operation}`,
        summary: `Moves the instances of a ${kind} elsewhere, or stops doing so; the cordon stays`,
        tags,
        params,
        body: drainBodySchema,
        response: { 200: outcomeSchema },
      },
      config: writes,
    },
    (request, reply) => {
      const { name } = request.params;
      const { draining } = request.body;
      return write(request, reply, '/drain', name, { type: 'drainChild', child: name, draining });
    },
  );

  api.delete(
    path,
    {
      schema: {
        operationId: `remove${operation}`,
        summary: `Ends the membership of a ${kind}; its instances are placed elsewhere`,
        tags,
        params,
        response: { 200: outcomeSchema },
      },
      config: writes,
    },
    (request, reply) => {
      const { name } = request.params;
      return write(request, reply, '', name, { type: 'removeChild', child: name });
    },
  );
}

function ownChild(context: RouteContext, kind: Kind, name: string): ChildView {
  const child = context.backend.child(name);
  if (child === null || child.kind !== kind) throw new CodedError('not_found', `${kind} ${name}`);
  return child;
}

/** The answer of the cluster that the node is in; null when it is one of our own. */
async function forward(
  context: RouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
  kind: Kind,
  action: string,
): Promise<Record<string, unknown> | null> {
  const { name } = request.params as { readonly name: string };
  const below = splitBelow(name);
  if (below === null) return null;
  ownChild(context, 'cluster', below.child);
  const key = request.headers['idempotency-key'];
  return forwardBelow(
    context,
    {
      method: request.method,
      path: `/v1/${kind}s/${encodeURIComponent(below.rest)}${action}`,
      body: request.body ?? undefined,
      headers: typeof key === 'string' ? { 'idempotency-key': key } : {},
      signal: callSignal(reply, context.clock).signal,
    },
    below.child,
  );
}
