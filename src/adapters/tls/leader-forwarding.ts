/**
 * Hands a request that came to the wrong replica to the leader, whole, and its answer back, streams included. The
 * user's token goes along and is judged there; this end is only a wire. It never goes in a circle, nor far: a learner's
 * voter may have to forward once more.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import { FORWARDED_HEADER, LEADER_HEADER } from '../../core/model/leadership.ts';
import type { ReplicaId } from '../../core/raft/membership.ts';
import { type ChildIdentity, dialReplicaOptions } from './dial.ts';

/** Those of one connection only (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']);
const HOPS_MAX = 2;
const CONNECTIONS = 64;
/** As long as an honest answer may take to begin; a change of leaders ends it sooner. */
const ANSWER_TIMEOUT_MS = 35_000;

export interface Leader {
  readonly id: ReplicaId;
  readonly name: string;
  readonly url: string;
}

export class LeaderForwarding {
  readonly #self: string;
  readonly #identity: () => ChildIdentity;
  #agent: Agent | null = null;
  /** Whom the agent's connections lead to: a certificate was checked for this one. */
  #agentFor = '';

  constructor(self: string, identity: () => ChildIdentity) {
    this.#self = self;
    this.#identity = identity;
  }

  forward(request: IncomingMessage, response: ServerResponse, leader: Leader): void {
    const hops = [request.headers[FORWARDED_HEADER] ?? []].flat().join(',').split(',').filter(Boolean);
    if (hops.length >= HOPS_MAX || hops.includes(this.#self)) {
      refuse(response, 'not_leading', leader.url);
      return;
    }
    const { hostname, port } = new URL(leader.url);
    const outgoing = httpsRequest(
      {
        ...dialReplicaOptions(this.#identity(), leader.id),
        host: hostname.replace(/^\[|\]$/g, ''),
        port: port || 443,
        method: request.method,
        path: request.url,
        agent: this.#agentTo(leader),
        headers: { ...passedOn(request.headers), [FORWARDED_HEADER]: [...hops, this.#self].join(',') },
        timeout: ANSWER_TIMEOUT_MS,
      },
      (answer) => {
        outgoing.setTimeout(0); // a watch may be silent for long
        response.writeHead(answer.statusCode ?? 502, passedOn(answer.headers));
        answer.pipe(response);
        answer.once('error', () => response.destroy());
      },
    );
    outgoing.once('timeout', () => outgoing.destroy());
    outgoing.once('error', () => {
      if (response.headersSent) response.destroy();
      else refuse(response, 'unavailable', leader.url);
    });
    response.once('close', () => outgoing.destroy());
    request.pipe(outgoing);
  }

  /** Ends what is under way: the leader is another one now, or this replica goes. */
  reset(): void {
    this.#agent?.destroy();
    this.#agent = null;
  }

  #agentTo({ id, url }: Leader): Agent {
    const key = `${id} ${url}`;
    if (this.#agent === null || this.#agentFor !== key) {
      this.#agent?.destroy();
      this.#agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
      this.#agentFor = key;
    }
    return this.#agent;
  }
}

/** The answer of a replica that cannot do it itself; `leader`: where to turn, as far as it is known. */
export function refuse(response: ServerResponse, code: ErrorCode, leader: string | null): void {
  const { status, message, hint } = ERRORS[code];
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    ...(leader === null ? {} : { [LEADER_HEADER]: leader }),
  });
  response.end(JSON.stringify({ error: { code, message, hint, details: [] } }));
}

function passedOn(headers: IncomingMessage['headers']): IncomingMessage['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}
