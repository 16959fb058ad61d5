/** What the desks for children and for replicas share: a body as it came in, and refusals as errors. */
import * as z from 'zod/mini';
import type { Result } from '../core/base/result.ts';
import { CodedError, type ErrorCode } from '../core/model/errors.ts';
import { CLOCK_SKEW_MAX_MS } from '../core/orchestrator/admission.ts';

export function parseBody<T extends z.core.$ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = z.safeParse(schema, body);
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message }));
  throw new CodedError('invalid_request', '', details);
}

export function accepted<T>(result: Result<T, ErrorCode>, what = ''): T {
  if (!result.ok) throw new CodedError(result.error, result.error === 'name_taken' ? what : '');
  return result.value;
}

/** Throws `clock_skew`. */
export function checkClocks(name: string, theirsMs: number, oursMs: number): void {
  if (Math.abs(theirsMs - oursMs) > CLOCK_SKEW_MAX_MS)
    throw new CodedError('clock_skew', `${name} has ${timeText(theirsMs)}, the orchestrator ${timeText(oursMs)}`);
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
