/**
 * Who may call what. Every route says it; what says nothing (an unknown route too) takes a viewer, so that a
 * stranger learns nothing about what exists.
 *
 *   stranger     anybody
 *   certificate  a child of this orchestrator; the route itself looks at the certificate
 *   viewer       a token of role viewer or admin
 *   admin        a token of role admin
 *
 * The parent of this orchestrator speaks over a connection that this orchestrator dialled, and counts as admin:
 * whoever asks the parent has been checked there.
 */
import type { Result } from '../core/base/result.ts';
import { CodedError } from '../core/model/errors.ts';
import type { RequestRefusal } from '../core/model/requests.ts';
import type { TokenRole } from '../core/model/token.ts';
import { refusalError } from './errors.ts';

export type Access = 'stranger' | 'certificate' | 'viewer' | 'admin';

export type Authenticate = (tokenText: string) => Result<{ readonly role: TokenRole }, RequestRefusal>;

/** Throws `unauthenticated`, `forbidden` or what `authenticate` refuses with. */
export function checkAccess(access: Access, authorization: string | undefined, authenticate: Authenticate): void {
  if (access === 'stranger' || access === 'certificate') return;
  const tokenText = bearerToken(authorization);
  if (tokenText === undefined) throw new CodedError('unauthenticated', 'expected a header "Authorization: Bearer TOKEN"');
  const authenticated = authenticate(tokenText);
  if (!authenticated.ok) throw refusalError(authenticated.error);
  const { role } = authenticated.value;
  if (role === 'admin' || (role === 'viewer' && access === 'viewer')) return;
  throw new CodedError('forbidden', `it has the role ${role}, and this takes ${access}`);
}

/** The text of the token in such a header; undefined when there is none. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
}
