/**
 * A token is what one person hands another: it pins the orchestrator's CA by hash, so whoever holds it can
 * check with whom they speak before they say the secret.
 *
 *   tdl1.<sha256 of the CA certificate, hex>.<id>.<secret>
 *
 * The id is public and names the record in the log; of the secret the log holds only a hash. The secret has
 * 256 random bits, so a plain hash (no slow password hash) is all that it takes to keep it from being guessed.
 */
import { assert } from '../base/assert.ts';
import type { TokenId } from '../base/ids.ts';
import { ok, type Result, refused } from '../base/result.ts';

export const TOKEN_ROLES = ['worker', 'cluster', 'voter', 'learner', 'admin', 'viewer'] as const;
export type TokenRole = (typeof TOKEN_ROLES)[number];

export interface Token {
  /** sha256 of the CA certificate's DER, 64 hex digits. */
  readonly caFingerprint: string;
  readonly id: TokenId;
  /** 32 random bytes, base64url. */
  readonly secret: string;
}

const TOKEN_PATTERN = /^tdl1\.([0-9a-f]{64})\.([a-z0-9]{4,32})\.([A-Za-z0-9_-]{43})$/;

export function formatToken(token: Token): string {
  const text = `tdl1.${token.caFingerprint}.${token.id}.${token.secret}`;
  assert(TOKEN_PATTERN.test(text), 'a token is made of a hash, an id and a secret');
  return text;
}

/** Blanks around it are forgiven: tokens are pasted. */
export function parseToken(text: string): Result<Token, 'token_malformed'> {
  const [, caFingerprint, id, secret] = TOKEN_PATTERN.exec(text.trim()) ?? [];
  if (caFingerprint === undefined || id === undefined || secret === undefined) return refused('token_malformed');
  return ok({ caFingerprint, id: id as TokenId, secret });
}
