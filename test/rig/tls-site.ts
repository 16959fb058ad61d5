/** An orchestrator's TLS port with everything behind it that joining needs; the log is a map. Loopback, free port. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Authority, type AuthorityDocuments, makeAuthority } from '../../src/adapters/tls/authority.ts';
import { type Patience, peerOf, SecureServer } from '../../src/adapters/tls/secure-server.ts';
import { hashSecret, makeToken } from '../../src/adapters/tls/token-secret.ts';
import { ok, refused } from '../../src/core/base/result.ts';
import { CodedError } from '../../src/core/model/errors.ts';
import type { ChildRecord, TokenRecord } from '../../src/core/model/membership.ts';
import { admit } from '../../src/core/orchestrator/admission.ts';
import { AdmissionDesk, type Registry } from '../../src/node/admission.ts';

export interface TlsSiteOptions {
  readonly documents?: AuthorityDocuments;
  readonly patience?: Patience;
  /** How far its clock is ahead. */
  readonly skewMs?: number;
}

export class TlsSite {
  readonly tokens = new Map<string, TokenRecord>();
  readonly children = new Map<string, ChildRecord>();
  /** What a real orchestrator would log. */
  readonly turnedAway: string[] = [];
  /** Of every request, as it came in: shows who said what too early. */
  readonly bodies: string[] = [];
  commits = 0;
  /** The next answer to a join is lost on the way. */
  loseNextAnswer = false;
  readonly authority: Authority;
  readonly server: SecureServer;
  readonly #desk: AdmissionDesk;
  readonly #skewMs: number;

  private constructor(authority: Authority, server: (site: TlsSite) => SecureServer, skewMs: number) {
    this.authority = authority;
    this.#skewMs = skewMs;
    const registry: Registry = {
      token: (id) => this.tokens.get(id),
      child: (name) => this.children.get(name),
      register: async (request) => {
        await Promise.resolve();
        const outcome = admit(request, this.tokens.get(request.tokenId), this.children.get(request.name));
        if (!outcome.ok) return refused({ code: outcome.error, what: request.name, details: [] });
        this.commits++;
        this.tokens.set(outcome.value.token.id, outcome.value.token);
        this.children.set(outcome.value.child.name, outcome.value.child);
        return ok(null);
      },
    };
    const clock = { nowMs: () => this.nowMs(), elapsedMs: () => this.nowMs(), startTimer: () => () => undefined };
    this.#desk = new AdmissionDesk({ registry, signer: authority, clock, hashSecret }, { orchestratorName: 'root' });
    this.server = server(this);
  }

  static async open(options: TlsSiteOptions = {}): Promise<TlsSite> {
    const authority = new Authority(options.documents ?? (await makeAuthority(Date.now())));
    const identity = await authority.makeServerIdentity(['localhost'], Date.now());
    const server = (site: TlsSite) =>
      new SecureServer({
        host: '127.0.0.1',
        port: 0,
        identity,
        request: (request, response) => void site.#answer(request, response),
        turnedAway: (reason) => site.turnedAway.push(reason),
        ...(options.patience ? { patience: options.patience } : {}),
      });
    const site = new TlsSite(authority, server, options.skewMs ?? 0);
    await site.server.open();
    return site;
  }

  get url(): string {
    return `https://127.0.0.1:${this.server.port}`;
  }

  nowMs(): number {
    return Date.now() + this.#skewMs;
  }

  close(): Promise<void> {
    return this.server.close();
  }

  token(change: Partial<TokenRecord> = {}): string {
    const { text, id, secretHash } = makeToken(this.authority.caFingerprint);
    const record: TokenRecord = { id, secretHash, role: 'worker', createdAtMs: 0, expiresAtMs: null, usesLeft: 1, ...change };
    this.tokens.set(id, record);
    return text;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await readBody(request);
      this.bodies.push(body);
      const answer = await this.#route(request, body);
      if (this.loseNextAnswer && request.url === '/v1/join') {
        this.loseNextAnswer = false;
        request.socket.destroy();
        return;
      }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    } catch (error) {
      const { code, message, hint, details } = error instanceof CodedError ? error : new CodedError('internal', String(error));
      response.statusCode = 400;
      response.end(JSON.stringify({ error: { code, message, hint, details } }));
    }
  }

  async #route(request: IncomingMessage, body: string): Promise<unknown> {
    const peer = peerOf(request.socket);
    switch (request.url) {
      case '/v1/ca':
        return { caPem: this.authority.caPem, nowMs: this.nowMs() };
      case '/v1/join':
        return this.#desk.join(JSON.parse(body));
      case '/v1/renew':
        if (peer === null) throw new CodedError('unauthenticated');
        if ('refused' in peer) throw new CodedError('certificate_refused', peer.refused);
        return this.#desk.renew(peer, JSON.parse(body));
      case '/peer':
        return peer;
      default:
        throw new CodedError('not_found');
    }
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
