/** Who belongs to the log, and what counts as a quorum of them. */

/** The random uid of a replica's data directory: a machine with a new disk is another replica. */
export type ReplicaId = string;

export const REPLICA_ROLES = ['voter', 'learner'] as const;
export type ReplicaRole = (typeof REPLICA_ROLES)[number];

export interface Replica {
  readonly id: ReplicaId;
  /** Name of its node, for people. */
  readonly name: string;
  /** Where the other replicas and its clients reach it: `https://host:port`. */
  readonly url: string;
  readonly role: ReplicaRole;
}

/** Sorted by id. */
export type Membership = readonly Replica[];
