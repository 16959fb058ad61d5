/**
 * Who is let in. The decision is made when the command is applied, so that two requests with the last use of
 * one token, or for one name, meet in the log and only the first wins. The same function runs once before
 * the proposal, so that a stranger's guesses never reach the disk.
 *
 * Invariants:
 *  A1. A token's use and the child's record change together or not at all.
 *  A2. A name belongs to one key until the child is removed.
 *  A3. The same key asking again with the same token gets the same answer and uses nothing up: the first
 *      answer may have been lost on the way.
 */
import { ok, type Result, refused } from '../base/result.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { ChildKind, ChildRecord, TokenRecord } from '../model/membership.ts';
import type { ReplicaRecord, ReplicaRole } from '../model/replicas.ts';
import type { TokenRole } from '../model/token.ts';

/** Two machines' clocks may differ by this much: certificates are backdated by as much. */
export const CLOCK_SKEW_MAX_MS = 5 * 60_000;

export interface AdmissionRequest {
  readonly tokenId: string;
  /** sha256 of the secret that was shown, hex: the secret itself is never written down. */
  readonly secretHash: string;
  readonly name: string;
  readonly kind: ChildKind;
  readonly publicKeyFingerprint: string;
  readonly nowMs: number;
}

/** Both records as they shall be. */
export interface Admission {
  readonly token: TokenRecord;
  readonly child: ChildRecord;
}

type TokenRefusal = Extract<ErrorCode, 'token_unknown' | 'token_expired'>;
export type AdmissionRefusal = TokenRefusal | Extract<ErrorCode, 'token_used_up' | 'wrong_role' | 'name_taken'>;

const ROLE_OF_KIND: Readonly<Record<ChildKind, TokenRole>> = { node: 'worker', cluster: 'cluster' };

/** A wrong secret is answered like an unknown id: ids are public, and whether one exists is not a stranger's business. */
export function checkToken(token: TokenRecord | undefined, secretHash: string, nowMs: number): Result<TokenRecord, TokenRefusal> {
  if (token === undefined || !sameHash(token.secretHash, secretHash)) return refused('token_unknown');
  if (token.expiresAtMs !== null && nowMs >= token.expiresAtMs) return refused('token_expired');
  return ok(token);
}

/** `child`: the record that now has the name, if any. */
export function admit(
  request: AdmissionRequest,
  token: TokenRecord | undefined,
  child: ChildRecord | undefined,
): Result<Admission, AdmissionRefusal> {
  const checked = checkToken(token, request.secretHash, request.nowMs);
  if (!checked.ok) return checked;
  const valid = checked.value;
  const sameChild = child?.kind === request.kind && child.publicKeyFingerprint === request.publicKeyFingerprint;
  if (child !== undefined && sameChild && child.joinedWith === valid.id) return ok({ token: valid, child });
  if (valid.usesLeft === 0) return refused('token_used_up');
  if (valid.role !== ROLE_OF_KIND[request.kind]) return refused('wrong_role');
  if (child !== undefined && !sameChild) return refused('name_taken');
  return ok({
    token: { ...valid, usesLeft: valid.usesLeft === null ? null : valid.usesLeft - 1 },
    child: {
      name: request.name,
      kind: request.kind,
      publicKeyFingerprint: request.publicKeyFingerprint,
      joinedAtMs: child?.joinedAtMs ?? request.nowMs,
      joinedWith: valid.id,
    },
  });
}

export interface ReplicaAdmissionRequest {
  readonly tokenId: string;
  readonly secretHash: string;
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly role: ReplicaRole;
  readonly publicKeyFingerprint: string;
  readonly nowMs: number;
}

export interface ReplicaAdmission {
  readonly token: TokenRecord;
  readonly replica: ReplicaRecord;
  /** Of the node in the replica's process. */
  readonly child: ChildRecord;
}

/** `replica` and `child`: who now has the id or the name, if anybody. A token for voters is good for learners, too. */
export function admitReplica(
  request: ReplicaAdmissionRequest,
  known: {
    readonly token: TokenRecord | undefined;
    readonly replica: ReplicaRecord | undefined;
    readonly child: ChildRecord | undefined;
  },
): Result<ReplicaAdmission, AdmissionRefusal> {
  const { id, name, url, role, publicKeyFingerprint, nowMs } = request;
  const checked = checkToken(known.token, request.secretHash, nowMs);
  if (!checked.ok) return checked;
  const token = checked.value;
  const child: ChildRecord = {
    name,
    kind: 'node',
    publicKeyFingerprint,
    joinedAtMs: known.child?.joinedAtMs ?? nowMs,
    joinedWith: token.id,
  };
  const { replica } = known;
  const isSame = replica?.id === id && replica.name === name && replica.publicKeyFingerprint === publicKeyFingerprint;
  if (replica !== undefined && isSame && replica.joinedWith === token.id) return ok({ token, replica, child });
  if (token.usesLeft === 0) return refused('token_used_up');
  if (token.role !== 'voter' && token.role !== role) return refused('wrong_role');
  const isOwnNode = known.child?.kind === 'node' && known.child.publicKeyFingerprint === publicKeyFingerprint;
  if ((replica !== undefined && !isSame) || (known.child !== undefined && !isOwnNode)) return refused('name_taken');
  return ok({
    token: { ...token, usesLeft: token.usesLeft === null ? null : token.usesLeft - 1 },
    replica: { id, name, url, role, publicKeyFingerprint, joinedAtMs: replica?.joinedAtMs ?? nowMs, joinedWith: token.id },
    child,
  });
}

/** Takes as long for a near miss as for a far one. */
function sameHash(known: string, shown: string): boolean {
  if (known.length !== shown.length) return false;
  let difference = 0;
  for (let i = 0; i < known.length; i++) difference |= known.charCodeAt(i) ^ shown.charCodeAt(i);
  return difference === 0;
}
