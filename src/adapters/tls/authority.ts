/**
 * An orchestrator's certificate authority: every orchestrator has its own, for its children, so that a
 * cluster that is cut off from the root still lets nodes in and renews their certificates.
 *
 * The X.509 library is loaded at the first use, not at the first import: an orchestrator that restarts with
 * its certificates at hand signs nothing for weeks, and a worker never does.
 */
import { createHash, createPrivateKey, createPublicKey, webcrypto, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { assert } from '../../core/base/assert.ts';
import { isName } from '../../core/base/ids.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { ChildKind } from '../../core/model/membership.ts';
import { CLOCK_SKEW_MAX_MS } from '../../core/orchestrator/admission.ts';
import { isReplicaId } from '../../core/raft/membership.ts';
import { makeKey } from './certificate-request.ts';
import { certificateFingerprint, validityOf } from './fingerprint.ts';
import { childUri, ORCHESTRATOR_URI, type ReplicaName, replicaUri } from './identity-name.ts';
import { isServerName } from './server-names.ts';

const DAY_MS = 86_400_000;
const CA_LIFETIME_MS = 3_653 * DAY_MS;
export const CERTIFICATE_LIFETIME_MS = 90 * DAY_MS;

const P256 = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' };

/** What an orchestrator keeps of its authority, all PEM. */
export interface AuthorityDocuments {
  readonly caPem: string;
  readonly caKeyPem: string;
}

/** What a TLS server shows. */
export interface ServerIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Sent along, so that a child that joins sees whose it is. */
  readonly caPem: string;
}

export interface ChildCertificateInput {
  readonly csrPem: string;
  readonly name: string;
  readonly kind: ChildKind;
  readonly nowMs: number;
  /** Default 90 days; never beyond the CA's own end. */
  readonly lifetimeMs?: number;
}

export interface ReplicaCertificateInput extends ReplicaName {
  readonly csrPem: string;
  /** Host names and addresses under which the replica says that it can be reached. */
  readonly serverNames: readonly string[];
  readonly nowMs: number;
  /** Default 90 days; never beyond the CA's own end. */
  readonly lifetimeMs?: number;
}

/** No child's name (core/base/ids.ts): a broker that knows clients by common name must not take a child for it. */
const ORCHESTRATOR_SUBJECT = 'tendril.orchestrator';

async function loadX509() {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  return x509;
}
type X509 = Awaited<ReturnType<typeof loadX509>>;

function importSigningKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  const pkcs8 = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', pkcs8, P256, false, ['sign']);
}

function publicKeyOf(x509: X509, keyPem: string) {
  return new x509.PublicKey(createPublicKey(keyPem).export({ type: 'spki', format: 'der' }));
}

export async function makeAuthority(nowMs: number): Promise<AuthorityDocuments> {
  const x509 = await loadX509();
  const caKeyPem = await makeKey();
  const publicKey = publicKeyOf(x509, caKeyPem);
  // Two authorities never share a name: a verifier that knows both would try the wrong key.
  const name = `CN=tendril-ca-${createHash('sha256').update(new Uint8Array(publicKey.rawData)).digest('hex').slice(0, 16)}`;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: name,
    notBefore: new Date(nowMs - CLOCK_SKEW_MAX_MS),
    notAfter: new Date(nowMs + CA_LIFETIME_MS),
    signingAlgorithm: SIGNING,
    publicKey,
    signingKey: await importSigningKey(caKeyPem),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { caPem: pemOf(certificate.toString('pem')), caKeyPem };
}

export class Authority {
  readonly caPem: string;
  /** What tokens pin. */
  readonly caFingerprint: string;
  readonly #caKeyPem: string;

  /** Throws `data_dir_corrupt` when the documents are not a certificate and its key. */
  constructor(documents: AuthorityDocuments) {
    this.caPem = documents.caPem;
    this.#caKeyPem = documents.caKeyPem;
    try {
      this.caFingerprint = certificateFingerprint(documents.caPem);
      const matches = new X509Certificate(documents.caPem).checkPrivateKey(createPrivateKey(documents.caKeyPem));
      assert(matches, 'the key belongs to the certificate');
    } catch (error) {
      throw new CodedError('data_dir_corrupt', 'the certificate authority and its key do not match', [], error);
    }
  }

  /**
   * The key that a request asks a certificate for, once the request's own signature has shown that the sender
   * holds it. Throws `invalid_request`.
   */
  async readRequest(csrPem: string): Promise<{ readonly publicKeyFingerprint: string }> {
    const request = await parseRequest(await loadX509(), csrPem);
    return { publicKeyFingerprint: createHash('sha256').update(new Uint8Array(request.publicKey.rawData)).digest('hex') };
  }

