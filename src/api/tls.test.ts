/** The API behind the real TLS port: joining, renewing, and a large body refused over TLS. */
import { generateKeyPairSync } from 'node:crypto';
import { request } from 'node:https';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../adapters/system-clock/clock.ts';
import { Authority, makeAuthority } from '../adapters/tls/authority.ts';
import { joinParent, renewAtParent } from '../adapters/tls/join-client.ts';
import { peerOf, SecureServer } from '../adapters/tls/secure-server.ts';
import { hashSecret, makeToken } from '../adapters/tls/token-secret.ts';
import { ok, refused } from '../core/base/result.ts';
import type { ChildRecord, TokenRecord } from '../core/model/membership.ts';
import { admit } from '../core/orchestrator/admission.ts';
import { AdmissionDesk } from '../node/admission.ts';
import { type ApiRig, readText, startApi } from './testing/api-rig.ts';
import { ADMIN } from './testing/memory-backend.ts';

let authority: Authority;
let rig: ApiRig;
let server: SecureServer;
const tokens = new Map<string, TokenRecord>();
const children = new Map<string, ChildRecord>();

beforeEach(async () => {
  authority = new Authority(await makeAuthority(Date.now()));
  const desk = new AdmissionDesk(
    {
      clock: systemClock,
      hashSecret,
      signer: authority,
      registry: {
        token: (id) => tokens.get(id),
        child: (name) => children.get(name),
        register: (admission) => {
          const outcome = admit(admission, tokens.get(admission.tokenId), children.get(admission.name));
          if (!outcome.ok) return Promise.resolve(refused({ code: outcome.error, what: admission.name, details: [] }));
          children.set(outcome.value.child.name, outcome.value.child);
          return Promise.resolve(ok(null));
        },
      },
    },
    { orchestratorName: 'root' },
  );
  rig = await startApi({
    admission: {
      caPem: authority.caPem,
      peerOf,
      join: (body) => desk.join(body),
      renew: (peer, body) => desk.renew(peer, body),
    },
  });
  server = new SecureServer({
    host: '127.0.0.1',
    port: 0,
    identity: await authority.makeServerIdentity(['localhost', '127.0.0.1'], Date.now()),
    request: rig.api.handler,
    turnedAway: () => {},
  });
  await server.open();
});
afterEach(async () => {
  await rig.close();
  await server.close();
});

test('a node joins and renews through the API', async () => {
  const { text, id, secretHash } = makeToken(authority.caFingerprint);
  tokens.set(id, { id, secretHash, role: 'worker', createdAtMs: 0, expiresAtMs: null, usesLeft: 1 });
  const url = `https://127.0.0.1:${server.port}`;
  const keyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
  const joined = await joinParent({ url, token: text, name: 'n1', kind: 'node', keyPem, nowMs: Date.now() });
  expect(joined.orchestratorName).toBe('root');
  const identity = { keyPem, caPem: joined.caPem, certificatePem: joined.certificatePem };
  expect((await renewAtParent(url, identity)).certificatePem).not.toBe(joined.certificatePem);
  children.clear();
  await expect(renewAtParent(url, identity)).rejects.toMatchObject({ code: 'not_a_member' });
  const wrong = makeToken(authority.caFingerprint).text;
  const asking = joinParent({ url, token: wrong, name: 'n2', kind: 'node', keyPem, nowMs: Date.now() });
  await expect(asking).rejects.toMatchObject({ code: 'token_unknown' });
});

test('50 MB over TLS: the refusal arrives', async () => {
  const total = 50 * 1024 * 1024;
  const outgoing = request({
    host: '127.0.0.1',
    port: server.port,
    ca: authority.caPem,
    method: 'POST',
    path: '/v1/apply',
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json', 'content-length': total },
    agent: false,
  });
  const answered = new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    outgoing.on('response', (incoming) => {
      readText(incoming).then((text) => resolve({ status: incoming.statusCode, text }), reject);
    });
    outgoing.on('error', reject);
  });
  outgoing.end(Buffer.alloc(total, ' '));
  const { status, text } = await answered;
  expect({ status, code: JSON.parse(text).error.code }).toEqual({ status: 413, code: 'too_large' });
  outgoing.destroy();
});
