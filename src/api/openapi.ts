/** The OpenAPI 3.1 document, from the schemas of the routes and the error table. */
import type { SwaggerTransform } from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { ERRORS, type ErrorCode } from '../core/model/errors.ts';

export const openApiOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Tendril',
      version: 'v1',
      description:
        'The API of one orchestrator: of a root, of a cluster, or of a node that is both. Every error has one shape, and its code one row in docs/errors.md. ' +
        'Writes take an Idempotency-Key: a retry with the same key is applied once and answered as before.',
    },
    components: {
      securitySchemes: {
        token: { type: 'http' as const, scheme: 'bearer', description: 'tendril token create --role viewer|admin' },
      },
    },
    security: [{ token: [] }],
  },
  transform: withErrors(),
  transformObject: jsonSchemaTransformObject,
};

const ANY_ROUTE: readonly ErrorCode[] = ['internal', 'unavailable'];
const WITH_INPUT: readonly ErrorCode[] = ['invalid_request'];
const WITH_BODY: readonly ErrorCode[] = ['too_large', 'too_slow'];
const WITH_TOKEN: readonly ErrorCode[] = ['unauthenticated', 'token_unknown', 'token_expired', 'forbidden'];

/** Adds what the route may refuse with, grouped by status. */
function withErrors(): SwaggerTransform {
  return (input) => {
    const transformed = jsonSchemaTransform(input as Parameters<typeof jsonSchemaTransform>[0]);
    const { access = 'viewer', errors = [] } = input.route.config ?? {};
    const { body, params, querystring } = input.schema ?? {};
    const codes = [
      ...(body || params || querystring ? WITH_INPUT : []),
      ...(access === 'viewer' || access === 'admin' ? WITH_TOKEN : []),
      ...(body ? WITH_BODY : []),
      ...errors,
      ...ANY_ROUTE,
    ];
    const schema = transformed.schema as Record<string, unknown>;
    if (schema.hide) return transformed;
    schema.response = { ...describedSuccess(schema), ...errorResponses(codes) };
    if (access === 'stranger' || access === 'certificate') schema.security = [];
    return transformed;
  };
}

function describedSuccess(schema: Record<string, unknown>): Record<string, unknown> {
  const described: Record<string, unknown> = {};
  const given = (schema.response ?? { 200: undefined }) as Record<string, unknown>;
  const text = (schema.produces as string[] | undefined)?.[0];
  for (const [status, answer] of Object.entries(given)) {
    const content =
      answer !== undefined ? { 'application/json': { schema: answer } } : { [text ?? '*/*']: { schema: { type: 'string' } } };
    described[status] = { description: 'As asked', content };
  }
  return described;
}

function errorResponses(codes: readonly ErrorCode[]): Record<string, unknown> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) byStatus.set(ERRORS[code].status, [...(byStatus.get(ERRORS[code].status) ?? []), code]);
  const responses: Record<string, unknown> = {};
  for (const [status, group] of byStatus)
    responses[status] = {
      description: group.map((code) => `\`${code}\`: ${ERRORS[code].message}.`).join(' '),
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    };
  return responses;
}

/** Leaves out the components that nothing refers to: the two directions of a schema are both made, and often one is used. */
export function withoutUnused<T extends object>(document: T): T {
  const components = (document as { components?: { schemas?: Record<string, unknown> } }).components;
  const all = components?.schemas;
  if (components === undefined || all === undefined) return document;
  const used = new Set<string>();
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const reference = (value as { readonly $ref?: unknown }).$ref;
    const name = typeof reference === 'string' ? reference.replace('#/components/schemas/', '') : undefined;
    if (name !== undefined && !used.has(name)) {
      used.add(name);
      look(all[name]);
    }
    for (const inner of Object.values(value)) look(inner);
  };
  look({ ...document, components: undefined });
  const schemas = Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name)));
  return { ...document, components: { ...components, schemas } };
}
