/**
 * What LevelDB says, as coded errors. It tells apart locked, corrupt and I/O; what kind of I/O only the
 * system's message, which it passes on, says.
 */
import { CodedError, type ErrorCode } from '../../core/model/errors.ts';

const CAUSES: readonly (readonly [RegExp, ErrorCode])[] = [
  [/LEVEL_LOCKED/, 'data_dir_locked'],
  [/ENOSPC|EDQUOT|EFBIG|No space left on device|quota exceeded|File too large/, 'disk_full'],
  [/EROFS|EACCES|EPERM|Read-only file system|Permission denied|Operation not permitted/, 'data_dir_read_only'],
  [/EMFILE|ENFILE|ENOMEM|Too many open files|Cannot allocate memory/, 'unavailable'],
];

/** Whether LevelDB or the file system said it, and not, say, an assertion in who reads the log. */
export function isLevelError(error: unknown): boolean {
  return error instanceof Error && 'code' in error;
}

export function codedLevelError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const { code, message } = innermost(error);
  const known = CAUSES.find(([pattern]) => pattern.test(`${code} ${message}`));
  return new CodedError(known?.[1] ?? 'data_dir_corrupt', message, [], error);
}

function innermost(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  if (error.cause instanceof Error) return innermost(error.cause);
  return { code: 'code' in error ? String(error.code) : '', message: error.message };
}
