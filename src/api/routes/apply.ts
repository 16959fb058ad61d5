/** `tendril apply` and `tendril diff`: many resources in one request, none applied when one is not valid. */
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod/mini';
import { CodedError, type ErrorDetail } from '../../core/model/errors.ts';
import { type ServiceResource, serviceSchema } from '../../core/model/service.ts';
import { formatPath, validate } from '../../core/model/validation.ts';
import { type Api, idempotencyKey, type RouteContext } from '../context.ts';
import { errorBody, refusalError } from '../errors.ts';
import { type ApplyResult, applyAnswerSchema, applyBodySchema, applyQuerySchema } from '../schemas.ts';
import { applyServiceRequest } from './services.ts';

export function applyRoutes(api: Api, context: RouteContext): void {
  api.post(
    '/v1/apply',
    {
      schema: {
        operationId: 'apply',
        summary: 'Creates or changes many resources',
        description:
          'All are validated first, and nothing is applied when one is not valid: the details then name it as `resources[2].spec.replicas`. ' +
          'With dryRun=true nothing is applied; the answer says for each what is there and what would be.',
        tags: ['services'],
        querystring: applyQuerySchema,
        body: applyBodySchema,
        response: { 200: applyAnswerSchema },
      },
      config: { access: 'admin', errors: ['invalid_manifest', 'unknown_kind'] },
    },
    async (request) => {
      const resources = readResources(request.body.resources);
      if (request.query.dryRun) return { items: resources.map((resource) => difference(context, resource)) };
      const key = idempotencyKey(request);
      const items: ApplyResult[] = [];
      for (const [index, resource] of resources.entries())
        items.push(await apply(context, resource, key === undefined ? undefined : `${key}/${index}`));
      return { items };
    },
  );
}

const kindSchema = z.object({ kind: z.string() });

/** Throws `invalid_manifest` or `unknown_kind` with all that is wrong in any of them. */
function readResources(inputs: readonly unknown[]): ServiceResource[] {
  const resources: ServiceResource[] = [];
  const details: ErrorDetail[] = [];
  let onlyUnknownKinds = true;
  const indexOfName = new Map<string, number>();
  for (const [index, input] of inputs.entries()) {
    const kind = z.safeParse(kindSchema, input);
    if (kind.success && kind.data.kind !== 'Service') {
      details.push({ field: `resources[${index}].kind`, message: `unknown kind ${kind.data.kind.slice(0, 64)}` });
      continue;
    }
    const resource = validate(serviceSchema, input);
    if (!resource.ok) {
      onlyUnknownKinds = false;
      for (const { path, message } of resource.error) details.push({ field: formatPath(['resources', index, ...path]), message });
      continue;
    }
    const { name } = resource.value.metadata;
    const first = indexOfName.get(name);
    if (first !== undefined) {
      onlyUnknownKinds = false;
      details.push({ field: `resources[${index}].metadata.name`, message: `resources[${first}] has the name ${name} already` });
    }
    indexOfName.set(name, index);
    resources.push(resource.value);
  }
  if (details.length > 0) throw new CodedError(onlyUnknownKinds ? 'unknown_kind' : 'invalid_manifest', '', details);
  return resources;
}

async function apply(context: RouteContext, resource: ServiceResource, key: string | undefined): Promise<ApplyResult> {
  const result = { kind: 'Service', name: resource.metadata.name } as const;
  const outcome = await context.backend.submit(applyServiceRequest(resource), key);
  if (!outcome.ok) return { ...result, effect: 'refused', error: errorBody(refusalError(outcome.error)).error };
  const { effect } = outcome.value;
  return { ...result, effect: effect === 'deleted' ? 'unchanged' : effect };
}

function difference(context: RouteContext, { metadata, spec }: ServiceResource): ApplyResult {
  const service = context.backend.service(metadata.name);
  const before = service === null ? null : { labels: service.labels, spec: service.spec };
  const after = { labels: metadata.labels, spec };
  const effect = before === null ? 'created' : isDeepStrictEqual(before, after) ? 'unchanged' : 'changed';
  return { kind: 'Service', name: metadata.name, effect, before, after };
}
