/**
 * Who a replica of an orchestrator is: one key, with a certificate for its port and the other replicas, and one for the
 * node in its process. A voter also holds the orchestrator's secrets, sealed to that key, and signs for itself; a learner
 * has its certificates signed by a voter (ADR 0012).
 */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import * as z from 'zod/mini';
import { Authority, makeAuthority } from '../adapters/tls/authority.ts';
import { makeCertificateRequest, makeKey } from '../adapters/tls/certificate-request.ts';
import type { ChildIdentity } from '../adapters/tls/dial.ts';
import { publicKeyFingerprint, validityOf } from '../adapters/tls/fingerprint.ts';
import { openSealed, sealFor } from '../adapters/tls/sealing.ts';
import { coversNames } from '../adapters/tls/server-names.ts';
import { CodedError } from '../core/model/errors.ts';
import { type IssuedCertificates, type Sealed, sealedSchema } from '../core/model/join.ts';
import { renewAtMs } from '../core/model/renewal.ts';
import type { Store } from '../ports/store.ts';
import { readText, writeText } from './documents.ts';
import { parentIdentitySchema, readParentIdentity, removeParentIdentity, writeParentIdentity } from './membership.ts';

export const CA = 'ca.pem';
const KEY = 'replica-key.pem';
const CERTIFICATE = 'replica.pem';
const NODE_CERTIFICATE = 'node.pem';
const SECRETS = 'authority.sealed';

/** On the own disk without the parent's part, which lies beside it. */
const secretsSchema = z.object({ caKeyPem: z.string(), parent: z.nullable(parentIdentitySchema) });
type Secrets = z.output<typeof secretsSchema>;

export interface ReplicaIdentityInit {
  readonly id: string;
  readonly name: string;
  /** Host names and addresses of the port. */
  readonly serverNames: readonly string[];
  readonly lifetimeMs: number | undefined;
}

export class ReplicaIdentity {
  readonly #store: Store;
  readonly #init: ReplicaIdentityInit;
  readonly #keyPem: string;
  readonly #caPem: string;
  #issued: IssuedCertificates | null;
  #authority: Authority | null;
  #caKeyPem: string | null = null;

  private constructor(
    store: Store,
    init: ReplicaIdentityInit,
    parts: { keyPem: string; caPem: string; issued: IssuedCertificates | null; caKeyPem: string | null },
  ) {
    this.#store = store;
    this.#init = init;
    this.#keyPem = parts.keyPem;
    this.#caPem = parts.caPem;
    this.#issued = parts.issued;
    this.#caKeyPem = parts.caKeyPem;
    const { caPem, caKeyPem } = parts;
    this.#authority = caKeyPem === null ? null : new Authority({ caPem, caKeyPem });
  }

