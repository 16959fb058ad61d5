/** The replicas of an orchestrator: who shall be one, and how the group is doing, in the user's words. */
import * as z from 'zod/mini';

/** RODS (chapter 3) calls them candidate and replica. */
export const REPLICA_ROLES = ['voter', 'learner'] as const;
export type ReplicaRole = (typeof REPLICA_ROLES)[number];

/** Also by RODS's words. */
export function parseReplicaRole(word: string): ReplicaRole | null {
  if (word === 'candidate') return 'voter';
  if (word === 'replica') return 'learner';
  return REPLICA_ROLES.find((role) => role === word) ?? null;
}

/** How replicas decide who leads (ADR 0010). */
export const LEADERSHIPS = ['standing', 'on-demand'] as const;
export type Leadership = (typeof LEADERSHIPS)[number];

/** Who shall be a replica; the group's own membership follows (core/orchestrator/replicas.ts). */
export interface ReplicaRecord {
  /** The life of its disk. */
  readonly id: string;
  /** Name of its node. */
  readonly name: string;
  /** `https://host:port` */
  readonly url: string;
  readonly role: ReplicaRole;
  /** sha256 of the public key's SubjectPublicKeyInfo in DER, hex. */
  readonly publicKeyFingerprint: string;
  readonly joinedAtMs: number;
  /** The token it joined with; empty for the first one. */
  readonly joinedWith: string;
}

export const replicaViewSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  /** As the group has it now; null: it shall be one, and is not yet. */
  role: z.nullable(z.enum(REPLICA_ROLES)),
  /** What it shall be; null: it is to leave. */
  wanted: z.nullable(z.enum(REPLICA_ROLES)),
  leads: z.boolean(),
  /** The one that answers. */
  self: z.boolean(),
  /** Whether the answering replica has a connection with it, and is answered where it asks; null where replicas have none, since they share an etcd. */
  connected: z.nullable(z.boolean()),
  /** Entries that it is behind the answering leader; null where only the leader would know. */
  behind: z.nullable(z.int()),
});
export type ReplicaView = z.output<typeof replicaViewSchema>;

/** The group as the answering replica sees it; it needs no leader to say so. */
export const groupViewSchema = z.strictObject({
  leadership: z.enum(LEADERSHIPS),
  term: z.int(),
  /** Name of the leader; null: none is known. */
  leader: z.nullable(z.string()),
  /** On demand: with nothing to decide nobody leads, and nothing is wrong. */
  paused: z.boolean(),
  /** Whether a quorum of the voters can be reached from the answering replica. */
  quorum: z.boolean(),
  commit: z.int(),
  replicas: z.array(replicaViewSchema),
});
export type GroupView = z.output<typeof groupViewSchema>;
