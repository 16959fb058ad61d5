/** Whatever goes wrong in a request becomes one shape: `{error: {code, message, hint, details}}`. */
import { CodedError, ERRORS, type ErrorCode, type ErrorDetail } from '../core/model/errors.ts';
import type { RequestRefusal } from '../core/model/requests.ts';
import type { ErrorBody } from './schemas.ts';

export function errorBody(error: CodedError): ErrorBody {
  const details = error.details.map(({ field, message, file, line, column }) => ({
    field,
    message,
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  }));
  return { error: { code: error.code, message: error.message, hint: error.hint, details } };
}

export function refusalError(refusal: RequestRefusal): CodedError {
  return new CodedError(refusal.code, refusal.what, refusal.details);
}

export function invalid(field: string, message: string): CodedError {
  return new CodedError('invalid_request', '', [{ field, message }]);
}

/** Fastify's own refusals, by its codes. Only what a client can cause; all else is a defect of ours. */
const FASTIFY: Readonly<Record<string, { readonly code: ErrorCode; readonly details: readonly ErrorDetail[] }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'too_large', details: [] },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'invalid_request',
    details: [{ field: 'Content-Type', message: 'expected application/json' }],
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'invalid_request',
    details: [{ field: 'Content-Length', message: 'the body has another length' }],
  },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'invalid_request', details: [{ field: 'URL', message: 'a part of the path is too long' }] },
  FST_ERR_BAD_URL: { code: 'invalid_request', details: [{ field: 'URL', message: 'the path is not a valid URL path' }] },
};

/** null: not the client's doing, and nothing that we know. */
export function knownError(error: unknown): CodedError | null {
  if (error instanceof CodedError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = FASTIFY[code];
  return known ? new CodedError(known.code, '', known.details) : null;
}

export function statusOf(error: CodedError): number {
  return ERRORS[error.code].status;
}
