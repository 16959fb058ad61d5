/**
 * What a user declares: a Service. One schema reads it everywhere, from a file, the API, the log and the
 * uplink: where a person writes `64Mi` or `10s` the parsed form holds plain numbers (cores, bytes,
 * milliseconds), and parsing the parsed form again changes nothing.
 */
import * as z from 'zod/mini';
import { parseDurationMs } from '../base/duration.ts';
import { NAME_HINT, NAME_PATTERN } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { parseBytes, parseCores } from '../base/quantity.ts';

export const API_VERSION = 'tendril/v1';

function describe<T extends z.core.$ZodType>(schema: T, description: string): T {
  z.globalRegistry.add(schema, { description });
  return schema;
}

/** A number as it is, or text that `parse` understands; `hint` is what an error tells the reader to write. */
function quantity(parse: (text: string) => number | null, hint: string, min: number, max: number) {
  const number = z.number(`expected ${hint}`).check(z.minimum(min, `at least ${min}`), z.maximum(max, `at most ${max}`));
  const text = z.pipe(
    z.string(),
    z.transform((value: string, context) => {
      const parsed = parse(value);
      if (parsed === null || parsed < min || parsed > max) {
        context.issues.push({ code: 'custom', message: `"${value}" is not ${hint}`, input: value });
        return z.NEVER;
      }
      return parsed;
    }),
  );
  return describe(z.union([number, text], `expected ${hint}`), hint);
}

export const nameSchema = describe(z.string().check(z.regex(NAME_PATTERN, `a name has ${NAME_HINT}`)), NAME_HINT);
export const durationSchema = quantity(parseDurationMs, 'a duration such as 500ms, 10s, 5m or 1h', 0, 365 * 86_400_000);
const cpuSchema = quantity(parseCores, 'an amount of CPU such as 0.5 or 250m', 0, 1024);
const memorySchema = quantity(parseBytes, 'an amount of memory such as 64Mi or 1G', 0, 2 ** 46);

export const labelsSchema = z
  .record(
    z
      .string()
      .check(z.regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/, 'a label key has letters, digits and ". _ / -"')),
    z.string().check(z.maxLength(limits.labelValueLength)),
  )
  .check(z.refine((labels) => Object.keys(labels).length <= limits.labels, `at most ${limits.labels} labels`));

const latitude = z.number().check(z.minimum(-90), z.maximum(90));
const longitude = z.number().check(z.minimum(-180), z.maximum(180));
export const positionSchema = z.strictObject({ latitude, longitude });

const portSchema = z.strictObject({
  name: z._default(nameSchema, 'http'),
  /** Where a container listens inside. A process is told where to listen by `PORT` and `PORT_<NAME>`. */
  containerPort: z.optional(z.int().check(z.minimum(1), z.maximum(65535))),
  /** A fixed port on the node; without it the node picks a free one. */
  hostPort: z.optional(z.int().check(z.minimum(1), z.maximum(65535))),
  protocol: z._default(z.enum(['tcp', 'udp']), 'tcp'),
});

