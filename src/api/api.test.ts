import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DecisionRecord } from '../core/model/decisions.ts';
import { ERRORS } from '../core/model/errors.ts';
import { REPLICAS_HEADER } from '../core/model/leadership.ts';
import { validate } from '../core/model/validation.ts';
import { applyAnswerSchema, errorBodySchema, instanceListSchema, nodeListSchema, serviceListSchema } from './schemas.ts';
import { type ApiRig, call, startApi } from './testing/api-rig.ts';
import { ADMIN, VIEWER, WORKER } from './testing/memory-backend.ts';

let rig: ApiRig;

beforeAll(async () => {
  rig = await startApi({
    replicas: () => ['https://10.0.0.5:7443', 'https://10.0.0.6:7443'],
    admission: {
      caPem: '-----BEGIN CERTIFICATE-----',
      peerOf: () => null,
      join: () => Promise.resolve({ certificatePem: '-----BEGIN A', caPem: '-----BEGIN B', orchestratorName: 'root' }),
      renew: () => Promise.resolve({ certificatePem: '-----BEGIN A' }),
    },
  });
});
afterAll(() => rig.close());
beforeEach(() => {
  rig.backend.submitted.length = 0;
});

function service(name: string, spec: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    apiVersion: 'tendril/v1',
    kind: 'Service',
    metadata: { name },
    spec: { runtime: 'process', command: ['serve'], ...spec },
  };
}

describe('who may what', () => {
  test('a stranger gets an answer from health, ca and join only', async () => {
    expect((await call(rig, '/v1/health', { token: null })).json).toEqual({ status: 'ok' });
    expect((await call(rig, '/v1/ca', { token: null })).json.caPem).toContain('BEGIN CERTIFICATE');
    const join = { token: 't', name: 'n1', kind: 'node', csrPem: '-----BEGIN CERTIFICATE REQUEST-----', nowMs: 1 };
    expect((await call(rig, '/v1/join', { token: null, body: join })).status).toBe(200);
    for (const path of ['/v1/status', '/v1/services', '/metrics', '/openapi.json', '/v1/nothing', '/'])
      expect(await call(rig, path, { token: null })).toMatchObject({ status: 401, json: { error: { code: 'unauthenticated' } } });
  });

  test('roles', async () => {
    expect((await call(rig, '/v1/status', { token: VIEWER })).status).toBe(200);
    expect((await call(rig, '/v1/status', { token: WORKER })).json.error.code).toBe('forbidden');
    expect((await call(rig, '/v1/status', { token: 'guess' })).json.error.code).toBe('token_unknown');
    const refused = await call(rig, '/v1/services/web', { token: VIEWER, method: 'PUT', body: service('web') });
    expect(refused).toMatchObject({ status: 403, json: { error: { code: 'forbidden', hint: ERRORS.forbidden.hint } } });
    expect(rig.backend.submitted).toEqual([]);
  });

  test('who may look is told where the replicas are, and nobody else', async () => {
    const told = async (path: string, token: string | null) => (await call(rig, path, { token })).headers[REPLICAS_HEADER];
    const replicas = 'https://10.0.0.5:7443 https://10.0.0.6:7443';
    expect(await told('/v1/status', VIEWER)).toBe(replicas);
    expect(await told('/v1/services/nope', ADMIN)).toBe(replicas);
    for (const token of [null, 'guess', WORKER]) expect(await told('/v1/status', token)).toBeUndefined();
    expect(await told('/v1/ca', ADMIN)).toBeUndefined();
  });

  test('renewing takes a certificate, not a token', async () => {
    const body = { csrPem: '-----BEGIN CERTIFICATE REQUEST-----' };
    expect((await call(rig, '/v1/renew', { token: ADMIN, body })).json.error.code).toBe('certificate_refused');
  });
});

