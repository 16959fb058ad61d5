import { afterAll, beforeAll, expect, test } from 'vitest';
import { ERRORS } from '../core/model/errors.ts';
import { type ApiRig, call, startApi } from './testing/api-rig.ts';
import { VIEWER } from './testing/memory-backend.ts';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly security?: unknown[];
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, { readonly schema: unknown }> }
  >;
}

let rig: ApiRig;
let document: {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Record<string, unknown>> };
};

beforeAll(async () => {
  rig = await startApi({
    admission: {
      caPem: '',
      peerOf: () => null,
      join: () => Promise.reject(new Error('not asked')),
      renew: () => Promise.reject(new Error('not asked')),
    },
  });
  document = (await call(rig, '/openapi.json', { token: VIEWER })).json;
});
afterAll(() => rig.close());

function operations(): Operation[] {
  return Object.values(document.paths).flatMap((path) => Object.values(path));
}

test('is OpenAPI 3.1 and names every operation once', () => {
  expect(document.openapi).toBe('3.1.0');
  const ids = operations().map(({ operationId }) => operationId);
  expect(ids).not.toContain(undefined);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toContain('putService');
  for (const { summary } of operations()) expect(summary).toBeTruthy();
});

test('every reference leads somewhere, and every component is used', () => {
  const referred = new Set([...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name));
  expect([...referred].sort()).toEqual(Object.keys(document.components.schemas).sort());
});

test('says what each operation may refuse with, by status', () => {
  const known = new Set<number>(Object.values(ERRORS).map(({ status }) => status));
  for (const { responses } of operations()) {
    expect(Object.keys(responses)).toContain('500');
    for (const status of Object.keys(responses)) expect(status === '200' || known.has(Number(status))).toBe(true);
  }
  const put = document.paths['/v1/services/{name}']?.put;
  expect(put?.responses['403']?.description).toContain('`forbidden`');
  expect(put?.responses['422']?.description).toContain('`impossible`');
  expect(put?.responses['200']?.content?.['application/json']?.schema).toEqual({ $ref: '#/components/schemas/Outcome' });
});

test('only what answers strangers needs no token', () => {
  const open = Object.entries(document.paths).filter(([, path]) =>
    Object.values(path).some(({ security }) => security?.length === 0),
  );
  expect(open.map(([path]) => path).sort()).toEqual(['/v1/ca', '/v1/health', '/v1/join', '/v1/renew']);
});

test('a service is described as a person may write it', () => {
  const service = JSON.stringify(document.components.schemas.ServiceInput);
  const spec = JSON.stringify(document.components.schemas.ServiceSpecInput);
  expect(service).toContain('tendril/v1');
  expect(spec).toContain('an amount of memory such as 64Mi or 1G');
});
