/** Messages as JSON text, and the counting of them. */
import type * as z from 'zod/mini';
import { limits } from '../../core/base/limits.ts';

/** Since the start; for metrics. Bytes are those of the payloads. */
export interface UplinkCounters {
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** What came in and did not parse, and what was too large to go out. */
  droppedInvalid: number;
}

export function newCounters(): UplinkCounters {
  return { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, droppedInvalid: 0 };
}

/** Something an operator may want to know; never called with a secret. */
export type Warn = (message: string, details: Readonly<Record<string, string | number>>) => void;

/** What arrived, checked; null, counted and told to `warn`, when it is not what `schema` says or not of this `type`. */
export function decode<T extends { readonly type: string }>(
  schema: z.ZodMiniType<T>,
  type: string,
  payload: Buffer,
  counters: UplinkCounters,
  warn: (problem: string) => void,
): T | null {
  counters.messagesIn += 1;
  counters.bytesIn += payload.length;
  const refuse = (problem: string): null => {
    counters.droppedInvalid += 1;
    warn(problem);
    return null;
  };
  if (payload.length > limits.uplinkMessageBytes)
    return refuse(`${payload.length} bytes are more than ${limits.uplinkMessageBytes}`);
  let json: unknown;
  try {
    json = JSON.parse(payload.toString('utf8'));
  } catch {
    return refuse('it is not JSON');
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return refuse(issue ? `${issue.path.join('.')}: ${issue.message}` : 'it does not follow the schema');
  }
  return parsed.data.type === type ? parsed.data : refuse(`a ${parsed.data.type} on the topic of ${type}`);
}

/** null, counted, when it is larger than the other end would take. */
export function encode(message: object, counters: UplinkCounters): Buffer | null {
  const payload = Buffer.from(JSON.stringify(message));
  if (payload.length > limits.uplinkMessageBytes) {
    counters.droppedInvalid += 1;
    return null;
  }
  counters.messagesOut += 1;
  counters.bytesOut += payload.length;
  return payload;
}
