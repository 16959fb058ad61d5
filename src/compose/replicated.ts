/**
 * What makes replicas one orchestrator, as the rest of a replica needs it: a log that they share, and who they are. On
 * Raft they are a group with links of its own (replication.ts); on etcd they have etcd in common (etcd-replication.ts).
 */
import type { Leader } from '../adapters/tls/leader-forwarding.ts';
import type { SecureServer } from '../adapters/tls/secure-server.ts';
import type { GroupView } from '../core/model/replicas.ts';
import type { Membership, ReplicaId } from '../core/raft/membership.ts';
import type { Log } from '../ports/log.ts';

export interface ReplicatedLog extends Log {
  /** null before it is open. */
  readonly status: { readonly role: string } | null;
  /** Other replicas that there is a connection with. */
  readonly connected: ReadonlySet<ReplicaId>;
  /** Resolves with true when what is delivered here by now contains all that was committed when it was asked. */
  confirmRead(): Promise<boolean>;
  /** On demand: to lead, to tell whoever leads what is seen here, and to be told by all. */
  wantLeadership(): void;
  tell(options: { readonly whilePaused: boolean }): void;
  ask(): void;
}

export interface Replicated {
  readonly log: ReplicatedLog;
  readonly membership: Membership;
  /** null: none is known, or it is this replica. */
  readonly leader: Leader | null;
  /** Voters other than this one, the leader first: whom a replica asks for what voters hold. */
  readonly otherVoters: readonly Leader[];
  readonly isVoter: boolean;
  /** Names of the replicas that there is a connection with. */
  readonly connected: readonly string[];
  replicaNamed(name: string): Leader | null;
  view(): GroupView;
  /** `/peer` of the TLS port. */
  serve(server: SecureServer, turnedAway: (reason: string, who: string) => void): void;
  /** What is wanted may have changed. */
  wantedChanged(): void;
  /** Before this replica goes: whoever takes over need not wait for an election. */
  handOver(): Promise<void>;
  close(): void;
}
