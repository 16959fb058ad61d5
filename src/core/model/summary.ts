/**
 * What an orchestrator knows of a child: its summary. The summary of a cluster is the merge of its
 * children's, in the same form, so that placement at every level reads one thing (see core/capacity).
 */
import * as z from 'zod/mini';
import { limits } from '../base/limits.ts';
import { labelsSchema, nameSchema, positionSchema } from './service.ts';

/** Stands for what a summary no longer tells apart. No label key, architecture or runtime is called so. */
export const UNCLEAR = '*';

/** Beyond anything that there is, and far from what sums of them could overflow: a merge stays a summary whatever a child says. */
export const SUMMARY_MAX = { amount: 1e24, nodes: 1e9, load: 1e6, radiusKm: 20_040 } as const;

const whole = z.number().check(z.minimum(0), z.maximum(SUMMARY_MAX.amount));
const nodeCount = z.int().check(z.maximum(SUMMARY_MAX.nodes));

/** Amounts of what is reserved when an instance is placed: thousandths of a core, bytes, bytes. */
export const resourceVectorSchema = z.strictObject({ cpuMilli: whole, memoryBytes: whole, diskBytes: whole });
export type ResourceVector = z.output<typeof resourceVectorSchema>;

/** `count` nodes that each still have (at least) `free`. */
const pointSchema = z.strictObject({ free: resourceVectorSchema, count: nodeCount.check(z.minimum(1)) });
export type FreePoint = z.output<typeof pointSchema>;

/**
 * Nodes alike in all that requirements ask for by name, and a histogram of what each still has free.
 * Where there were too many kinds of nodes to tell apart, `UNCLEAR` says so: what it stands for may or may
 * not hold for a given node of the group.
 */
const groupSchema = z.strictObject({
  /** `UNCLEAR` when the nodes differ. */
  architecture: z.string().check(z.maxLength(32)),
  /** Those of any of the nodes; with `UNCLEAR` among them, not every node has them all. */
  runtimes: z.array(z.string().check(z.maxLength(32))).check(z.maxLength(16)),
  /** Those that all of the nodes carry. */
  labels: labelsSchema,
  /** Keys of labels in which the nodes differ; `UNCLEAR` stands for any key that `labels` lacks. */
  unclearLabels: z.array(z.string().check(z.maxLength(128))).check(z.maxLength(limits.labels)),
  /** Where they stand; of several, the middle. */
  position: z.optional(positionSchema),
  /** How far from `position` the farthest of them stands. */
  radiusKm: z.number().check(z.minimum(0), z.maximum(SUMMARY_MAX.radiusKm)),
  /** Per resource, the most that any of the nodes has when nothing runs there. */
  largest: resourceVectorSchema,
  points: z.array(pointSchema).check(z.minLength(1), z.maxLength(limits.summaryPoints)),
});
export type SummaryGroup = z.output<typeof groupSchema>;

export const summarySchema = z.strictObject({
  nodes: nodeCount.check(z.minimum(0)),
  total: resourceVectorSchema,
  free: resourceVectorSchema,
  /** CPU in use, 0 to 1, as measured; the mean over nodes. Advice for ranking, never a promise. */
  load: z.number().check(z.minimum(0), z.maximum(SUMMARY_MAX.load)),
  groups: z.array(groupSchema).check(z.maxLength(limits.summaryGroups)),
  /** Names of the nodes, as far as they fit. */
  nodeNames: z.array(nameSchema).check(z.maxLength(limits.summaryNodes)),
  /** Whether `nodeNames` are all of them. */
  namesComplete: z.boolean(),
});
export type Summary = z.output<typeof summarySchema>;