  /** A child's certificate: for clients only, so that no child can pass for an orchestrator. */
  async signChild(input: ChildCertificateInput): Promise<string> {
    assert(isName(input.name), 'a child has a name');
    const x509 = await loadX509();
    const request = await parseRequest(x509, input.csrPem);
    return this.#sign(x509, {
      subject: input.name,
      publicKey: request.publicKey,
      nowMs: input.nowMs,
      lifetimeMs: input.lifetimeMs ?? CERTIFICATE_LIFETIME_MS,
      usages: [x509.ExtendedKeyUsage.clientAuth],
      alternativeNames: [{ type: 'url', value: childUri(input.kind, input.name) }],
    });
  }

  /**
   * A replica's certificate, for the port that it serves and for the replicas that it dials. It speaks for the
   * orchestrator, too: children who pin this authority take the replica for what it is. Throws `invalid_request`.
   */
  async signReplica(input: ReplicaCertificateInput): Promise<string> {
    assert(isName(input.name) && isReplicaId(input.id), 'a replica has a name and an id');
    const { serverNames } = input;
    if (serverNames.length > limits.certificateNames || !serverNames.every(isServerName)) {
      const message = `at most ${limits.certificateNames} host names and addresses`;
      throw new CodedError('invalid_request', message, [{ field: 'serverNames', message }]);
    }
    const x509 = await loadX509();
    const request = await parseRequest(x509, input.csrPem);
    return this.#sign(x509, {
      subject: ORCHESTRATOR_SUBJECT,
      publicKey: request.publicKey,
      nowMs: input.nowMs,
      lifetimeMs: input.lifetimeMs ?? CERTIFICATE_LIFETIME_MS,
      usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
      alternativeNames: [
        { type: 'url', value: ORCHESTRATOR_URI },
        { type: 'url', value: replicaUri(input) },
        ...hostNames(serverNames),
      ],
    });
  }

  /** A new key and certificate for the orchestrator's own port; `names` are host names and addresses. */
  async makeServerIdentity(
    names: readonly string[],
    nowMs: number,
    lifetimeMs = CERTIFICATE_LIFETIME_MS,
  ): Promise<ServerIdentity> {
    const x509 = await loadX509();
    const keyPem = await makeKey();
    const certificatePem = await this.#sign(x509, {
      subject: ORCHESTRATOR_SUBJECT,
      publicKey: publicKeyOf(x509, keyPem),
      nowMs,
      lifetimeMs,
      usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
      alternativeNames: [{ type: 'url', value: ORCHESTRATOR_URI }, ...hostNames(names)],
    });
    return { certificatePem, keyPem, caPem: this.caPem };
  }

  async #sign(
    x509: X509,
    leaf: {
      readonly subject: string;
      readonly publicKey: InstanceType<X509['PublicKey']>;
      readonly nowMs: number;
      readonly lifetimeMs: number;
      readonly usages: string[];
      readonly alternativeNames: { type: 'url' | 'dns' | 'ip'; value: string }[];
    },
  ): Promise<string> {
    const ca = new x509.X509Certificate(this.caPem);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${leaf.subject}`,
      issuer: ca.subject,
      notBefore: new Date(leaf.nowMs - CLOCK_SKEW_MAX_MS),
      notAfter: new Date(Math.min(leaf.nowMs + leaf.lifetimeMs, validityOf(this.caPem).notAfterMs)),
      signingAlgorithm: SIGNING,
      publicKey: leaf.publicKey,
      signingKey: await importSigningKey(this.#caKeyPem),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(leaf.usages),
        new x509.SubjectAlternativeNameExtension(leaf.alternativeNames),
        await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(leaf.publicKey),
      ],
    });
    return pemOf(certificate.toString('pem'));
  }
}

function hostNames(names: readonly string[]): { type: 'dns' | 'ip'; value: string }[] {
  return names.map((name) => ({ type: isIP(name) ? 'ip' : 'dns', value: name }));
}

async function parseRequest(x509: X509, csrPem: string) {
  const refuse = (why: string, cause?: unknown) =>
    new CodedError('invalid_request', why, [{ field: 'csrPem', message: why }], cause);
  try {
    const request = new x509.Pkcs10CertificateRequest(csrPem);
    const { algorithm } = request.publicKey;
    if (!('namedCurve' in algorithm) || algorithm.namedCurve !== P256.namedCurve)
      throw refuse('the key of the certificate request is not ECDSA on P-256');
    if (!(await request.verify())) throw refuse('the certificate request is not signed by its own key');
    return request;
  } catch (error) {
    throw error instanceof CodedError ? error : refuse('that is not a certificate request', error);
  }
}

function pemOf(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
