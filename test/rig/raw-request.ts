/** One HTTPS request as any client could send it: status, headers and the beginning of the answer, streams included. */
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface RawRequest {
  readonly method?: string;
  readonly caPem: string;
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A client certificate. */
  readonly identity?: { readonly certificatePem: string; readonly keyPem: string };
}

export interface RawAnswer {
  readonly status: number;
  readonly type: string;
  readonly headers: IncomingHttpHeaders;
  /** Up to the end, or of a stream what came at once. */
  readonly text: string;
}

const ANSWER_BYTES = 4 * 2 ** 20;

export function rawRequest(url: string, init: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      url,
      {
        method: init.method ?? 'GET',
        ca: init.caPem,
        cert: init.identity?.certificatePem,
        key: init.identity?.keyPem,
        checkServerIdentity: () => undefined,
        agent: false,
        headers: {
          ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(init.token === undefined ? {} : { authorization: `Bearer ${init.token}` }),
          ...init.headers,
        },
      },
      (response) => {
        const { headers } = response;
        const type = headers['content-type'] ?? '';
        let text = '';
        const done = () => {
          resolve({ status: response.statusCode ?? 0, type, headers, text });
          sent.destroy();
        };
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
          if (type.startsWith('text/event-stream') || text.length > ANSWER_BYTES) done();
        });
        response.on('end', done);
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(init.body);
  });
}

/** The code of an error answer; empty when it is none. */
export function codeOf({ text }: RawAnswer): string {
  return /"code": ?"([a-z_]+)"/.exec(text)?.[1] ?? '';
}
