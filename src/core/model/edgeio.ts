/**
 * edgeIO's deployment file (edgeIO, section 3.1.7, listing 3.1), read as the Service that it describes. What
 * edgeIO calls a job is a service here, its image runtime docker is the container runtime, CPU counts cores
 * and memory counts megabytes (10^6 bytes).
 */
import * as z from 'zod/mini';
import { limits } from '../base/limits.ts';
import { API_VERSION, type ServiceManifest } from './service.ts';

export const EDGEIO_API_VERSION = 'v0.1';
/** Carries the job's name as it was written: edgeIO allows what DNS does not. */
const EDGEIO_NAME_LABEL = 'edgeio/job-name';

const text = z.string().check(z.minLength(1), z.maxLength(limits.labelValueLength));

export const edgeIoFileSchema = z.strictObject({
  api_version: z.literal(EDGEIO_API_VERSION, `expected ${EDGEIO_API_VERSION}`),
  job_name: text.check(z.regex(/[A-Za-z0-9]/, 'a name has at least one letter or digit')),
  image: z.string().check(z.minLength(1), z.maxLength(512), z.regex(/^[^\s]+$/, 'an image name has no spaces')),
  image_runtime: z.literal('docker', 'expected docker'),
  requirements: z.optional(
    z.strictObject({
      cpu: z.optional(z.number('expected a number of cores').check(z.minimum(0), z.maximum(1024))),
      memory: z.optional(z.number('expected a number of megabytes').check(z.minimum(0), z.maximum(2 ** 26))),
    }),
  ),
  cluster_location: z.optional(z.string().check(z.minLength(1), z.maxLength(128))),
  worker_node: z.optional(text.check(z.regex(/[A-Za-z0-9]/, 'a name has at least one letter or digit'))),
});
export type EdgeIoFile = z.output<typeof edgeIoFileSchema>;

/** Whether somebody meant to write one: it says `api_version`, where a resource says `apiVersion`. */
export function isEdgeIoFile(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'api_version' in value && !('apiVersion' in value);
}

export function serviceFromEdgeIo(file: EdgeIoFile): ServiceManifest {
  const { cpu, memory } = file.requirements ?? {};
  return {
    apiVersion: API_VERSION,
    kind: 'Service',
    metadata: { name: toName(file.job_name), labels: { [EDGEIO_NAME_LABEL]: file.job_name } },
    spec: {
      runtime: 'container',
      image: file.image,
      resources: {
        ...(cpu !== undefined && { cpu }),
        ...(memory !== undefined && { memory: Math.round(memory * 1e6) }),
      },
      placement: {
        ...(file.cluster_location !== undefined && { location: file.cluster_location }),
        ...(file.worker_node !== undefined && { node: toName(file.worker_node) }),
      },
    },
  };
}

/** The nearest RFC 1123 label: `image_detection` becomes `image-detection`. */
function toName(written: string): string {
  return written
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
}
