/** About the orchestrator itself. */
import { statusViewSchema } from '../../core/model/views.ts';
import type { Api, RouteContext } from '../context.ts';
import { healthSchema } from '../schemas.ts';

const tags = ['system'];

export function systemRoutes(api: Api, context: RouteContext, openApiDocument: () => unknown): void {
  api.get(
    '/v1/health',
    {
      schema: { operationId: 'health', summary: 'Whether it answers', tags, response: { 200: healthSchema } },
      config: { access: 'stranger' },
    },
    () => ({ status: 'ok' as const }),
  );

  api.get(
    '/v1/status',
    { schema: { operationId: 'status', summary: 'How the orchestrator is doing', tags, response: { 200: statusViewSchema } } },
    () => context.backend.status(),
  );

  api.get(
    '/metrics',
    { schema: { operationId: 'metrics', summary: 'Figures in the text format of Prometheus', tags, produces: ['text/plain'] } },
    async (_request, reply) => {
      reply.type('text/plain; version=0.0.4; charset=utf-8');
      return reply.send(await context.backend.metrics());
    },
  );

  api.get('/openapi.json', { schema: { hide: true } }, openApiDocument);
}
