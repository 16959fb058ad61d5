/** The orchestrator's certificates in its data directory: made at the first start, renewed in time. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type Authority, type AuthorityDocuments, makeAuthority, type ServerIdentity } from '../adapters/tls/authority.ts';
import { validityOf } from '../adapters/tls/fingerprint.ts';
import { coversNames } from '../adapters/tls/server-names.ts';
import { CodedError } from '../core/model/errors.ts';
import { renewAtMs } from '../core/model/renewal.ts';
import type { Store } from '../ports/store.ts';
import { readText, writeText } from './documents.ts';

const CA = 'ca.pem';
const CA_KEY = 'ca-key.pem';
const SERVER = 'server.pem';
const SERVER_KEY = 'server-key.pem';

export async function readAuthority(store: Store, nowMs: number): Promise<AuthorityDocuments> {
  const [caPem, caKeyPem] = await Promise.all([readText(store, CA), readText(store, CA_KEY)]);
  if (caPem !== null && caKeyPem !== null) return { caPem, caKeyPem };
  // The certificate is written last: alone it cannot be, and a key alone was never used.
  if (caPem !== null) throw new CodedError('data_dir_corrupt', `${CA_KEY} is missing`);
  const made = await makeAuthority(nowMs);
  await writeText(store, CA_KEY, made.caKeyPem);
  await writeText(store, CA, made.caPem);
  return made;
}

/** The one at hand while it is valid for these names and not due, else a new one. */
export async function readServerIdentity(
  store: Store,
  authority: Authority,
  names: readonly string[],
  nowMs: number,
  lifetimeMs: number | undefined,
): Promise<ServerIdentity> {
  const [certificatePem, keyPem] = await Promise.all([readText(store, SERVER), readText(store, SERVER_KEY)]);
  if (certificatePem !== null && keyPem !== null) {
    const fresh = renewAtMs(validityOf(certificatePem), 0) > nowMs;
    const paired = new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
    if (fresh && paired && coversNames(certificatePem, names)) return { certificatePem, keyPem, caPem: authority.caPem };
  }
  return renewServerIdentity(store, authority, names, nowMs, lifetimeMs);
}

export async function renewServerIdentity(
  store: Store,
  authority: Authority,
  names: readonly string[],
  nowMs: number,
  lifetimeMs: number | undefined,
): Promise<ServerIdentity> {
  const identity = await authority.makeServerIdentity(names, nowMs, lifetimeMs);
  // Key before certificate: a crash between the two leaves a pair that does not match, which the next start replaces.
  await writeText(store, SERVER_KEY, identity.keyPem);
  await writeText(store, SERVER, identity.certificatePem);
  return identity;
}
