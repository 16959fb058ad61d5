/**
 * What one replica tells another of the children that have their links with it, under leadership on demand: with its
 * vote, when it is asked, and on a change while another one leads (Messina, section 4.1, step 2: "the state of the nodes
 * in the network is asked").
 */
import * as z from 'zod/mini';
import { limits } from '../base/limits.ts';
import { instanceReportSchema } from './messages.ts';
import { nameSchema } from './service.ts';
import { summarySchema } from './summary.ts';

const childReportSchema = z.strictObject({
  name: nameSchema,
  session: z.string().check(z.minLength(1), z.maxLength(64)),
  software: z.string().check(z.maxLength(64)),
  /** Version of desired state that it has taken up. */
  version: z.int().check(z.minimum(0)),
  summary: summarySchema,
  instances: z.array(instanceReportSchema).check(z.maxLength(limits.instances)),
  /** For how long each of them has been seen running there without a restart; those that are not are not in it. */
  runningForMs: z.record(z.string(), z.number().check(z.minimum(0))),
  heardAgoMs: z.number().check(z.minimum(0)),
});

export const peerReportSchema = z.strictObject({
  /** How busy its own children are: 0 to 1, as measured; the mean over their nodes. */
  load: z.number().check(z.minimum(0)),
  children: z.array(childReportSchema).check(z.maxLength(limits.children)),
});
export type PeerReport = z.output<typeof peerReportSchema>;
