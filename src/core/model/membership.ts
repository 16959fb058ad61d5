/** Who may come in and who is in: the records that an orchestrator keeps in its log. */
import type { TokenRole } from './token.ts';

export const CHILD_KINDS = ['node', 'cluster'] as const;
export type ChildKind = (typeof CHILD_KINDS)[number];

export interface TokenRecord {
  readonly id: string;
  /** sha256 of the secret, hex. */
  readonly secretHash: string;
  readonly role: TokenRole;
  readonly createdAtMs: number;
  /** null: never. */
  readonly expiresAtMs: number | null;
  /** How many more children may join with it; null: any number. Tokens of users are not used up. */
  readonly usesLeft: number | null;
}

/** A child belongs by its key: a renewed certificate of the same key is the same member. */
export interface ChildRecord {
  readonly name: string;
  readonly kind: ChildKind;
  /** sha256 of the public key's SubjectPublicKeyInfo in DER, hex. */
  readonly publicKeyFingerprint: string;
  readonly joinedAtMs: number;
  /** The token it last joined with: a repeated request with the same one uses nothing up. */
  readonly joinedWith: string;
}

/** What a verified certificate says about the other end of a connection. */
export interface Peer {
  readonly name: string;
  readonly kind: ChildKind;
  readonly publicKeyFingerprint: string;
  /** sha256 of the certificate's DER, hex. */
  readonly certificateFingerprint: string;
}

/** A certificate outlives a removal by up to its lifetime, so being signed is not enough: the record must still be there. */
export function isMember(child: ChildRecord | undefined, peer: Peer): child is ChildRecord {
  return child?.name === peer.name && child.kind === peer.kind && child.publicKeyFingerprint === peer.publicKeyFingerprint;
}