const mountSchema = z.strictObject({
  source: z.string().check(z.regex(/^\//, 'an absolute path on the node'), z.maxLength(4096)),
  target: z.string().check(z.regex(/^\//, 'an absolute path in the container'), z.maxLength(4096)),
  readOnly: z._default(z.boolean(), false),
});

export const PLACEMENT_POLICIES = ['first-fit', 'least-loaded', 'best-fit', 'spread', 'nearest'] as const;
export type PlacementPolicyName = (typeof PLACEMENT_POLICIES)[number];

const placementSchema = z.strictObject({
  /** How candidates are ranked; without it the orchestrator's own policy. */
  policy: z.optional(z.enum(PLACEMENT_POLICIES)),
  /** Accepted CPU architectures, as `uname` or Docker name them; empty accepts all. */
  architecture: z._default(z.array(z.string().check(z.maxLength(32))).check(z.maxLength(16)), []),
  /** Labels that the node must carry. */
  labels: z._default(labelsSchema, {}),
  /** A circle that the node must stand in. */
  area: z.optional(z.strictObject({ latitude, longitude, radiusKm: z.number().check(z.gt(0), z.maximum(20_040)) })),
  /** Where `nearest` measures from. */
  near: z.optional(positionSchema),
  /** A place by name: a cluster called so, or nodes with the label `location` of this value; case does not matter. */
  location: z.optional(z.string().check(z.minLength(1), z.maxLength(128))),
  /** Exactly this cluster. */
  cluster: z.optional(nameSchema),
  /** Exactly this node. */
  node: z.optional(nameSchema),
});

const resourcesSchema = z.strictObject({
  cpu: z._default(cpuSchema, 0.1),
  memory: z._default(memorySchema, 64 * 2 ** 20),
  disk: z._default(memorySchema, 0),
});

/** Limits of patience when a link is gone, in the manner of Nomad's `disconnect` block. */
const disconnectSchema = z.strictObject({
  /** How long a silent node or cluster keeps its instances before they count as lost. */
  lostAfter: z.optional(durationSchema),
  /** Whether a lost instance is placed elsewhere. */
  replace: z._default(z.boolean(), true),
  /** A node that hears nothing for this long stops the instance by itself; without it, never. */
  stopOnNodeAfter: z.optional(durationSchema),
});

const updateSchema = z.strictObject({
  /** start-first starts the new copy before the old one stops; stop-first suits what cannot run twice, such as a fixed host port. */
  order: z._default(z.enum(['start-first', 'stop-first']), 'start-first'),
  /** Copies replaced at a time. */
  maxParallel: z._default(z.int().check(z.minimum(1), z.maximum(limits.replicas)), 1),
  /**
   * A new copy that has run this long takes the old one's place, here and in every migration (Nomad's
   * `min_healthy_time`): it has had time to listen, and one that crashes as it starts replaces nothing.
   */
  provenAfter: z._default(durationSchema, 2_000),
});

const restartSchema = z.strictObject({
  /** The first restart comes at once; from the second on the pause grows from here, doubled and jittered ... */
  backoff: z._default(durationSchema, 1_000),
  /** ... up to here, ... */
  maxBackoff: z._default(durationSchema, 60_000),
  /** ... and starts over when the instance has run this long. */
  resetAfter: z._default(durationSchema, 30_000),
});

const words = z.array(z.string().check(z.maxLength(limits.commandWordBytes))).check(z.maxLength(limits.commandWords));
const env = z
  .record(
    z.string().check(z.regex(/^[A-Za-z_][A-Za-z0-9_]{0,254}$/, 'an environment name has letters, digits and "_"')),
    z.string().check(z.maxLength(limits.envValueBytes)),
  )
  .check(z.refine((entries) => Object.keys(entries).length <= limits.envEntries, `at most ${limits.envEntries} entries`));

const common = {
  replicas: z._default(z.int().check(z.minimum(0), z.maximum(limits.replicas)), 1),
  env: z._default(env, {}),
  ports: z._default(z.array(portSchema).check(z.maxLength(limits.ports)), []),
  resources: z._default(resourcesSchema, { cpu: 0.1, memory: 64 * 2 ** 20, disk: 0 }),
  placement: z.prefault(placementSchema, {}),
  disconnect: z.prefault(disconnectSchema, {}),
  update: z.prefault(updateSchema, {}),
  restart: z.prefault(restartSchema, {}),
  /** Between the request to stop (SIGTERM) and the end (SIGKILL). */
  stopGrace: z._default(durationSchema, 10_000),
};

const processSpec = z.strictObject({
  runtime: z.literal('process'),
  /** The program and its arguments; no shell in between. */
  command: words.check(z.minLength(1, 'name the program to run')),
  workingDir: z.optional(z.string().check(z.maxLength(4096))),
  ...common,
});

const pythonSpec = z.strictObject({
  runtime: z.literal('python'),
  /** The script itself. In a file, `scriptFile` names one beside the manifest, and the CLI reads it in. */
  script: z.string().check(z.minLength(1), z.maxLength(limits.scriptBytes)),
  args: z._default(words, []),
  ...common,
});

const containerSpec = z.strictObject({
  runtime: z.literal('container'),
  /** By name, tag or digest: `busybox`, `busybox:1.36`, `busybox@sha256:...`. */
  image: z.string().check(z.minLength(1), z.maxLength(512), z.regex(/^[^\s]+$/, 'an image name has no spaces')),
  command: z.optional(words),
  workingDir: z.optional(z.string().check(z.maxLength(4096))),
  mounts: z._default(z.array(mountSchema).check(z.maxLength(limits.mounts)), []),
  ...common,
});

export const serviceSpecSchema = z.discriminatedUnion('runtime', [processSpec, pythonSpec, containerSpec], {
  error: (issue) => (issue.code === 'invalid_union' ? 'runtime is one of process, python, container' : undefined),
});
export type ServiceSpec = z.output<typeof serviceSpecSchema>;
export type RuntimeName = ServiceSpec['runtime'];
export type Position = z.output<typeof positionSchema>;
export type PortSpec = ServiceSpec['ports'][number];

export const serviceSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('Service'),
  metadata: z.strictObject({ name: nameSchema, labels: z._default(labelsSchema, {}) }),
  spec: serviceSpecSchema,
});
/** A Service as parsed. */
export type ServiceResource = z.output<typeof serviceSchema>;
/** A Service as a person may write it. */
export type ServiceManifest = z.input<typeof serviceSchema>;
