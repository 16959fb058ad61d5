/**
 * Which replica answers a request, as src/compose/request-gate.ts decides it for HTTP: the leader; on demand whichever
 * gets one, if nobody leads.
 */
import { refused } from '../../core/base/result.ts';
import type { ErrorCode } from '../../core/model/errors.ts';
import type { Leadership } from '../../core/model/replicas.ts';
import type { ClientRequest } from '../../core/model/requests.ts';
import type { RequestAnswer } from '../../core/orchestrator/changes.ts';
import type { Membership, Replica, ReplicaId } from '../../core/raft/membership.ts';
import type { OrchestratorDriver } from '../../node/orchestrator-driver.ts';
import type { RaftLog } from '../../node/raft-log.ts';
import type { Clock } from '../../ports/clock.ts';

const LEAD_PATIENCE_MS = 8_000;
/** A learner's voter may have to forward once more. */
const HOPS_MAX = 2;

export interface Question {
  readonly request: ClientRequest;
  readonly key: string;
  /** Those that forwarded it. */
  readonly by: readonly ReplicaId[];
}

export interface GatewayComponents {
  readonly self: ReplicaId;
  readonly clock: Clock;
  readonly driver: OrchestratorDriver;
  readonly log: RaftLog;
  readonly membership: () => Membership;
  readonly forward: (to: ReplicaId, question: Question) => Promise<RequestAnswer>;
}

export class Gateway {
  readonly #components: GatewayComponents;
  readonly #leadership: Leadership;
  readonly #waiting = new Set<() => void>();

  constructor(components: GatewayComponents, leadership: Leadership) {
    this.#components = components;
    this.#leadership = leadership;
  }

  async take(question: Question): Promise<RequestAnswer> {
    const { driver } = this.#components;
    if (driver.core.leads) return await driver.submit(question.request, question.key);
    const other = this.leader() ?? this.#pausedUnder();
    if (other) return await this.#forward(other, question);
    if (this.#leadership === 'standing') return no('not_leading');
    return await this.#serveOnDemand(question);
  }

  /** null: none is known, or it is this replica. */
  leader(): Replica | null {
    const { self, log, membership } = this.#components;
    const leader = log.status?.leader ?? null;
    return leader === null || leader === self ? null : (membership().find(({ id }) => id === leader) ?? null);
  }

  #pausedUnder(): Replica | null {
    const { driver, membership } = this.#components;
    return membership().find(({ name }) => name === driver.core.pausedUnder) ?? null;
  }

  /** Who leads has changed, or who is there. */
  groupChanged(): void {
    for (const look of [...this.#waiting]) look();
  }

  async #serveOnDemand(question: Question): Promise<RequestAnswer> {
    const { self, driver, log, membership } = this.#components;
    const isVoter = membership().some(({ id, role }) => id === self && role === 'voter');
    const voter = membership().find(({ id, role }) => role === 'voter' && id !== self && log.connected.has(id));
    if (!isVoter && voter) return await this.#forward(voter, question);
    log.wantLeadership();
    await this.#until(() => driver.core.leads || this.leader() !== null);
    if (driver.core.leads) return await driver.submit(question.request, question.key);
    const leader = this.leader();
    return leader ? await this.#forward(leader, question) : no('no_quorum');
  }

  #forward(to: Replica, question: Question): Promise<RequestAnswer> {
    const { self, forward } = this.#components;
    if (question.by.length >= HOPS_MAX || question.by.includes(self)) return Promise.resolve(no('not_leading'));
    return forward(to.id, { ...question, by: [...question.by, self] });
  }

  #until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(look);
        cancelTimer();
        resolve();
      };
      const look = (): void => {
        if (condition()) done();
      };
      const cancelTimer = this.#components.clock.startTimer(LEAD_PATIENCE_MS, done);
      this.#waiting.add(look);
    });
  }
}

export function no(code: ErrorCode): RequestAnswer {
  return refused({ code, what: '', details: [] });
}
