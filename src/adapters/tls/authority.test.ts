import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { Authority, type AuthorityDocuments, CERTIFICATE_LIFETIME_MS, makeAuthority } from './authority.ts';
import { makeCertificateRequest, makeKey } from './certificate-request.ts';
import { certificateFingerprint, keyFingerprint, publicKeyFingerprint, validityOf } from './fingerprint.ts';
import { childOf, isOrchestrator, replicaOf } from './identity-name.ts';
import { coversNames, serverNames } from './server-names.ts';

const NOW_MS = Date.UTC(2026, 0, 1);

describe('authority', () => {
  let documents: AuthorityDocuments;
  let authority: Authority;
  let keyPem: string;
  beforeAll(async () => {
    documents = await makeAuthority(NOW_MS);
    authority = new Authority(documents);
    keyPem = await makeKey();
  });

  it('signs itself, for ten years, valid five minutes ago already', () => {
    const ca = new X509Certificate(documents.caPem);
    expect(ca.ca).toBe(true);
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect(authority.caFingerprint).toBe(ca.fingerprint256.replaceAll(':', '').toLowerCase());
    const { notBeforeMs, notAfterMs } = validityOf(documents.caPem);
    expect(notBeforeMs).toBe(NOW_MS - 300_000);
    expect(new Date(notAfterMs).getUTCFullYear()).toBe(2036);
  });

  it('gives a child a certificate for clients only, in its own name, for its own key', async () => {
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    expect(await authority.readRequest(csrPem)).toEqual({ publicKeyFingerprint: keyFingerprint(keyPem) });
    const pem = await authority.signChild({ csrPem, name: 'n2', kind: 'cluster', nowMs: NOW_MS });
    const certificate = new X509Certificate(pem);
    expect(certificate.subject).toBe('CN=n2');
    expect(certificate.subjectAltName).toBe('URI:tendril://cluster/n2');
    expect(childOf(certificate)).toEqual({ kind: 'cluster', name: 'n2' });
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(new X509Certificate(documents.caPem).publicKey)).toBe(true);
    expect(publicKeyFingerprint(certificate)).toBe(keyFingerprint(keyPem));
    expect(validityOf(pem)).toEqual({ notBeforeMs: NOW_MS - 300_000, notAfterMs: NOW_MS + CERTIFICATE_LIFETIME_MS });
  });

  it('keeps the key and changes the certificate when it signs again', async () => {
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    const [first, second] = await Promise.all(
      [0, 1].map(() => authority.signChild({ csrPem, name: 'n1', kind: 'node', nowMs: NOW_MS })),
    );
    expect(certificateFingerprint(String(first))).not.toBe(certificateFingerprint(String(second)));
    expect(publicKeyFingerprint(new X509Certificate(String(first)))).toBe(
      publicKeyFingerprint(new X509Certificate(String(second))),
    );
  });

  it('signs nothing beyond its own end', async () => {
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    const pem = await authority.signChild({ csrPem, name: 'n1', kind: 'node', nowMs: NOW_MS, lifetimeMs: 1e13 });
    expect(validityOf(pem).notAfterMs).toBe(validityOf(documents.caPem).notAfterMs);
  });

  it('certifies the orchestrator under all its names', async () => {
    const names = serverNames(['edge.example.org', '203.0.113.7', '2001:db8::7']);
    const { certificatePem } = await authority.makeServerIdentity(names, NOW_MS);
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(isOrchestrator(certificate.subjectAltName)).toBe(true);
    expect(childOf(certificate)).toBeNull();
    expect(coversNames(certificatePem, names)).toBe(true);
    expect(coversNames(certificatePem, [...names, 'other.example.org'])).toBe(false);
    expect(names).toEqual(expect.arrayContaining(['localhost', '127.0.0.1', '::1', '2001:db8::7']));
  });

  it('gives a replica one for servers and clients, in its own name and the orchestrator’s', async () => {
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    const names = ['edge.example.org', '203.0.113.7', '2001:db8::7'];
    const pem = await authority.signReplica({ csrPem, name: 'n1', id: 'a1', serverNames: names, nowMs: NOW_MS });
    const certificate = new X509Certificate(pem);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(replicaOf(certificate.subjectAltName)).toEqual({ name: 'n1', id: 'a1' });
    expect(isOrchestrator(certificate.subjectAltName)).toBe(true);
    expect(childOf(certificate)).toBeNull();
    expect(coversNames(pem, names)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(new X509Certificate(documents.caPem).publicKey)).toBe(true);
    expect(publicKeyFingerprint(certificate)).toBe(keyFingerprint(keyPem));
    expect(validityOf(pem).notAfterMs).toBe(NOW_MS + CERTIFICATE_LIFETIME_MS);
  });

  it('puts nothing into a replica’s certificate that is no host name and no address', async () => {
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    const sign = (serverNames: readonly string[]) =>
      authority.signReplica({ csrPem, name: 'n1', id: 'a1', serverNames, nowMs: NOW_MS });
    for (const name of ['', 'a b', 'x, URI:tendril://replica/n2/a2', '*.example.org', 'a"b'])
      await expect(sign([name])).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(sign(Array.from({ length: 129 }, (_, at) => `h${at}`))).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('refuses a request that is none, is not signed by its own key, or has another kind of key', async () => {
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    const body = Buffer.from(csrPem.replace(/-----.*-----|\n/g, ''), 'base64');
    body.write('n2', body.indexOf('n1'));
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${body.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    for (const bad of ['', 'x', documents.caPem, forged, csrPem.slice(0, 200)])
      await expect(authority.readRequest(bad)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('refuses a key that is not its own', async () => {
    expect(() => new Authority({ ...documents, caKeyPem: keyPem })).toThrow(
      expect.objectContaining({ code: 'data_dir_corrupt' }),
    );
    expect(() => new Authority({ caPem: 'x', caKeyPem: keyPem })).toThrow(expect.objectContaining({ code: 'data_dir_corrupt' }));
  });
});

describe('identity names', () => {
  it('does not take quoted text for a name of its own', () => {
    expect(isOrchestrator('URI:tendril://orchestrator, DNS:localhost')).toBe(true);
    expect(isOrchestrator('DNS:"a, URI:tendril://orchestrator, b"')).toBe(false);
    expect(isOrchestrator('URI:tendril://orchestrator/x')).toBe(false);
    expect(isOrchestrator(undefined)).toBe(false);
  });

  it('knows a replica by one name, beside the orchestrator’s', () => {
    const own = 'URI:tendril://orchestrator';
    expect(replicaOf(`${own}, URI:tendril://replica/n1/a1, DNS:localhost`)).toEqual({ name: 'n1', id: 'a1' });
    for (const text of [
      undefined,
      own,
      'URI:tendril://replica/n1/a1',
      `${own}, URI:tendril://replica/n1/a1, URI:tendril://replica/n2/a2`,
      `${own}, URI:tendril://replica/n1/A1`,
      `${own}, URI:tendril://replica/n1/a1/x`,
      `${own}, URI:tendril://replica/n1`,
      `DNS:"x, ${own}, URI:tendril://replica/n1/a1"`,
    ])
      expect(replicaOf(text)).toBeNull();
  });
});
