/** The secret half of tokens: making it, hashing it, and telling by it who calls the API. */
import { createHash, randomBytes } from 'node:crypto';
import type { TokenId } from '../../core/base/ids.ts';
import { ok, type Result, refused } from '../../core/base/result.ts';
import type { ErrorCode } from '../../core/model/errors.ts';
import type { TokenRecord } from '../../core/model/membership.ts';
import type { RequestRefusal } from '../../core/model/requests.ts';
import { formatToken, parseToken, type TokenRole } from '../../core/model/token.ts';
import { checkToken } from '../../core/orchestrator/admission.ts';

export interface NewToken {
  /** For the person who asked; kept nowhere else. */
  readonly text: string;
  readonly id: string;
  readonly secretHash: string;
}

export function makeToken(caFingerprint: string): NewToken {
  const id = randomBytes(5).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  return { text: formatToken({ caFingerprint, id: id as TokenId, secret }), id, secretHash: hashSecret(secret) };
}

export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

export type UserRole = Extract<TokenRole, 'admin' | 'viewer'>;

/** What a bearer token may do at the API. Tokens for joining are `forbidden` here: they may do nothing but join. */
export function authenticate(
  tokenText: string,
  findToken: (id: string) => TokenRecord | undefined,
  nowMs: number,
): Result<{ readonly id: string; readonly role: UserRole }, RequestRefusal> {
  const parsed = parseToken(tokenText);
  if (!parsed.ok) return refuse(parsed.error);
  const checked = checkToken(findToken(parsed.value.id), hashSecret(parsed.value.secret), nowMs);
  if (!checked.ok) return refuse(checked.error);
  const { id, role } = checked.value;
  return role === 'admin' || role === 'viewer'
    ? ok({ id, role })
    : refuse('forbidden', `a token of role ${role} is for joining only`);
}

function refuse(code: ErrorCode, what = '') {
  return refused<RequestRefusal>({ code, what, details: [] });
}
