/** Services: what a user wants to run. */

import { CodedError } from '../../core/model/errors.ts';
import type { RequestOutcome } from '../../core/model/requests.ts';
import type { ServiceResource } from '../../core/model/service.ts';
import { serviceSchema } from '../../core/model/service.ts';
import { serviceViewSchema } from '../../core/model/views.ts';
import { type Api, type RouteContext, submit } from '../context.ts';
import { invalid } from '../errors.ts';
import { nameParamsSchema, outcomeSchema, scaleBodySchema, serviceListSchema } from '../schemas.ts';

const tags = ['services'];

export function serviceRoutes(api: Api, context: RouteContext): void {
  const { backend } = context;

  api.get(
    '/v1/services',
    { schema: { operationId: 'listServices', summary: 'All services', tags, response: { 200: serviceListSchema } } },
    () => ({ items: [...backend.services()] }),
  );

  api.get(
    '/v1/services/:name',
    {
      schema: {
        operationId: 'getService',
        summary: 'One service',
        tags,
        params: nameParamsSchema,
        response: { 200: serviceViewSchema },
      },
      config: { errors: ['not_found'] },
    },
    (request) => {
      const service = backend.service(request.params.name);
      if (service === null) throw new CodedError('not_found', `service ${request.params.name}`);
      return service;
    },
  );

  api.put(
    '/v1/services/:name',
    {
      schema: {
        operationId: 'putService',
        summary: 'Creates a service, or changes it to this',
        description: 'A changed spec replaces the instances as `spec.update` says; nothing happens when all is so already.',
        tags,
        params: nameParamsSchema,
        body: serviceSchema,
        response: { 200: outcomeSchema },
      },
      config: { access: 'admin', errors: ['impossible', 'limit_reached', 'conflict'] },
    },
    (request) => {
      if (request.body.metadata.name !== request.params.name)
        throw invalid('metadata.name', `is ${request.body.metadata.name}, but the path says ${request.params.name}`);
      return submit(context, request, applyServiceRequest(request.body));
    },
  );

  api.delete(
    '/v1/services/:name',
    {
      schema: {
        operationId: 'deleteService',
        summary: 'Stops all instances of a service and forgets it (TERMINATE)',
        tags,
        params: nameParamsSchema,
        response: { 200: outcomeSchema },
      },
      config: { access: 'admin', errors: ['not_found', 'conflict'] },
    },
    (request) => submit(context, request, { type: 'deleteService', name: request.params.name }),
  );

  api.post(
    '/v1/services/:name/scale',
    {
      schema: {
        operationId: 'scaleService',
        summary: 'Sets the number of copies (REPLICATE)',
        tags,
        params: nameParamsSchema,
        body: scaleBodySchema,
        response: { 200: outcomeSchema },
      },
      config: { access: 'admin', errors: ['not_found', 'conflict', 'limit_reached'] },
    },
    (request): Promise<RequestOutcome> =>
      submit(context, request, { type: 'scaleService', name: request.params.name, replicas: request.body.replicas }),
  );
}

export function applyServiceRequest({ metadata, spec }: ServiceResource) {
  return { type: 'applyService', name: metadata.name, labels: metadata.labels, spec } as const;
}
