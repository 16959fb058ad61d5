/**
 * Which replica answers a request. Under standing leadership the leader does, and every other replica is a wire to it.
 * On demand the replica that gets one is the gateway (Messina, section 4): with nobody leading it takes the lead itself,
 * and with a live leader it forwards. Reading takes no leadership then: the others are asked what they see.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Leader, type LeaderForwarding, refuse } from '../adapters/tls/leader-forwarding.ts';
import { Allowance } from '../core/base/allowance.ts';
import { limits } from '../core/base/limits.ts';
import type { Leadership } from '../core/model/replicas.ts';
import type { OrchestratorDriver } from '../node/orchestrator-driver.ts';
import type { Clock } from '../ports/clock.ts';
import type { Replicated } from './replicated.ts';

/** What each replica answers itself, with or without a leader. */
const OWN_PATHS = new Set([
  '/v1/health',
  '/v1/ca',
  '/v1/renew',
  '/v1/replicas',
  '/v1/replicas/renew',
  '/v1/replicas/secrets',
  '/openapi.json',
]);
/** How long a gateway tries to come to lead: some elections, with back-off where several try at once. */
const LEAD_PATIENCE_MS = 8_000;
/** How long a request waits for the end of an election. */
const ELECTION_PATIENCE_MS = 1_000;
/** How long a reader waits for what the others see. */
const GATHER_MS = 300;
/** While a stream is open at a replica that does not lead, the others are asked this often. */
const GATHER_EVERY_MS = 1_000;

export interface RequestGateComponents {
  readonly clock: Clock;
  readonly driver: OrchestratorDriver;
  readonly replication: Replicated;
  readonly forwarding: LeaderForwarding;
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  readonly openStreams: () => number;
  /** Whoever asks is a user or a member, as far as this replica knows. */
  readonly isKnown: (request: IncomingMessage) => boolean;
  /** It came over a connection that this replica has dialled to the parent. */
  readonly isParent: (request: IncomingMessage) => boolean;
  /** Nothing that is asked may throw here: what does is a defect, and costs the one request. */
  readonly defect: (error: unknown, where: string) => void;
}

export class RequestGate {
  readonly #components: RequestGateComponents;
  readonly #leadership: Leadership;
  /** Those who wait for a leader, or for what others tell. */
  readonly #waiting = new Set<() => void>();
  /** Replicas that have not told yet what they see. */
  #untold = new Set<string>();
  #cancelGathering: (() => void) | null = null;
  readonly #strangers: Allowance;

  constructor(components: RequestGateComponents, leadership: Leadership) {
    this.#components = components;
    this.#leadership = leadership;
    const nowMs = components.clock.elapsedMs();
    this.#strangers = new Allowance({ burst: limits.strangerWakes, oneEachMs: limits.strangerWakeEachMs, nowMs });
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    this.#take(request, response).catch((error: unknown) => {
      this.#components.defect(error, `${request.method} at the gate`);
      if (response.headersSent) response.destroy();
      else refuse(response, 'internal', null);
    });
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { driver, replication, handler } = this.#components;
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    if (OWN_PATHS.has(path)) handler(request, response);
    else if (!driver.core.leads) await this.#takeElsewhere(request, response);
    // Another one may have been elected meanwhile, and know more. Whoever writes hears of that by the commit.
    else if (!isRead(request.method, query) || (await replication.log.confirmRead())) handler(request, response);
    else await this.#takeUnconfirmed(request, response);
  }

  async #takeUnconfirmed(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#components.driver.core.leads) await this.#takeElsewhere(request, response);
    else refuse(response, 'not_leading', null); // its log has failed, or takes no more: nothing here is worth waiting for
  }

  async #takeElsewhere(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { driver, replication } = this.#components;
    const { pausedUnder } = driver.core;
    const other = replication.leader ?? (pausedUnder === null ? null : replication.replicaNamed(pausedUnder));
    if (other) this.#forward(request, response, other);
    else if (this.#leadership === 'standing') await this.#serveAfterElection(request, response);
    else await this.#serveOnDemand(request, response);
  }

  /** The parent asks the one replica that has the link with it, and shows no token that another one could judge. */
  #forward(request: IncomingMessage, response: ServerResponse, to: Leader): void {
    if (this.#components.isParent(request)) refuse(response, 'not_leading', null);
    else this.#components.forwarding.forward(request, response, to);
  }

  /** Who leads has changed, or who is there. */
  groupChanged(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Another replica has told what it sees. */
  told(name: string): void {
    this.#untold.delete(name);
    if (this.#untold.size === 0) this.groupChanged();
  }

  close(): void {
    this.#cancelGathering?.();
    this.groupChanged();
  }

  /** Elections end soon: whoever asks in the midst of one is not sent away for that. */
  async #serveAfterElection(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { driver, replication } = this.#components;
    const isSettled = () => driver.core.leads || replication.leader !== null;
    if (replication.view().quorum) await this.#until(isSettled, ELECTION_PATIENCE_MS);
    if (response.destroyed) return;
    if (isSettled()) await this.#take(request, response);
    else refuse(response, replication.view().quorum ? 'not_leading' : 'no_quorum', null);
  }

  async #serveOnDemand(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, driver, replication, handler } = this.#components;
    const isKnown = this.#components.isParent(request) || this.#components.isKnown(request);
    if (request.method === 'GET') {
      if (isKnown) await this.#gather();
      handler(request, response);
      this.#gatherWhileStreaming();
      return;
    }
    // A token that was made a moment ago may be known elsewhere only, and whoever joins has it in the body.
    if (!isKnown && !this.#strangers.take(clock.elapsedMs())) {
      refuse(response, 'unavailable', null);
      return;
    }
    // A learner cannot lead: a voter that it knows of can.
    const voter = replication.isVoter ? null : replication.otherVoters.find(({ id }) => replication.log.connected.has(id));
    if (voter) {
      this.#forward(request, response, voter);
      return;
    }
    await this.#leadOrFollow();
    if (driver.core.leads) handler(request, response);
    else if (replication.leader) this.#forward(request, response, replication.leader);
    else refuse(response, 'no_quorum', null);
  }

  /** Until this replica leads or knows who does. */
  #leadOrFollow(): Promise<void> {
    const { driver, replication } = this.#components;
    const isSettled = () => driver.core.leads || replication.leader !== null;
    replication.log.wantLeadership();
    return this.#until(isSettled, LEAD_PATIENCE_MS);
  }

  /** Until everyone who is there has told what it sees. */
  #gather(): Promise<void> {
    const { replication } = this.#components;
    this.#untold = new Set(replication.connected);
    replication.log.ask();
    return this.#until(() => this.#untold.size === 0, GATHER_MS);
  }

  #gatherWhileStreaming(): void {
    const { clock, openStreams, driver } = this.#components;
    if (this.#cancelGathering !== null) return;
    this.#cancelGathering = clock.startTimer(GATHER_EVERY_MS, () => {
      this.#cancelGathering = null;
      if (openStreams() === 0) return;
      if (!driver.core.leads) this.#components.replication.log.ask();
      this.#gatherWhileStreaming();
    });
  }

  #until(condition: () => boolean, patienceMs: number): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(look);
        cancelTimer();
        resolve();
      };
      const look = () => {
        if (condition()) done();
      };
      const cancelTimer = this.#components.clock.startTimer(patienceMs, done);
      this.#waiting.add(look);
    });
  }
}

/** What is answered from the state, without an entry of the log. */
function isRead(method: string | undefined, query: string): boolean {
  return method === 'GET' || method === 'HEAD' || new URLSearchParams(query).get('dryRun') === 'true';
}
