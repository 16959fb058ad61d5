/** What OpenSSL finds wrong with a certificate, by the codes of Node's errors (nodejs.org/api/tls.html, "X509 certificate error codes"). */

/** Nobody whom this side trusts has signed it, for this purpose. */
export const UNTRUSTED_CERTIFICATE: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_PURPOSE',
]);

/** One of the two clocks is wrong, or it was not renewed. */
export const CERTIFICATE_OUT_OF_DATE: ReadonlySet<string> = new Set(['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED']);
