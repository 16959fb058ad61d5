/**
 * What is remembered of each placement: who decided, on what, and what was chosen. The records form a chain by
 * their hashes (core/orchestrator/decision-chain.ts), so that none can be changed or left out unnoticed.
 */
import * as z from 'zod/mini';
import { PLACEMENT_POLICIES } from './service.ts';

/**
 * Why a place was needed: a new copy is wanted, one is lost, one is to move, one is of an old spec, or the child
 * that had been chosen refused it.
 */
export const DECISION_CAUSES = ['create', 'replace', 'migrate', 'update', 'refused'] as const;
export type DecisionCause = (typeof DECISION_CAUSES)[number];

/** Why a candidate was out of the question, as far as counting goes; the words are in `tendril describe` while an instance waits. */
export const REJECTIONS = [
  'not_connected',
  'cordoned',
  'excluded',
  'host_port',
  'not_named',
  'no_nodes',
  'resources',
  'unsuitable',
] as const;
export type Rejection = (typeof REJECTIONS)[number];

const seenCandidateSchema = z.strictObject({
  name: z.string(),
  /** The policy's, higher is better; only comparable within one decision. */
  score: z.number(),
  /** How busy it would be with this on it, measured and reserved: 0 to 1, more when overbooked. */
  load: z.number(),
  /** Free on all of it, before. */
  cpuMilli: z.number(),
  memoryBytes: z.number(),
});

export type SeenCandidate = z.output<typeof seenCandidateSchema>;

export const seenSchema = z.strictObject({
  policy: z.enum(PLACEMENT_POLICIES),
  /** Best first, at most limits.decisionCandidates. */
  candidates: z.array(seenCandidateSchema),
  /** Candidates that could have taken it too and are not listed. */
  others: z.int(),
  /** How many could not, by reason. */
  rejected: z.partialRecord(z.enum(REJECTIONS), z.int()),
});
/** What a decision was made on. */
export type Seen = z.output<typeof seenSchema>;

export const decidedBySchema = z.strictObject({
  term: z.int(),
  /** The replica that decided. */
  leader: z.string(),
  /** Those by which it came to decide, each with its voter's load; empty while leadership stands. */
  votes: z.array(z.strictObject({ voter: z.string(), load: z.number() })),
});
export type DecidedBy = z.output<typeof decidedBySchema>;

export const decisionRecordSchema = z.strictObject({
  /** From 1 on, without a gap. */
  number: z.int(),
  atMs: z.number(),
  cause: z.enum(DECISION_CAUSES),
  service: z.string(),
  instance: z.string(),
  /** The instance whose place it takes. */
  replaces: z.nullable(z.string()),
  /** Idempotency key of the request that led to it, when there was one. */
  request: z.nullable(z.string()),
  /** null: the entry of the log does not say, an older version wrote it. */
  seen: z.nullable(seenSchema),
  choice: z.string(),
  ...decidedBySchema.shape,
  /** Hash of the record before; of the first one, of the epoch. */
  before: z.string(),
  hash: z.string(),
});
export type DecisionRecord = z.output<typeof decisionRecordSchema>;

const linkSchema = z.strictObject({ number: z.int(), hash: z.string() });
/** A place in the chain. */
export type ChainLink = z.output<typeof linkSchema>;

export const chainVerdictSchema = z.strictObject({
  ok: z.boolean(),
  /** Records that are kept, and were verified. */
  records: z.int(),
  /** What the oldest kept one builds on. */
  anchor: linkSchema,
  /** The newest. Whoever notes it can tell later whether anything up to it was changed. */
  tip: linkSchema,
  /** The first record that is not as it was made, and what about it. */
  problem: z.nullable(z.strictObject({ number: z.int(), what: z.string() })),
});
export type ChainVerdict = z.output<typeof chainVerdictSchema>;
