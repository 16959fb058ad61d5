/**
 * Who a certificate speaks for is one URI in its subject alternative names, as in SPIFFE:
 * `tendril://orchestrator`, `tendril://node/<name>` or `tendril://cluster/<name>`. Addresses change at the
 * edge; this does not.
 */
import type { X509Certificate } from 'node:crypto';
import { isName } from '../../core/base/ids.ts';
import { CHILD_KINDS, type ChildKind } from '../../core/model/membership.ts';

export const ORCHESTRATOR_URI = 'tendril://orchestrator';

export function childUri(kind: ChildKind, name: string): string {
  return `tendril://${kind}/${name}`;
}

/** The child that the certificate speaks for; null when it speaks for none, or for more than one thing. */
export function childOf(certificate: X509Certificate): { readonly kind: ChildKind; readonly name: string } | null {
  const [, kindText, name] = /^URI:tendril:\/\/([a-z]+)\/([^/]+)$/.exec(certificate.subjectAltName ?? '') ?? [];
  const kind = CHILD_KINDS.find((known) => known === kindText);
  return kind !== undefined && name !== undefined && isName(name) ? { kind, name } : null;
}

/** Node writes a value with unusual characters in quotes (CVE-2021-44532); in such a list a separator cannot be trusted. */
export function isOrchestrator(subjectAltName: string | undefined): boolean {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return false;
  return subjectAltName.split(', ').includes(`URI:${ORCHESTRATOR_URI}`);
}
