/**
 * What can go wrong between here and etcd, sorted by what follows from it. Texts are etcd's own (its package
 * `rpctypes`): its gateway gives little else to tell them apart by.
 */
import { CERTIFICATE_OUT_OF_DATE, UNTRUSTED_CERTIFICATE } from '../../core/base/certificate-verdicts.ts';
import { CodedError } from '../../core/model/errors.ts';

export type EtcdTrouble =
  /** Not reached, no answer, no leader: it may be there again, and a request may have been carried out. */
  | 'away'
  /** That revision is no longer in its history. */
  | 'compacted'
  /** The lease has run out or was revoked. */
  | 'leaseGone'
  /** Its quota is used up: it takes no more keys, and has not taken these. */
  | 'full'
  /** The token has run out, or etcd was started anew since: say who you are again. */
  | 'tokenGone';

export class EtcdError extends Error {
  override readonly name = 'EtcdError';
  readonly trouble: EtcdTrouble;

  constructor(trouble: EtcdTrouble, message: string, cause?: unknown) {
    super(message, { cause });
    this.trouble = trouble;
  }
}

export function isTrouble(error: unknown, trouble: EtcdTrouble): error is EtcdError {
  return error instanceof EtcdError && error.trouble === trouble;
}

/** Something that is expected of a system on a network: whatever else is thrown is a broken invariant. */
export function isExpected(error: unknown): error is EtcdError | CodedError {
  return error instanceof EtcdError || error instanceof CodedError;
}

/** etcd has answered, and has not done what was asked. */
export function isRefusal(error: unknown): boolean {
  return (
    isTrouble(error, 'full') || isTrouble(error, 'tokenGone') || (error instanceof CodedError && error.code === 'etcd_refused')
  );
}

/** What is in etcd is not this replica's log any more: there is no use in asking again. */
export function isFatal(error: unknown): error is CodedError {
  return error instanceof CodedError && (error.code === 'etcd_damaged' || error.code === 'etcd_foreign');
}

const TROUBLES: readonly (readonly [RegExp, EtcdTrouble])[] = [
  [/required revision has been compacted/, 'compacted'],
  [/requested lease not found/, 'leaseGone'],
  [/database space exceeded/, 'full'],
  [/invalid auth token|auth store is old|revision in header is old/, 'tokenGone'],
  // Said by a member that has just lost its cluster, or is starting; code 14 covers most of it.
  [/no leader|leader changed|not leader|timed out|server stopped|too many requests|context (canceled|deadline)/, 'away'],
];

const REFUSALS = /user name|permission denied|authentication|password|auth user|common name/i;

/** Of an answer with an error in it. Codes are gRPC's. */
export function answeredError(host: string, code: number | undefined, message: string): EtcdError | CodedError {
  const known = TROUBLES.find(([pattern]) => pattern.test(message))?.[1];
  if (known !== undefined) return new EtcdError(known, `${host}: ${message}`);
  if (code === 7 || code === 16 || REFUSALS.test(message))
    return new CodedError('etcd_refused', `${host} says "${message.replace(/^etcdserver: /, '')}"`);
  if (code === 4 || code === 14) return new EtcdError('away', `${host}: ${message}`);
  return new CodedError('unreachable', `${host} says "${message}"`);
}

function isAboutTls(code: string): boolean {
  if (UNTRUSTED_CERTIFICATE.has(code) || CERTIFICATE_OUT_OF_DATE.has(code)) return true;
  // EPROTO: OpenSSL's words for what the other side said, and for an answer that is no TLS at all.
  return code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_');
}

/** Of a connection that failed. `doubt`: what else it may be than a failure, when it was broken off. */
export function connectionError(host: string, error: unknown, doubt = ''): EtcdError | CodedError {
  if (error instanceof EtcdError || error instanceof CodedError) return error;
  const { code = '', message = '' } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  if (isAboutTls(code))
    return new CodedError('etcd_untrusted', `${host} (${code === 'EPROTO' ? sslReason(message) : code})`, [], error);
  const suffix = code === 'ECONNRESET' && doubt !== '' ? `: ${doubt}` : '';
  return new EtcdError('away', `${host} (${code === '' ? message : code})${suffix}`, error);
}

/** `...:SSL routines:ssl3_get_record:wrong version number:../deps/...` */
function sslReason(message: string): string {
  return /SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] ?? 'EPROTO';
}