  /** What is on the disk; a first start, of a replica that has joined nobody, makes an authority. */
  static async open(store: Store, init: ReplicaIdentityInit, nowMs: number): Promise<ReplicaIdentity> {
    const keyPem = await readReplicaKey(store);
    const [caPem, certificatePem, nodeCertificatePem] = await Promise.all(
      [CA, CERTIFICATE, NODE_CERTIFICATE].map((name) => readText(store, name)),
    );
    const issued = certificatePem && nodeCertificatePem ? { certificatePem, nodeCertificatePem } : null;
    const identity =
      caPem == null
        ? await ReplicaIdentity.#found(store, init, keyPem, nowMs)
        : new ReplicaIdentity(store, init, { keyPem, caPem, issued, caKeyPem: await readCaKey(store, keyPem) });
    if (identity.#issued === null && identity.#authority === null)
      throw new CodedError('data_dir_corrupt', `${CERTIFICATE} is missing, and no authority is here to sign another`);
    if (identity.#authority !== null && !identity.#isFresh(nowMs)) await identity.renew(nowMs);
    return identity;
  }

  static async #found(store: Store, init: ReplicaIdentityInit, keyPem: string, nowMs: number): Promise<ReplicaIdentity> {
    const { caPem, caKeyPem } = await makeAuthority(nowMs);
    // The certificate is written last: what is there without it was never used.
    await writeSecrets(store, keyPem, caKeyPem);
    await writeText(store, CA, caPem);
    return new ReplicaIdentity(store, init, { keyPem, caPem, issued: null, caKeyPem });
  }

  get caPem(): string {
    return this.#caPem;
  }

  /** null on a learner, and on a voter that has not been given it yet. */
  get authority(): Authority | null {
    return this.#authority;
  }

  /** Throws `unavailable` where nothing can be signed. */
  get signer(): Authority {
    if (this.#authority) return this.#authority;
    throw new CodedError('unavailable', 'this replica does not hold the authority; voters do');
  }

  /** Of the replica: for its port and the other replicas. */
  get replica(): ChildIdentity {
    return { caPem: this.#caPem, keyPem: this.#keyPem, certificatePem: this.#certificates.certificatePem };
  }

  /** Of the node in this process. */
  get node(): ChildIdentity {
    return { caPem: this.#caPem, keyPem: this.#keyPem, certificatePem: this.#certificates.nodeCertificatePem };
  }

  get publicKeyFingerprint(): string {
    return publicKeyFingerprint(new X509Certificate(this.#certificates.certificatePem));
  }

  get validity() {
    return validityOf(this.#certificates.certificatePem);
  }

  get request(): { readonly csrPem: string; readonly serverNames: readonly string[] } {
    return { csrPem: makeCertificateRequest(this.#keyPem, this.#init.name), serverNames: this.#init.serverNames };
  }

  /** New certificates: signed here, or by `ask`, a voter. */
  async renew(nowMs: number, ask?: (request: ReplicaIdentity['request']) => Promise<IssuedCertificates>): Promise<void> {
    const { id, name, lifetimeMs } = this.#init;
    const { request } = this;
    const issued = this.#authority
      ? await issueCertificates(this.#authority, { ...request, id, name, nowMs, lifetimeMs })
      : await (ask ?? (() => Promise.reject(new CodedError('unavailable', 'no voter can be asked'))))(request);
    await keepCertificates(this.#store, issued);
    this.#issued = issued;
  }

  /** What voters hold, for a replica that has become one: the authority's key, and the identity with the own parent. */
  async sealSecretsFor(publicKeyPem: string): Promise<Sealed> {
    if (this.#caKeyPem === null) throw new CodedError('unavailable', 'this replica does not hold the authority; voters do');
    const secrets: Secrets = { caKeyPem: this.#caKeyPem, parent: await readParentIdentity(this.#store) };
    return sealFor(publicKeyPem, JSON.stringify(secrets));
  }

  /** From a voter: this replica signs from now on, and can speak to the parent. */
  async takeSecrets(sealed: Sealed): Promise<void> {
    const { caKeyPem, parent } = readSecrets(openSealed(this.#keyPem, sealed));
    if (parent) await writeParentIdentity(this.#store, parent);
    this.#authority = new Authority({ caPem: this.#caPem, caKeyPem });
    this.#caKeyPem = caKeyPem;
    await writeSecrets(this.#store, this.#keyPem, caKeyPem);
  }

  /** No voter any more: what it held is not kept. (It may have been copied: see docs/security.md.) */
  async dropSecrets(): Promise<void> {
    this.#authority = null;
    this.#caKeyPem = null;
    await removeParentIdentity(this.#store);
    await this.#store.remove(SECRETS);
  }

  get #certificates(): IssuedCertificates {
    if (this.#issued) return this.#issued;
    throw new CodedError('data_dir_corrupt', `${CERTIFICATE} is missing`);
  }

  #isFresh(nowMs: number): boolean {
    if (this.#issued === null) return false;
    const { certificatePem } = this.#issued;
    const isPaired = new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(this.#keyPem));
    const isDue = renewAtMs(validityOf(certificatePem), 0) <= nowMs;
    return isPaired && !isDue && coversNames(certificatePem, this.#init.serverNames);
  }
}

/** What a voter signs for a replica: both certificates, for one key. */
export async function issueCertificates(
  authority: Authority,
  input: {
    readonly csrPem: string;
    readonly id: string;
    readonly name: string;
    readonly serverNames: readonly string[];
    readonly nowMs: number;
    readonly lifetimeMs: number | undefined;
  },
): Promise<IssuedCertificates> {
  const { csrPem, id, name, serverNames, nowMs } = input;
  const lifetime = input.lifetimeMs === undefined ? {} : { lifetimeMs: input.lifetimeMs };
  return {
    certificatePem: await authority.signReplica({ csrPem, id, name, serverNames, nowMs, ...lifetime }),
    nodeCertificatePem: await authority.signChild({ csrPem, name, kind: 'node', nowMs, ...lifetime }),
  };
}

/** The name of the life of this disk, for a replica that joins others. */
export function replicaIdOf(keyPem: string): string {
  const key = createPublicKey(keyPem).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex').slice(0, 16);
}

/** Made at the first start, and kept: members are known by it. */
export async function readReplicaKey(store: Store): Promise<string> {
  const known = await readText(store, KEY);
  if (known !== null) return known;
  const keyPem = await makeKey();
  await writeText(store, KEY, keyPem);
  return keyPem;
}

export async function keepCertificates(store: Store, issued: IssuedCertificates): Promise<void> {
  await writeText(store, NODE_CERTIFICATE, issued.nodeCertificatePem);
  await writeText(store, CERTIFICATE, issued.certificatePem);
}

/** What a replica that joins gets. The authority's certificate is written last: with it, the replica has joined. */
export async function keepJoined(store: Store, issued: IssuedCertificates, caPem: string): Promise<void> {
  await keepCertificates(store, issued);
  await writeText(store, CA, caPem);
}

/** The authority's key, for whoever may read this data directory; null where it is not held. */
export async function readCaKey(store: Store, keyPem: string): Promise<string | null> {
  const text = await readText(store, SECRETS);
  if (text === null) return null;
  const sealed = sealedSchema.safeParse(parseJson(text));
  if (!sealed.success) throw new CodedError('data_dir_corrupt', SECRETS);
  return readSecrets(openSealed(keyPem, sealed.data)).caKeyPem;
}

function readSecrets(text: string): Secrets {
  const secrets = secretsSchema.safeParse(parseJson(text));
  if (secrets.success) return secrets.data;
  throw new CodedError('data_dir_corrupt', SECRETS);
}

function writeSecrets(store: Store, keyPem: string, caKeyPem: string): Promise<void> {
  const secrets: Secrets = { caKeyPem, parent: null };
  return writeText(store, SECRETS, JSON.stringify(sealFor(keyPem, JSON.stringify(secrets))));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
