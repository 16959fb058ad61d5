/** A node's settings, as they stand in its data directory. */
import * as z from 'zod/mini';
import { CodedError } from '../core/model/errors.ts';
import { LEADERSHIPS, REPLICA_ROLES } from '../core/model/replicas.ts';
import { labelsSchema, nameSchema, PLACEMENT_POLICIES, positionSchema } from '../core/model/service.ts';
import type { Store } from '../ports/store.ts';
import { readText, writeText } from './documents.ts';
import { logSettingsSchema } from './log-settings.ts';

const profileSchema = z.object({
  /** Tells this node's instances from those of any other on the machine. */
  uid: z.string().check(z.regex(/^[0-9a-f]{16}$/)),
  name: nameSchema,
  /** Whether it is the orchestrator of a cluster, or of the root. */
  orchestrates: z.boolean(),
  /** Whether it runs work. */
  works: z.boolean(),
  /** Whom it has joined, and the id of the token that it did so with. */
  parent: z.nullable(
    z.object({ url: z.string(), name: z.string(), broker: z.optional(z.string()), joinedWith: z.optional(z.string()) }),
  ),
  /** Of an orchestrator: how its replicas decide who leads. */
  leadership: z.optional(z.enum(LEADERSHIPS)),
  /** Of a replica that has joined others: whom it found, as long as its own log names none. */
  group: z.optional(
    z.object({
      /** Of the orchestrator. */
      name: z.string(),
      joinedWith: z.string(),
      replicas: z.array(z.object({ id: z.string(), name: z.string(), url: z.string(), role: z.enum(REPLICA_ROLES) })),
    }),
  ),
  /** Of an orchestrator whose log is not here. */
  log: z.optional(logSettingsSchema),
  listen: z.string(),
  advertise: z.array(z.string()),
  /** Of an orchestrator: where children and the other replicas find it, when that is not what it listens on. */
  publicUrl: z.optional(z.string()),
  /** An operator's own broker for the children of this orchestrator. */
  broker: z.optional(z.string()),
  policy: z.enum(PLACEMENT_POLICIES),
  labels: labelsSchema,
  position: z.optional(positionSchema),
  address: z.optional(z.string()),
  /** What this machine's load is the mean of, by weight. */
  load: z.optional(z.object({ cpu: z.number(), memory: z.number() })),
  cpu: z.optional(z.number()),
  memory: z.optional(z.number()),
});
/** The node's settings, as last given: a restart needs no flags. */
export type Profile = z.output<typeof profileSchema>;

const PROFILE = 'node.json';
export async function readProfile(store: Store): Promise<Profile | null> {
  const text = await readText(store, PROFILE);
  if (text === null) return null;
  try {
    return profileSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new CodedError('data_dir_corrupt', PROFILE, [], cause);
  }
}

export function writeProfile(store: Store, profile: Profile): Promise<void> {
  return writeText(store, PROFILE, `${JSON.stringify(profile, null, 2)}\n`);
}
