/** One JSON request over HTTPS, as joining, renewing and the CLI make it. Whatever goes wrong is a `CodedError`. */
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import * as z from 'zod/mini';
import { CERTIFICATE_OUT_OF_DATE, UNTRUSTED_CERTIFICATE } from '../../core/base/certificate-verdicts.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError, ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import { type ChildIdentity, dialOptions, type Trust } from './dial.ts';

export interface Call {
  /** `https://host:port`, without a path. */
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** null takes whoever answers: only for asking who it is, before anything secret is said. */
  readonly trust: Trust | ChildIdentity | null;
  readonly token?: string | undefined;
  readonly body?: unknown;
  /** From dialling to the end of the answer; 10 s by default. */
  readonly timeoutMs?: number;
}

const CALL_TIMEOUT_MS = 10_000;

const errorBodySchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z._default(
      z.array(
        z.object({
          field: z.string(),
          message: z.string(),
          file: z.optional(z.string()),
          line: z.optional(z.number()),
          column: z.optional(z.number()),
        }),
      ),
      [],
    ),
  }),
});

/**
 * The parsed answer; undefined when it is empty. Throws what the API answered, or `unreachable` (no
 * connection, no answer in time, no sense in it), `wrong_ca`, `clock_skew` (its certificate is not valid by
 * this machine's clock), `too_large`.
 */
export function call(request: Call): Promise<unknown> {
  const url = parseUrl(request.url);
  const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  const options: RequestOptions = {
    ...(request.trust === null ? { rejectUnauthorized: false, minVersion: 'TLSv1.3' } : dialOptions(request.trust)),
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port || 443,
    method: request.method,
    path: request.path,
    agent: false,
    headers: {
      accept: 'application/json',
      ...(body ? { 'content-type': 'application/json', 'content-length': body.length } : {}),
      ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
    },
  };
  return new Promise((resolve, reject) => {
    const timeoutMs = request.timeoutMs ?? CALL_TIMEOUT_MS;
    const outgoing = httpsRequest(options, (response) => {
      readAnswer(response, url.host).then(resolve, (error: unknown) => {
        outgoing.destroy();
        reject(asCoded(error, url.host));
      });
    });
    const timer = setTimeout(() => {
      outgoing.destroy(new CodedError('unreachable', `${url.host} did not answer within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    outgoing.once('close', () => clearTimeout(timer));
    outgoing.on('error', (error) => reject(asCoded(error, url.host)));
    outgoing.end(body);
  });
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'https:') return url;
  throw new CodedError('invalid_request', `"${text}" is not an address such as https://host:7443`);
}

async function readAnswer(response: IncomingMessage, host: string): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > limits.responseBodyBytes) throw new CodedError('too_large', `the answer of ${host}`);
    chunks.push(chunk);
  }
  const status = response.statusCode ?? 0;
  const succeeded = status >= 200 && status < 300;
  if (succeeded && bytes === 0) return undefined;
  const answer = parseJson(Buffer.concat(chunks).toString());
  if (succeeded && answer !== undefined) return answer;
  const failure = errorBodySchema.safeParse(answer);
  if (succeeded || !failure.success)
    throw new CodedError('unreachable', `what answers at ${host} is not a tendril orchestrator (HTTP ${status})`);
  throw fromApi(failure.data.error);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An error of the table comes back as it was thrown there; of an unknown one (a newer orchestrator) the text is kept. */
function fromApi(error: z.output<typeof errorBodySchema>['error']): CodedError {
  if (!Object.hasOwn(ERRORS, error.code)) return new CodedError('internal', `${error.code}: ${error.message}`, error.details);
  const code = error.code as ErrorCode;
  const { message } = ERRORS[code];
  const what = error.message === message ? '' : error.message.replace(`${message}: `, '');
  return new CodedError(code, what, error.details);
}

/** What Node says when a connection fails, as the code and words of the error table. */
function asCoded(error: unknown, host: string): CodedError {
  if (error instanceof CodedError) return error;
  const { code = 'unknown', message = '' } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  if (UNTRUSTED_CERTIFICATE.has(code) || code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return new CodedError('wrong_ca', `${host} (${code})`, [], error);
  if (CERTIFICATE_OUT_OF_DATE.has(code))
    return new CodedError('clock_skew', `by this machine's clock the certificate of ${host} is not valid (${code})`, [], error);
  return new CodedError('unreachable', `${host} (${code === 'unknown' ? message : code})`, [], error);
}
