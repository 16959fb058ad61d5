import { CodedError } from '../../core/model/errors.ts';

export function ioErrorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** A failure of the node's own files, as the table of errors names it. */
export function fileFailure(error: unknown, what: string): CodedError {
  if (error instanceof CodedError) return error;
  const code = ioErrorCode(error);
  const detail = `${what}${code === '' ? '' : ` (${code})`}`;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new CodedError('disk_full', detail, [], error);
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return new CodedError('data_dir_read_only', detail, [], error);
  return new CodedError('runtime_failed', detail, [], error);
}
