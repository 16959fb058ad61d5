/**
 * What other replicas of the same orchestrator ask of this one. Joining takes the leader, for it is committed:
 *
 *   schema -> clocks -> token -> certificate request -> admission (dry) -> commit -> sign
 *
 * Renewing and handing on the secrets take any voter, with or without a leader. Whoever asks for these is known by its
 * certificate and has to be in the group as this replica knows it.
 */
import type { Result } from '../core/base/result.ts';
import { CodedError } from '../core/model/errors.ts';
import {
  type IssuedCertificates,
  type ReplicaJoinResponse,
  replicaJoinRequestSchema,
  replicaMoveRequestSchema,
  replicaRenewRequestSchema,
} from '../core/model/join.ts';
import type { ChildRecord, TokenRecord } from '../core/model/membership.ts';
import type { ReplicaRecord } from '../core/model/replicas.ts';
import type { ClientRequest, RequestRefusal } from '../core/model/requests.ts';
import { parseToken } from '../core/model/token.ts';
import { admitReplica, checkToken } from '../core/orchestrator/admission.ts';
import type { Membership } from '../core/raft/membership.ts';
import type { Clock } from '../ports/clock.ts';
import { accepted, checkClocks, parseBody } from './join-request.ts';

/** A replica as its certificate names it. */
export interface ReplicaPeer {
  readonly id: string;
  readonly name: string;
  readonly publicKeyPem: string;
  readonly publicKeyFingerprint: string;
}

export interface ReplicaDeskComponents<Sealed> {
  readonly clock: Clock;
  /** sha256, hex. */
  readonly hashSecret: (secret: string) => string;
  readonly records: {
    token(id: string): TokenRecord | undefined;
    child(name: string): ChildRecord | undefined;
    replicas(): Iterable<ReplicaRecord>;
    submit(request: ClientRequest): Promise<Result<unknown, RequestRefusal>>;
  };
  readonly group: () => Membership;
  /** Each throws `unavailable` on a replica that does not hold the authority. */
  readonly signer: {
    readRequest(csrPem: string): Promise<{ readonly publicKeyFingerprint: string }>;
    issue(request: {
      readonly csrPem: string;
      readonly id: string;
      readonly name: string;
      readonly serverNames: readonly string[];
      readonly nowMs: number;
    }): Promise<IssuedCertificates>;
    sealSecretsFor(publicKeyPem: string): Promise<Sealed>;
  };
}

export interface ReplicaDeskInit {
  readonly caPem: string;
  readonly orchestratorName: string;
  readonly leadership: 'standing' | 'on-demand';
  readonly broker?: string;
  readonly log?: string;
}

export class ReplicaDesk<Sealed> {
  readonly #components: ReplicaDeskComponents<Sealed>;
  readonly #init: ReplicaDeskInit;

  constructor(components: ReplicaDeskComponents<Sealed>, init: ReplicaDeskInit) {
    this.#components = components;
    this.#init = init;
  }

  /** `body`: as it came in, unchecked. Throws a CodedError that says why not. */
  async join(body: unknown): Promise<ReplicaJoinResponse> {
    const { records, signer, clock, hashSecret } = this.#components;
    const request = parseBody(replicaJoinRequestSchema, body);
    const { id, name, url, role, works, csrPem, serverNames } = request;
    const nowMs = clock.nowMs();
    checkClocks(name, request.nowMs, nowMs);
    const { id: tokenId, secret } = accepted(parseToken(request.token));
    const secretHash = hashSecret(secret);
    const token = records.token(tokenId);
    accepted(checkToken(token, secretHash, nowMs));
    const { publicKeyFingerprint } = await signer.readRequest(csrPem);
    const wish = { id, name, url, role, works, publicKeyFingerprint, tokenId, secretHash };
    const replica = [...records.replicas()].find((known) => known.id === id || known.name === name);
    accepted(admitReplica({ ...wish, nowMs }, { token, replica, child: records.child(name) }), name);
    // Signed before it is committed: names that cannot stand in a certificate must not leave a record behind.
    const issued = await signer.issue({ csrPem, id, name, serverNames, nowMs });
    const registered = await records.submit({ type: 'registerReplica', ...wish });
    if (!registered.ok) throw new CodedError(registered.error.code, registered.error.what, registered.error.details);
    const others = this.#components.group().filter((known) => known.id !== id);
    return { ...issued, ...this.#init, group: [...others, { id, name, url, role: 'learner' }] };
  }

  /** Throws `not_a_member`, `unavailable`, `invalid_request`. */
  async renew(peer: ReplicaPeer, body: unknown): Promise<IssuedCertificates> {
    const { signer, clock } = this.#components;
    const { csrPem, serverNames } = parseBody(replicaRenewRequestSchema, body);
    this.#member(peer);
    const { publicKeyFingerprint } = await signer.readRequest(csrPem);
    if (publicKeyFingerprint !== peer.publicKeyFingerprint)
      throw new CodedError('invalid_request', 'the certificate request is for another key than the replica has');
    return signer.issue({ csrPem, id: peer.id, name: peer.name, serverNames, nowMs: clock.nowMs() });
  }

  /** Sealed to the key of the certificate that was shown. Throws `not_a_member`, `forbidden`, `unavailable`. */
  async secrets(peer: ReplicaPeer): Promise<Sealed> {
    // First whether this voter holds them: one that has left asks only to hear that it need not keep them any more.
    const sealed = await this.#components.signer.sealSecretsFor(peer.publicKeyPem);
    const { role } = this.#member(peer);
    if (role !== 'voter') throw new CodedError('forbidden', `${peer.name} is a ${role}; only voters hold the authority`);
    return sealed;
  }

  /** Where the replica can be reached now. Throws `not_a_member`, or what the log refuses with. */
  async move(peer: ReplicaPeer, body: unknown): Promise<void> {
    const { url } = parseBody(replicaMoveRequestSchema, body);
    this.#member(peer);
    const moved = await this.#components.records.submit({ type: 'moveReplica', id: peer.id, url });
    if (!moved.ok) throw new CodedError(moved.error.code, moved.error.what, moved.error.details);
  }

  #member(peer: ReplicaPeer) {
    const member = this.#components.group().find(({ id }) => id === peer.id);
    const record = [...this.#components.records.replicas()].find(({ id }) => id === peer.id);
    if (!member || record?.publicKeyFingerprint !== peer.publicKeyFingerprint) throw new CodedError('not_a_member', peer.name);
    return member;
  }
}
