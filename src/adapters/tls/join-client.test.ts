import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TlsSite } from '../../../test/rig/tls-site.ts';
import type { TokenRecord } from '../../core/model/membership.ts';
import { call } from './call.ts';
import { makeCertificateRequest, makeKey } from './certificate-request.ts';
import type { ChildIdentity } from './dial.ts';
import { certificateFingerprint, keyFingerprint } from './fingerprint.ts';
import { type JoinInput, joinParent, renewAtParent } from './join-client.ts';
import { authenticate } from './token-secret.ts';

describe('joining', () => {
  let site: TlsSite;
  let keyPem: string;
  beforeEach(async () => {
    [site, keyPem] = await Promise.all([TlsSite.open(), makeKey()]);
  });
  afterEach(() => site.close());

  const join = (change: Partial<JoinInput> = {}, record: Partial<TokenRecord> = {}) =>
    joinParent({
      url: site.url,
      token: change.token ?? site.token(record),
      name: 'n1',
      kind: 'node',
      keyPem,
      nowMs: Date.now(),
      ...change,
    });

  const joined = async (change: Partial<JoinInput> = {}, record: Partial<TokenRecord> = {}): Promise<ChildIdentity> => {
    const { caPem, certificatePem } = await join(change, record);
    return { caPem, certificatePem, keyPem: change.keyPem ?? keyPem };
  };

  const whoAmI = (identity: ChildIdentity) => call({ url: site.url, method: 'GET', path: '/peer', trust: identity });

  it('ends with a certificate by which the parent knows the child', async () => {
    const response = await join();
    expect(response).toMatchObject({ orchestratorName: 'root', caPem: site.authority.caPem });
    expect(await whoAmI({ ...response, keyPem })).toEqual({
      name: 'n1',
      kind: 'node',
      publicKeyFingerprint: keyFingerprint(keyPem),
      certificateFingerprint: certificateFingerprint(response.certificatePem),
    });
    expect([...site.tokens.values()]).toMatchObject([{ usesLeft: 0 }]);
  });

  it('takes a cluster in with a cluster token', async () => {
    const identity = await joined({ name: 'garching', kind: 'cluster' }, { role: 'cluster' });
    expect(await whoAmI(identity)).toMatchObject({ name: 'garching', kind: 'cluster' });
  });

  it.each([
    ['token_expired', { expiresAtMs: 1 }],
    ['token_used_up', { usesLeft: 0 }],
    ['wrong_role', { role: 'cluster' }],
    ['wrong_role', { role: 'admin' }],
    ['token_unknown', { id: 'gone', secretHash: 'gone' }],
  ] as const)('is refused with %s for a token with %o, and leaves no trace', async (code, record) => {
    await expect(join({}, record)).rejects.toMatchObject({ code });
    expect(site.children.size).toBe(0);
    expect(site.commits).toBe(0);
  });

  it('is refused for what is no token, without a word to the parent', async () => {
    await expect(join({ token: 'let me in' })).rejects.toMatchObject({ code: 'token_malformed' });
    expect(site.bodies).toEqual([]);
  });

  it('is refused by the child when the CA is not the pinned one, before the secret is said', async () => {
    const other = await TlsSite.open();
    const token = other.token();
    await other.close();
    await expect(join({ token })).rejects.toMatchObject({ code: 'wrong_ca' });
    expect(site.bodies).toEqual(['']);
  });

  it('is refused when somebody shows the right CA without being it', async () => {
    // An impostor relays the true CA, which is no secret, from a port of its own.
    const impostor = await TlsSite.open();
    impostor.server.replaceIdentity({
      ...(await impostor.authority.makeServerIdentity(['localhost'], Date.now())),
      caPem: site.authority.caPem,
    });
    Object.defineProperty(impostor.authority, 'caPem', { value: site.authority.caPem });
    await expect(join({ url: impostor.url })).rejects.toMatchObject({ code: 'wrong_ca' });
    expect(impostor.bodies).toEqual(['']);
    await impostor.close();
  });

  it('keeps a name for the key that has it', async () => {
    await join();
    await expect(join({ keyPem: await makeKey() })).rejects.toMatchObject({
      code: 'name_taken',
      message: 'The name is taken: n1',
    });
    expect(site.children.get('n1')?.publicKeyFingerprint).toBe(keyFingerprint(keyPem));
    expect([...site.tokens.values()].map(({ usesLeft }) => usesLeft)).toEqual([0, 1]);
  });

  it('keeps the name of the orchestrator for the node in its own process', async () => {
    await expect(join({ name: 'root' })).rejects.toMatchObject({ code: 'name_taken' });
    expect(site.commits).toBe(0);
  });

  it('lets one of two through that race for the last use of a token', async () => {
    const token = site.token();
    const outcomes = await Promise.allSettled([
      join({ token, name: 'n1' }),
      join({ token, name: 'n2', keyPem: await makeKey() }),
    ]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(site.children.size).toBe(1);
  });

  it('succeeds when it is repeated after a lost answer, and uses the token once', async () => {
    const token = site.token({ usesLeft: 2 });
    site.loseNextAnswer = true;
    await expect(join({ token })).rejects.toMatchObject({ code: 'unreachable' });
    expect(site.children.size).toBe(1);
    expect(await whoAmI(await joined({ token }))).toMatchObject({ name: 'n1' });
    expect([...site.tokens.values()]).toMatchObject([{ usesLeft: 1 }]);
  });

  it('refuses skewed clocks on the child, before the secret is said, and on the parent', async () => {
    const nowMs = Date.now() - 6 * 60_000;
    await expect(join({ nowMs })).rejects.toMatchObject({ code: 'clock_skew' });
    expect(site.bodies).toEqual(['']);
    const body = { token: site.token(), name: 'n1', kind: 'node', csrPem: makeCertificateRequest(keyPem, 'n1'), nowMs };
    const trust = { caPem: site.authority.caPem };
    const request = call({ url: site.url, method: 'POST', path: '/v1/join', trust, body });
    await expect(request).rejects.toMatchObject({ code: 'clock_skew', message: expect.stringContaining('n1 has ') });
  });

  it('names the fields of a malformed request', async () => {
    const trust = { caPem: site.authority.caPem };
    const request = call({ url: site.url, method: 'POST', path: '/v1/join', trust, body: { name: 'N 1', kind: 'pet' } });
    await expect(request).rejects.toMatchObject({ code: 'invalid_request' });
    await request.catch((error: { details: { field: string }[] }) => {
      expect(error.details.map(({ field }) => field)).toEqual(expect.arrayContaining(['name', 'kind', 'token', 'csrPem']));
    });
  });

  it('renews for the same key; the old and the new certificate are the same member', async () => {
    const identity = await joined();
    const renewed = await renewAtParent(site.url, identity);
    expect(renewed.certificatePem).not.toBe(identity.certificatePem);
    expect(await whoAmI(renewed)).toMatchObject({ name: 'n1', publicKeyFingerprint: keyFingerprint(keyPem) });
    expect(await whoAmI(identity)).toMatchObject({ name: 'n1' });
  });

  it('renews for nobody else: removed, replaced by another key, no certificate', async () => {
    const identity = await joined();
    const record = site.children.get('n1');
    site.children.clear();
    await expect(renewAtParent(site.url, identity)).rejects.toMatchObject({ code: 'not_a_member' });
    if (record) site.children.set('n1', { ...record, publicKeyFingerprint: '0'.repeat(64) });
    await expect(renewAtParent(site.url, identity)).rejects.toMatchObject({ code: 'not_a_member' });
    if (record) site.children.set('n1', record);
    const renew = { url: site.url, method: 'POST', path: '/v1/renew' } as const;
    const body = { csrPem: makeCertificateRequest(await makeKey(), 'n1') };
    await expect(call({ ...renew, trust: identity, body })).rejects.toMatchObject({ code: 'invalid_request' });
    const stranger = { caPem: identity.caPem };
    await expect(call({ ...renew, trust: stranger, body })).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('refuses an expired certificate, one of another authority, and the orchestrator’s own', async () => {
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    const caPem = site.authority.caPem;
    const old = { csrPem, name: 'n1', kind: 'node', nowMs: Date.now() - 10 * 60_000, lifetimeMs: 60_000 } as const;
    const expired = { caPem, keyPem, certificatePem: await site.authority.signChild(old) };
    expect(await whoAmI(expired)).toEqual({ refused: 'it has expired' });
    await expect(renewAtParent(site.url, expired)).rejects.toMatchObject({ code: 'certificate_refused' });

    const other = await TlsSite.open();
    const certificatePem = await other.authority.signChild({ csrPem, name: 'n1', kind: 'node', nowMs: Date.now() });
    await other.close();
    expect(await whoAmI({ caPem, keyPem, certificatePem })).toEqual({ refused: expect.stringContaining('another authority') });

    const own = await site.authority.makeServerIdentity(['localhost'], Date.now());
    expect(await whoAmI({ ...own, caPem })).toEqual({ refused: 'it names no node and no cluster' });
  });

  it('does not take a child for an orchestrator', async () => {
    const identity = await joined();
    site.server.replaceIdentity(identity);
    await expect(whoAmI(identity)).rejects.toMatchObject({
      code: 'wrong_ca',
      message: expect.stringContaining('INVALID_PURPOSE'),
    });
  });

  it('says no secret in any refusal', async () => {
    const token = site.token({ expiresAtMs: 1 });
    const secret = token.split('.').at(-1);
    const refusal = await join({ token }).catch((error: Error) => error);
    expect(JSON.stringify([refusal, String(refusal), site.turnedAway])).not.toContain(secret);
  });

  it('has a parent that signs what it was asked for, or says so', async () => {
    const sign = site.authority.signChild.bind(site.authority);
    Object.assign(site.authority, { signChild: (input: Parameters<typeof sign>[0]) => sign({ ...input, name: 'n9' }) });
    await expect(join()).rejects.toMatchObject({ code: 'internal' });
  });
});

describe('calls', () => {
  it('tell apart: nobody there, no TLS, no tendril, no address, no answer', async () => {
    const ask = (url: string, timeoutMs = 5_000) => call({ url, method: 'GET', path: '/v1/ca', trust: null, timeoutMs });
    const plain = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => void plain.listen(0, '127.0.0.1', resolve));
    const { port } = plain.address() as AddressInfo;
    await expect(ask(`https://127.0.0.1:${port}`)).rejects.toMatchObject({ code: 'unreachable' });
    await new Promise((resolve) => plain.close(resolve));
    await expect(ask(`https://127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    expect(() => ask('ftp://x')).toThrow(expect.objectContaining({ code: 'invalid_request' }));

    const silent = createServer().on('connection', () => undefined);
    await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
    const silentUrl = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    await expect(ask(silentUrl, 200)).rejects.toMatchObject({ code: 'unreachable' });
    silent.closeAllConnections();
    await new Promise((resolve) => silent.close(resolve));
  });

  it('take a certificate that the clock does not allow for what it is', async () => {
    const site = await TlsSite.open();
    const late = await site.authority.makeServerIdentity(['localhost'], Date.now() + 3_600_000);
    site.server.replaceIdentity(late);
    const request = call({ url: site.url, method: 'GET', path: '/peer', trust: { caPem: site.authority.caPem } });
    await expect(request).rejects.toMatchObject({ code: 'clock_skew' });
    await site.close();
  });
});

describe('user tokens', () => {
  it('open the API with their role; others do not', async () => {
    const site = await TlsSite.open();
    const check = (text: string) => authenticate(text, (id) => site.tokens.get(id), 1_000);
    expect(check(site.token({ role: 'admin' }))).toMatchObject({ ok: true, value: { role: 'admin' } });
    expect(check(site.token({ role: 'viewer', usesLeft: null }))).toMatchObject({ ok: true, value: { role: 'viewer' } });
    expect(check(site.token({ role: 'worker' }))).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(check(site.token({ role: 'admin', expiresAtMs: 1_000 }))).toMatchObject({
      ok: false,
      error: { code: 'token_expired' },
    });
    expect(check('tdl1.x')).toMatchObject({ ok: false, error: { code: 'token_malformed' } });
    const token = site.token({ role: 'admin' });
    expect(check(`${token.slice(0, -1)}${token.endsWith('A') ? 'E' : 'A'}`)).toMatchObject({
      ok: false,
      error: { code: 'token_unknown' },
    });
    expect(new X509Certificate(site.authority.caPem).ca).toBe(true);
    await site.close();
  });
});
