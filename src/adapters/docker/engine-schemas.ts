/** What Tendril reads of the Docker Engine's answers. Loose: engines add fields, and Podman leaves some out. */
import * as z from 'zod/mini';

const text = z.string();

/** GET /version */
export const versionSchema = z.looseObject({
  Version: text,
  ApiVersion: text,
  MinAPIVersion: z.optional(text),
  Components: z.optional(z.nullable(z.array(z.looseObject({ Name: text })))),
});

/** GET /info: which limits the kernel lets bind. */
export const infoSchema = z.looseObject({
  OSType: z.optional(text),
  MemoryLimit: z.optional(z.boolean()),
  CpuCfsQuota: z.optional(z.boolean()),
});

const labels = z.nullable(z.record(text, text));

/** GET /containers/json */
export const containerListSchema = z.array(z.looseObject({ Id: text, State: text, Labels: labels }));
export type ListedContainer = z.output<typeof containerListSchema>[number];

/** GET /containers/{id}/json */
export const containerSchema = z.looseObject({
  Id: text,
  Config: z.looseObject({ Labels: labels }),
  State: z.looseObject({
    Status: text,
    ExitCode: z.int(),
    OOMKilled: z._default(z.boolean(), false),
    Error: z._default(text, ''),
    FinishedAt: z._default(text, ''),
  }),
});
export type InspectedContainer = z.output<typeof containerSchema>;

/** POST /containers/create */
export const createdSchema = z.looseObject({ Id: text });

/** GET /images/{name}/json */
export const imageSchema = z.looseObject({ Id: text, RepoDigests: z.optional(z.nullable(z.array(text))) });
export type InspectedImage = z.output<typeof imageSchema>;

/** One line of POST /images/create. */
export const pullLineSchema = z.looseObject({
  status: z.optional(text),
  id: z.optional(text),
  progressDetail: z.optional(z.nullable(z.looseObject({ current: z.optional(z.number()), total: z.optional(z.number()) }))),
  error: z.optional(text),
});

/** One line of GET /events. */
export const eventSchema = z.looseObject({
  Action: text,
  Actor: z.looseObject({ ID: text, Attributes: z.nullable(z.record(text, text)) }),
  timeNano: z.optional(z.number()),
  time: z.optional(z.number()),
});

/** Any refusal. */
export const refusalSchema = z.looseObject({ message: text });
