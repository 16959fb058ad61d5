/** An API on a loopback port over a MemoryBackend, and a plain HTTP client. */
import { type ClientRequest, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { systemClock } from '../../adapters/system-clock/clock.ts';
import type { Clock } from '../../ports/clock.ts';
import { type ApiServer, createApi } from '../api.ts';
import type { Admission, ApiLimits } from '../context.ts';
import { ADMIN, MemoryBackend } from './memory-backend.ts';

export interface ApiRig {
  readonly api: ApiServer;
  readonly backend: MemoryBackend;
  readonly port: number;
  readonly defects: unknown[];
  close(): Promise<void>;
}

export interface RigOptions {
  readonly limits?: Partial<ApiLimits>;
  readonly clock?: Clock;
  readonly admission?: Admission;
  readonly replicas?: () => readonly string[];
}

export async function startApi(options: RigOptions = {}): Promise<ApiRig> {
  const backend = new MemoryBackend();
  const defects: unknown[] = [];
  let minted = 0;
  const api = await createApi(
    {
      backend,
      clock: options.clock ?? systemClock,
      admission: options.admission,
      replicaUrls: options.replicas,
      defect: (error) => defects.push(error),
      mintToken: () => {
        minted++;
        return { id: `tok${minted}`, secretHash: 'ab'.repeat(32), text: `tdl1.text.tok${minted}` };
      },
    },
    options.limits,
  );
  const server = createServer(api.handler);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    await api.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  };
  return { api, backend, port, defects, close };
}

/** Both ends of a connection that is no socket; as with a real one, either end notices when the other is gone. */
export function connection(): [Duplex, Duplex] {
  const [near, far] = duplexPair();
  near.once('close', () => far.destroy());
  far.once('close', () => near.destroy());
  return [near, far];
}

/** `below` becomes a cluster of `above`, reached as a real one is: by a stream on which it serves its API. */
export function connectCluster(above: ApiRig, name: string, below: ApiRig): void {
  above.backend.putChild(name, 'cluster');
  above.backend.dialling.set(name, () => {
    const [near, far] = connection();
    below.api.serveConnection(far, { trustedAs: 'parent' });
    return Promise.resolve(near);
  });
}

export interface CallOptions {
  readonly method?: string;
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Begins a request and leaves its body to the caller. */
export function begin(rig: ApiRig, path: string, options: CallOptions = {}): ClientRequest {
  const { token = ADMIN, method = 'GET', headers = {} } = options;
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
  return request({ host: '127.0.0.1', port: rig.port, path, method, headers: { ...authorization, ...headers }, agent: false });
}

export function response(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
  });
}

export async function readText(incoming: IncomingMessage): Promise<string> {
  let text = '';
  incoming.setEncoding('utf8');
  for await (const chunk of incoming) text += chunk;
  return text;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
  readonly json: any;
}

export async function call(rig: ApiRig, path: string, options: CallOptions = {}): Promise<Answer> {
  const { method = options.body === undefined ? 'GET' : 'POST' } = options;
  const headers = { ...(options.body === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers };
  const outgoing = begin(rig, path, { ...options, method, headers });
  const answered = response(outgoing);
  const { body } = options;
  outgoing.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  const incoming = await answered;
  const text = await readText(incoming);
  const isJson = incoming.headers['content-type']?.includes('json');
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, json: isJson ? JSON.parse(text) : undefined };
}

/** Reads server-sent events one at a time. */
export class EventReader {
  readonly #incoming: AsyncIterator<string>;
  #text = '';

  constructor(incoming: IncomingMessage) {
    incoming.setEncoding('utf8');
    this.#incoming = incoming[Symbol.asyncIterator]();
  }

  /** null at the end of the stream. Comments (heartbeats) come as `{event: ':'}`. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into data of any shape
  async next(): Promise<{ event: string; id?: string; data?: any } | null> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end !== -1) {
        const lines = this.#text.slice(0, end).split('\n');
        this.#text = this.#text.slice(end + 2);
        const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        if (lines[0] === ':') return { event: ':' };
        const id = field('id');
        return {
          event: field('event') ?? 'message',
          ...(id === undefined ? {} : { id }),
          data: JSON.parse(field('data') ?? 'null'),
        };
      }
      const chunk = await this.#incoming.next();
      if (chunk.done) return null;
      this.#text += chunk.value;
    }
  }

  async until(event: string): Promise<{ event: string; data?: unknown }[]> {
    const seen = [];
    for (;;) {
      const next = await this.next();
      if (next === null) return seen;
      seen.push(next);
      if (next.event === event) return seen;
    }
  }
}

/** Waits for something that no event tells. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
