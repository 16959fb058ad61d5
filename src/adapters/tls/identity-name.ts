/**
 * Who a certificate speaks for is one URI in its subject alternative names, as in SPIFFE:
 * `tendril://orchestrator`, `tendril://node/<name>` or `tendril://cluster/<name>`. Addresses change at the
 * edge; this does not.
 *
 * A replica speaks for its orchestrator, to children and users, and has `tendril://replica/<name>/<id>` besides, for
 * the other replicas: who dials knows by it that it has found the right one, and so does who is dialled.
 */
import type { X509Certificate } from 'node:crypto';
import { isName } from '../../core/base/ids.ts';
import { CHILD_KINDS, type ChildKind } from '../../core/model/membership.ts';
import { isReplicaId, type ReplicaId } from '../../core/raft/membership.ts';

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

export function isOrchestrator(subjectAltName: string | undefined): boolean {
  return namesIn(subjectAltName).includes(`URI:${ORCHESTRATOR_URI}`);
}

/** A replica of an orchestrator, as its certificate has it. */
export interface ReplicaName {
  /** Of its node. */
  readonly name: string;
  readonly id: ReplicaId;
}

export function replicaUri({ name, id }: ReplicaName): string {
  return `tendril://replica/${name}/${id}`;
}

/** The replica that the certificate speaks for; null when it speaks for none, or for more than one. */
export function replicaOf(subjectAltName: string | undefined): ReplicaName | null {
  if (!isOrchestrator(subjectAltName)) return null;
  const [uri = '', ...others] = namesIn(subjectAltName).filter((name) => name.startsWith('URI:tendril://replica/'));
  const [, name, id] = /^URI:tendril:\/\/replica\/([^/]+)\/([^/]+)$/.exec(uri) ?? [];
  const isGood = others.length === 0 && name !== undefined && id !== undefined && isName(name) && isReplicaId(id);
  return isGood ? { name, id } : null;
}

/** Node writes a value with unusual characters in quotes (CVE-2021-44532); in such a list a separator cannot be trusted. */
function namesIn(subjectAltName: string | undefined): readonly string[] {
  return subjectAltName === undefined || subjectAltName.includes('"') ? [] : subjectAltName.split(', ');
}
