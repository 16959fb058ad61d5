/** What a client may ask of an orchestrator: the write half of the API, as the state machine takes it. */
import type { ErrorCode, ErrorDetail } from './errors.ts';
import type { ChildKind } from './membership.ts';
import type { ReplicaRole } from './replicas.ts';
import type { ServiceSpec } from './service.ts';
import type { TokenRole } from './token.ts';

export type ClientRequest =
  /** Creates the service or changes it to this; nothing happens when it already is so. */
  | {
      readonly type: 'applyService';
      readonly name: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly spec: ServiceSpec;
    }
  /** TERMINATE: stops all instances and forgets the service. */
  | { readonly type: 'deleteService'; readonly name: string }
  /** REPLICATE, up or down. */
  | { readonly type: 'scaleService'; readonly name: string; readonly replicas: number }
  /** MIGRATE one instance, start-new-then-stop-old; without a target anywhere else. */
  | {
      readonly type: 'migrateInstance';
      readonly instance: string;
      readonly cluster?: string | undefined;
      readonly node?: string | undefined;
    }
  /** No new work for this node or cluster (or again). */
  | { readonly type: 'cordonChild'; readonly child: string; readonly cordoned: boolean }
  /** Cordons it and moves its instances elsewhere (or stops doing so; the cordon stays). */
  | { readonly type: 'drainChild'; readonly child: string; readonly draining: boolean }
  /** Ends its membership: its certificate is worth nothing any more, its instances are placed elsewhere. */
  | { readonly type: 'removeChild'; readonly child: string }
  | {
      readonly type: 'createToken';
      readonly id: string;
      readonly secretHash: string;
      readonly role: TokenRole;
      readonly expiresAtMs: number | null;
      readonly uses: number | null;
    }
  | { readonly type: 'revokeToken'; readonly id: string }
  /** A node or cluster joins with a token; the same key and name again is the same member. */
  | {
      readonly type: 'registerChild';
      readonly name: string;
      readonly kind: ChildKind;
      readonly publicKeyFingerprint: string;
      readonly tokenId: string;
      readonly secretHash: string;
    }
  /** A replica of this orchestrator joins with a token, and with it the node in its process if that works. */
  | {
      readonly type: 'registerReplica';
      readonly id: string;
      readonly name: string;
      readonly url: string;
      readonly role: ReplicaRole;
      readonly works: boolean;
      readonly publicKeyFingerprint: string;
      readonly tokenId: string;
      readonly secretHash: string;
    }
  /** The replica of the node of this name shall be a voter, or a learner; the group follows. */
  | { readonly type: 'setReplicaRole'; readonly name: string; readonly role: ReplicaRole }
  /** A replica says where it can be reached now. */
  | { readonly type: 'moveReplica'; readonly id: string; readonly url: string };

export interface RequestRefusal {
  readonly code: ErrorCode;
  readonly what: string;
  readonly details: readonly ErrorDetail[];
}

/** What became of an accepted request, in one word, for `tendril apply` and the like. */
export interface RequestOutcome {
  readonly effect: 'created' | 'changed' | 'unchanged' | 'deleted';
  /** The name of what it concerned: service, instance, child or token. */
  readonly name: string;
}
