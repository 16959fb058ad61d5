/**
 * What a replica owes its group besides the log: a voter fetches the orchestrator's secrets from another one, whoever
 * is no voter any more keeps none, and each says where it can be reached. Looked at whenever the group changes, and
 * tried again until it is so; costs nothing then.
 */
import type { X509Certificate } from 'node:crypto';
import * as z from 'zod/mini';
import { call } from '../adapters/tls/call.ts';
import { publicKeyFingerprint } from '../adapters/tls/fingerprint.ts';
import type { Leader } from '../adapters/tls/leader-forwarding.ts';
import { replicaPeerOf } from '../adapters/tls/secure-server.ts';
import { CodedError } from '../core/model/errors.ts';
import { type IssuedCertificates, issuedCertificatesSchema, sealedSchema } from '../core/model/join.ts';
import type { ReplicaRecord } from '../core/model/replicas.ts';
import type { ReplicaPeer } from '../node/replica-desk.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { ReplicaIdentity } from './replica-identity.ts';
import type { Replicated } from './replicated.ts';

const RETRY_MS = 1_000;

export interface ReplicaDutiesComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly identity: ReplicaIdentity;
  readonly replication: Replicated;
  /** The own record; undefined while there is none. */
  readonly record: () => ReplicaRecord | undefined;
  /** Where this replica can be reached; null before the port is open. */
  readonly url: () => string | null;
  /** The orchestrator has a parent, and this replica does not know what it takes to speak to it. */
  readonly lacksParent: () => boolean;
  /** What voters hold has come. */
  readonly secretsTaken: () => Promise<void>;
  /** As the leader: commits the new address. */
  readonly moveSelf: (url: string) => Promise<unknown>;
}

export class ReplicaDuties {
  readonly #components: ReplicaDutiesComponents;
  #isBusy = false;
  #isClosed = false;
  #cancelTimer: () => void = () => undefined;
  #told = '';

  constructor(components: ReplicaDutiesComponents) {
    this.#components = components;
  }

  look(): void {
    if (this.#isBusy || this.#isClosed || !this.#isDue()) return;
    this.#cancelTimer();
    this.#isBusy = true;
    this.#fulfil()
      .then(
        () => {
          this.#told = '';
        },
        (error: unknown) => {
          const problem = error instanceof Error ? error.message : String(error);
          if (problem !== this.#told) this.#components.logger.warn({ problem }, 'a duty towards the other replicas waits');
          this.#told = problem;
        },
      )
      .finally(() => {
        this.#isBusy = false;
        if (!this.#isClosed && this.#isDue()) this.#cancelTimer = this.#components.clock.startTimer(RETRY_MS, () => this.look());
      });
  }

  /** Fresh certificates from a voter, for a learner. */
  askToRenew = (request: ReplicaIdentity['request']): Promise<IssuedCertificates> =>
    this.#ask('/v1/replicas/renew', request, issuedCertificatesSchema);

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
  }

  #isDue(): boolean {
    return this.#lacksSecrets() || this.#keepsTooMuch() || this.#hasMoved();
  }

  #lacksSecrets(): boolean {
    const { identity, replication } = this.#components;
    return replication.isVoter && (identity.authority === null || this.#components.lacksParent());
  }

  #keepsTooMuch(): boolean {
    const { identity, replication } = this.#components;
    const { log } = replication;
    return identity.authority !== null && log.status !== null && !replication.isVoter;
  }

  #hasMoved(): boolean {
    const { record, url } = this.#components;
    const [known, present] = [record(), url()];
    return known !== undefined && present !== null && known.url !== present;
  }

  async #fulfil(): Promise<void> {
    const { identity, replication, logger, moveSelf, url } = this.#components;
    if (this.#lacksSecrets()) {
      await identity.takeSecrets(await this.#ask('/v1/replicas/secrets', undefined, sealedSchema));
      await this.#components.secretsTaken();
      logger.info({}, 'this replica holds the authority now: it signs for members');
    }
    if (this.#keepsTooMuch() && (await this.#isHeldElsewhere())) {
      await identity.dropSecrets();
      logger.info({}, 'this replica is no voter any more: it has dropped the authority');
    }
    const present = url();
    if (!this.#hasMoved() || present === null) return;
    const { leader } = replication;
    if (replication.log.status?.role === 'leader') await moveSelf(present);
    else if (leader) await this.#askOne(leader, '/v1/replicas/move', { url: present });
    else {
      replication.log.wantLeadership(); // on demand: then there is one at the next try
      throw new CodedError('no_quorum');
    }
  }

  /** Nobody drops the last copy: a voter that holds it, too, says that it would not give it to this replica. */
  async #isHeldElsewhere(): Promise<boolean> {
    for (const voter of this.#components.replication.otherVoters) {
      try {
        await this.#askOne(voter, '/v1/replicas/secrets', undefined);
      } catch (error) {
        if (error instanceof CodedError && (error.code === 'forbidden' || error.code === 'not_a_member')) return true;
      }
    }
    return false;
  }

  async #ask<T extends z.core.$ZodType>(path: string, body: unknown, schema: T): Promise<z.output<T>> {
    let problem: unknown = new CodedError('unavailable', 'there is no other voter that could be asked');
    for (const voter of this.#components.replication.otherVoters) {
      try {
        return z.parse(schema, await this.#askOne(voter, path, body));
      } catch (error) {
        problem = error;
      }
    }
    throw problem;
  }

  #askOne({ url }: Leader, path: string, body: unknown): Promise<unknown> {
    return call({ url, method: 'POST', path, trust: this.#components.identity.replica, body: body ?? {} });
  }
}

/** Whom the other end's certificate speaks for, with its key; null without one. */
export function replicaPeerWithKey(socket: unknown): ReplicaPeer | { readonly refused: string } | null {
  const peer = replicaPeerOf(socket);
  if (peer === null || 'refused' in peer) return peer;
  const certificate = (socket as { getPeerX509Certificate(): X509Certificate }).getPeerX509Certificate();
  return {
    ...peer,
    publicKeyPem: certificate.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    publicKeyFingerprint: publicKeyFingerprint(certificate),
  };
}
