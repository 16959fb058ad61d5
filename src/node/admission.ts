/**
 * Letting children in, on the parent's side. Order matters:
 *
 *   schema -> clocks -> token -> certificate request -> admission (dry) -> commit -> sign
 *
 * What costs nothing comes first, so that a stranger without a token makes this machine neither compute nor
 * write; and nothing is signed before the child's record is committed, so no certificate exists that the log
 * does not know of. A crash between commit and answer is healed by the child asking again (A3).
 */
import type { Result } from '../core/base/result.ts';
import { CodedError } from '../core/model/errors.ts';
import { type JoinResponse, joinRequestSchema, type RenewResponse, renewRequestSchema } from '../core/model/join.ts';
import { type ChildKind, type ChildRecord, isMember, type Peer, type TokenRecord } from '../core/model/membership.ts';
import type { RequestRefusal } from '../core/model/requests.ts';
import { parseToken } from '../core/model/token.ts';
import { type AdmissionRequest, admit, checkToken } from '../core/orchestrator/admission.ts';
import type { Clock } from '../ports/clock.ts';
import { accepted, checkClocks, parseBody } from './join-request.ts';

/** The orchestrator's records, and the one command that changes them. */
export interface Registry {
  token(id: string): TokenRecord | undefined;
  child(name: string): ChildRecord | undefined;
  /** Resolves when `admit` was applied to the committed state: with the refusal, if that is how it went. */
  register(request: AdmissionRequest): Promise<Result<unknown, RequestRefusal>>;
}

export interface CertificateSigner {
  readonly caPem: string;
  /** Throws `invalid_request`. */
  readRequest(csrPem: string): Promise<{ readonly publicKeyFingerprint: string }>;
  signChild(input: {
    readonly csrPem: string;
    readonly name: string;
    readonly kind: ChildKind;
    readonly nowMs: number;
  }): Promise<string>;
}

export interface AdmissionComponents {
  readonly registry: Registry;
  readonly signer: CertificateSigner;
  readonly clock: Clock;
  /** sha256, hex. */
  readonly hashSecret: (secret: string) => string;
}

export interface AdmissionInit {
  readonly orchestratorName: string;
  /** An external broker that children take their uplinks to. */
  readonly broker?: string;
}

export class AdmissionDesk {
  readonly #components: AdmissionComponents;
  readonly #init: AdmissionInit;

  constructor(components: AdmissionComponents, init: AdmissionInit) {
    this.#components = components;
    this.#init = init;
  }

  /** `body`: a request as it came in, unchecked. Throws a CodedError that says why not. */
  async join(body: unknown): Promise<JoinResponse> {
    const { registry, signer, clock, hashSecret } = this.#components;
    const { name, kind, csrPem, nowMs: childNowMs, token: tokenText } = parseBody(joinRequestSchema, body);
    const nowMs = clock.nowMs();
    checkClocks(name, childNowMs, nowMs);

    const { id: tokenId, secret } = accepted(parseToken(tokenText));
    const secretHash = hashSecret(secret);
    accepted(checkToken(registry.token(tokenId), secretHash, nowMs));
    // Kept for the node in the orchestrator's own process, also while there is none: it would take over the other's place.
    if (name === this.#init.orchestratorName) throw new CodedError('name_taken', name);
    const { publicKeyFingerprint } = await signer.readRequest(csrPem);
    const request: AdmissionRequest = { tokenId, secretHash, name, kind, publicKeyFingerprint, nowMs };
    accepted(admit(request, registry.token(tokenId), registry.child(name)), name);
    const registered = await registry.register(request);
    if (!registered.ok) throw new CodedError(registered.error.code, registered.error.what, registered.error.details);
    return {
      certificatePem: await signer.signChild({ csrPem, name, kind, nowMs }),
      caPem: signer.caPem,
      ...this.#init,
    };
  }

  /** A new certificate for a member's key. Throws `not_a_member`, `invalid_request`. */
  async renew(peer: Peer, body: unknown): Promise<RenewResponse> {
    const { registry, signer, clock } = this.#components;
    const { csrPem } = parseBody(renewRequestSchema, body);
    if (!isMember(registry.child(peer.name), peer)) throw new CodedError('not_a_member', peer.name);
    const { publicKeyFingerprint } = await signer.readRequest(csrPem);
    if (publicKeyFingerprint !== peer.publicKeyFingerprint)
      throw new CodedError('invalid_request', 'the certificate request is for another key than the member has');
    const certificatePem = await signer.signChild({ csrPem, name: peer.name, kind: peer.kind, nowMs: clock.nowMs() });
    return { certificatePem };
  }
}