describe('services', () => {
  test('put, get, scale, delete', async () => {
    expect((await call(rig, '/v1/services/web', { method: 'PUT', body: service('web') })).json).toEqual({
      effect: 'created',
      name: 'web',
    });
    expect((await call(rig, '/v1/services/web', { method: 'PUT', body: service('web') })).json.effect).toBe('unchanged');
    expect((await call(rig, '/v1/services/web/scale', { body: { replicas: 4 } })).json.effect).toBe('changed');
    expect((await call(rig, '/v1/services/web')).json).toMatchObject({ name: 'web', wanted: 4, spec: { stopGrace: 10_000 } });
    expect(validate(serviceListSchema, (await call(rig, '/v1/services')).json).ok).toBe(true);
    expect((await call(rig, '/v1/services/web', { method: 'DELETE' })).json).toEqual({ effect: 'deleted', name: 'web' });
    expect(await call(rig, '/v1/services/web')).toMatchObject({ status: 404, json: { error: { code: 'not_found' } } });
    expect((await call(rig, '/v1/services/web', { method: 'DELETE' })).status).toBe(404);
  });

  test('the name in the body is that of the path', async () => {
    const { json } = await call(rig, '/v1/services/web', { method: 'PUT', body: service('api') });
    expect(json.error.details).toEqual([{ field: 'metadata.name', message: 'is api, but the path says web' }]);
  });

  test('what is wrong is named by field', async () => {
    const body = service('web', { resources: { memory: '64Q' }, replica: 2 });
    const { status, json } = await call(rig, '/v1/services/web', { method: 'PUT', body });
    expect(status).toBe(400);
    expect(validate(errorBodySchema, json).ok).toBe(true);
    expect(json.error.details).toEqual([
      { field: 'spec.resources.memory', message: '"64Q" is not an amount of memory such as 64Mi or 1G' },
      { field: 'spec.replica', message: 'unknown field; did you mean replicas?' },
    ]);
    expect((await call(rig, '/v1/services/No%20Name')).json.error.details[0].field).toBe(':name');
    expect((await call(rig, '/v1/instances?servic=web')).json.error.details).toEqual([
      { field: '?servic', message: 'unknown field; did you mean service?' },
    ]);
  });

  test('a retry with the same key is applied once', async () => {
    const headers = { 'idempotency-key': 'k1' };
    const options = { method: 'PUT', body: service('once'), headers };
    expect((await call(rig, '/v1/services/once', options)).json.effect).toBe('created');
    expect((await call(rig, '/v1/services/once', options)).json.effect).toBe('created');
    expect(rig.backend.submitted).toHaveLength(1);
    const bad = await call(rig, '/v1/services/once', { ...options, headers: { 'idempotency-key': 'a b' } });
    expect(bad.json.error.details[0].field).toBe('Idempotency-Key');
  });
});

describe('apply', () => {
  test('one bad resource and none is applied; index and field are named', async () => {
    const resources = [service('good'), service('bad', { replicas: -1 }), { kind: 'Job' }, service('good')];
    const { status, json } = await call(rig, '/v1/apply', { body: { resources } });
    expect(status).toBe(400);
    expect(json.error.code).toBe('invalid_manifest');
    expect(json.error.details).toEqual([
      { field: 'resources[1].spec.replicas', message: 'at least 0' },
      { field: 'resources[2].kind', message: 'unknown kind Job' },
      { field: 'resources[3].metadata.name', message: 'resources[0] has the name good already' },
    ]);
    expect(rig.backend.submitted).toEqual([]);
    expect((await call(rig, '/v1/apply', { body: { resources: [{ kind: 'Job' }] } })).json.error.code).toBe('unknown_kind');
  });

  test('a dry run says what would change and changes nothing', async () => {
    const resources = [service('fresh')];
    const dry = await call(rig, '/v1/apply?dryRun=true', { body: { resources } });
    expect(validate(applyAnswerSchema, dry.json).ok).toBe(true);
    expect(dry.json.items[0]).toMatchObject({ name: 'fresh', effect: 'created', before: null, after: { spec: { replicas: 1 } } });
    expect(rig.backend.submitted).toEqual([]);
    const applied = await call(rig, '/v1/apply', { body: { resources } });
    expect(applied.json.items).toEqual([{ kind: 'Service', name: 'fresh', effect: 'created' }]);
    const changed = [service('fresh', { replicas: 2 })];
    const again = await call(rig, '/v1/apply?dryRun=true', { body: { resources: changed } });
    expect(again.json.items[0]).toMatchObject({
      effect: 'changed',
      before: { spec: { replicas: 1 } },
      after: { spec: { replicas: 2 } },
    });
    expect((await call(rig, '/v1/apply?dryRun=true', { body: { resources } })).json.items[0].effect).toBe('unchanged');
  });
});

