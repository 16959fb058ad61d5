/** What certificates and keys are recognised by. Hex digits of sha256 throughout. */
import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import type { Validity } from '../../core/model/renewal.ts';

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Of the whole certificate (DER). Throws when it is none. */
export function certificateFingerprint(certificate: X509Certificate | string): string {
  return sha256(typeof certificate === 'string' ? new X509Certificate(certificate).raw : certificate.raw);
}

/** Of the public key (SubjectPublicKeyInfo, DER): stays when a certificate is renewed. */
export function publicKeyFingerprint(certificate: X509Certificate): string {
  return sha256(certificate.publicKey.export({ type: 'spki', format: 'der' }));
}

/** Of the public half of a private key in PEM. */
export function keyFingerprint(keyPem: string): string {
  return sha256(createPublicKey(keyPem).export({ type: 'spki', format: 'der' }));
}

export function validityOf(certificatePem: string): Validity {
  const certificate = new X509Certificate(certificatePem);
  return { notBeforeMs: Date.parse(certificate.validFrom), notAfterMs: Date.parse(certificate.validTo) };
}
