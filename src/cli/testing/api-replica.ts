/** The real API on a real TLS port, as one replica of an orchestrator whose state is a backend that all share. */
import type { RequestListener } from 'node:http';
import { systemClock } from '../../adapters/system-clock/clock.ts';
import type { Authority } from '../../adapters/tls/authority.ts';
import { SecureServer } from '../../adapters/tls/secure-server.ts';
import { type ApiServer, createApi } from '../../api/api.ts';
import type { Backend } from '../../api/backend.ts';
import { errorBody, statusOf } from '../../api/errors.ts';
import { CodedError, type ErrorCode } from '../../core/model/errors.ts';
import { LEADER_HEADER } from '../../core/model/leadership.ts';

export interface ReplicaComponents {
  readonly backend: Backend;
  readonly authority: Authority;
  /** What it tells users of where the replicas are. */
  readonly replicas: () => readonly string[];
}

export class ApiReplica {
  readonly #components: ReplicaComponents;
  #api: ApiServer | null = null;
  #server: SecureServer | null = null;
  #port = 0;
  /** Requests as they came: method, path and idempotency key. */
  readonly asked: { readonly method: string; readonly path: string; readonly key: string | undefined }[] = [];
  /** While set, every request is refused so; `leader` is named where it is known. */
  refuses: { readonly code: ErrorCode; readonly leader?: string } | null = null;

  constructor(components: ReplicaComponents) {
    this.#components = components;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /** On the same port as before. */
  async start(): Promise<void> {
    const { backend, authority, replicas } = this.#components;
    const api = await createApi({
      backend,
      replicaUrls: replicas,
      clock: systemClock,
      admission: {
        caPem: authority.caPem,
        peerOf: () => null,
        join: () => Promise.reject(new Error('nobody joins here')),
        renew: () => Promise.reject(new Error('nobody joins here')),
      },
      defect: (error) => {
        throw error;
      },
      mintToken: () => ({ id: 'tok1', secretHash: 'ab'.repeat(32), text: 'tdl1.text.tok1' }),
    });
    this.#api = api;
    this.#server = new SecureServer({
      host: '127.0.0.1',
      port: this.#port,
      // No names: a client knows it by what it is, not by where it is.
      identity: await authority.makeServerIdentity([], Date.now()),
      request: this.#listener(api),
      turnedAway: () => {},
    });
    await this.#server.open();
    this.#port = this.#server.port;
  }

  #listener(api: ApiServer): RequestListener {
    return (request, response) => {
      const key = request.headers['idempotency-key'];
      this.asked.push({ method: request.method ?? '', path: request.url ?? '', key: typeof key === 'string' ? key : undefined });
      const { refuses } = this;
      if (refuses === null) {
        api.handler(request, response);
        return;
      }
      const error = new CodedError(refuses.code);
      if (refuses.leader !== undefined) response.setHeader(LEADER_HEADER, refuses.leader);
      request.resume();
      response.writeHead(statusOf(error), { 'content-type': 'application/json' }).end(JSON.stringify(errorBody(error)));
    };
  }

  /** In order: streams end. */
  async stop(): Promise<void> {
    await this.#api?.close();
    await this.#server?.close();
  }

  /** As by SIGKILL: connections break at once, and nothing that is under way is answered. */
  async die(): Promise<void> {
    const broken = this.#server?.close();
    await this.#api?.close();
    await broken;
  }
}