describe('instances, nodes, tokens', () => {
  test('ids have dots; migration takes cluster and node in one word', async () => {
    rig.backend.putInstance('web-1.2', 'web');
    rig.backend.putInstance('api-1', 'api');
    expect((await call(rig, '/v1/instances/web-1.2')).json.id).toBe('web-1.2');
    const list = (await call(rig, '/v1/instances?service=web')).json;
    expect(validate(instanceListSchema, list).ok && list.items.length).toBe(1);
    await call(rig, '/v1/instances/web-1.2/migrate', { body: { node: 'garching/n2' } });
    await call(rig, '/v1/instances/web-1.2/migrate', { body: {} });
    expect(rig.backend.submitted).toEqual([
      { type: 'migrateInstance', instance: 'web-1.2', cluster: 'garching', node: 'n2' },
      { type: 'migrateInstance', instance: 'web-1.2' },
    ]);
    const wrong = await call(rig, '/v1/instances/web-1.2/migrate', { body: { cluster: 'potsdam', node: 'garching/n2' } });
    expect(wrong.status).toBe(400);
  });

  test('cordon, drain, remove; a node is no cluster', async () => {
    rig.backend.putChild('n1', 'node');
    expect((await call(rig, '/v1/nodes/n1/cordon', { body: { cordoned: true } })).json).toEqual({
      effect: 'changed',
      name: 'n1',
    });
    expect((await call(rig, '/v1/nodes/n1')).json.state).toBe('cordoned');
    await call(rig, '/v1/nodes/n1/drain', { body: { draining: true } });
    expect((await call(rig, '/v1/nodes/n1')).json.state).toBe('draining');
    expect((await call(rig, '/v1/clusters/n1')).status).toBe(404);
    expect((await call(rig, '/v1/clusters/n1/cordon', { body: { cordoned: true } })).status).toBe(404);
    expect(validate(nodeListSchema, (await call(rig, '/v1/nodes')).json).ok).toBe(true);
    expect((await call(rig, '/v1/nodes/n1', { method: 'DELETE' })).json.effect).toBe('deleted');
    expect((await call(rig, '/v1/nodes/n1')).json.error.message).toBe('There is no such thing: node n1');
  });

  test('the text of a token is said once', async () => {
    const options = { body: { role: 'worker', ttl: '1h', uses: 1 }, headers: { 'idempotency-key': 'token-1' } };
    const made = (await call(rig, '/v1/tokens', options)).json;
    expect(made).toEqual({ id: made.id, token: `tdl1.text.${made.id}` });
    expect((await call(rig, '/v1/tokens', options)).json.error.code).toBe('conflict');
    const list = (await call(rig, '/v1/tokens')).json;
    expect(list.items[0]).toMatchObject({ id: made.id, role: 'worker', usesLeft: 1 });
    expect(JSON.stringify(list)).not.toContain('ababab');
    expect((await call(rig, `/v1/tokens/${made.id}`, { method: 'DELETE' })).json.effect).toBe('deleted');
  });
});

describe('decision records', () => {
  const record = (number: number): DecisionRecord => ({
    ...{ number, atMs: 1, cause: 'create', service: 'web', instance: `web-${number}`, replaces: null, request: null },
    ...{ seen: null, choice: 'n1', term: 1, leader: 'root', votes: [], before: '00', hash: '01' },
  });

  test('are listed, read one by one and verified by whoever may look', async () => {
    rig.backend.records.push(...[1, 2, 3].map(record));
    const numbers = async (query: string) =>
      (await call(rig, `/v1/decisions${query}`, { token: VIEWER })).json.items.map((one: DecisionRecord) => one.number);
    expect(await numbers('')).toEqual([1, 2, 3]);
    expect(await numbers('?limit=2')).toEqual([2, 3]);
    expect(await numbers('?limit=1&after=1')).toEqual([2]);
    expect((await call(rig, '/v1/decisions/2', { token: VIEWER })).json).toEqual(record(2));
    expect((await call(rig, '/v1/decisions/verify', { token: VIEWER })).json).toEqual(rig.backend.verdict);
    expect((await call(rig, '/v1/decisions', { token: WORKER })).status).toBe(403);
  });

  test('that are not there or not asked for well are refused', async () => {
    expect(await call(rig, '/v1/decisions/9')).toMatchObject({ status: 404, json: { error: { code: 'not_found' } } });
    expect((await call(rig, '/v1/decisions/first')).json.error.details[0].field).toBe(':number');
    expect((await call(rig, '/v1/decisions?limit=100000')).json.error.details[0].field).toBe('?limit');
  });
});

describe('what is not there', () => {
  test('unknown routes and wrong methods say where to look', async () => {
    for (const [method, path] of [
      ['GET', '/v1/pods'],
      ['PATCH', '/v1/services/web'],
    ] as const) {
      const { status, json } = await call(rig, path, { method });
      expect(status).toBe(404);
      expect(json.error.message).toContain(`no route ${method} ${path}`);
      expect(json.error.details[0].message).toContain('/openapi.json');
    }
    expect((await call(rig, '/v1/%zz')).json.error.code).toBe('invalid_request');
  });

  test('a defect is reported to the log and not to the client', async () => {
    rig.backend.dialling.set('broken', () => Promise.reject(new Error('a detail of the inside')));
    rig.backend.putChild('broken', 'cluster');
    const { status, json } = await call(rig, '/v1/clusters/broken/api/status');
    expect({ status, error: json.error }).toEqual({
      status: 500,
      error: { code: 'internal', ...shape('internal'), details: [] },
    });
    expect(rig.defects).toEqual([new Error('a detail of the inside')]);
  });
});

function shape(code: keyof typeof ERRORS) {
  return { message: ERRORS[code].message, hint: ERRORS[code].hint };
}
