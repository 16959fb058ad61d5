import { describe, expect, it } from 'vitest';
import { edgeIoFileSchema, isEdgeIoFile, serviceFromEdgeIo } from './edgeio.ts';
import { serviceSchema } from './service.ts';

const listing = {
  api_version: 'v0.1',
  job_name: 'image_detection',
  image: 'quay.io/codait/max-object-detector',
  image_runtime: 'docker',
  requirements: { cpu: 2, memory: 1000 },
  cluster_location: 'Garching',
  worker_node: 'e580',
};

describe('edgeIO deployment file', () => {
  it('becomes a Service that means the same', () => {
    const service = serviceSchema.parse(serviceFromEdgeIo(edgeIoFileSchema.parse(listing)));
    expect(service.metadata).toEqual({ name: 'image-detection', labels: { 'edgeio/job-name': 'image_detection' } });
    expect(service.spec).toMatchObject({
      runtime: 'container',
      image: 'quay.io/codait/max-object-detector',
      replicas: 1,
      resources: { cpu: 2, memory: 1_000_000_000 },
      placement: { location: 'Garching', node: 'e580' },
    });
  });

  it('leaves to the defaults what it does not say', () => {
    const { requirements: _, cluster_location: __, worker_node: ___, ...least } = listing;
    const service = serviceSchema.parse(serviceFromEdgeIo(edgeIoFileSchema.parse(least)));
    expect(service.spec.resources).toEqual({ cpu: 0.1, memory: 64 * 2 ** 20, disk: 0 });
    expect(service.spec.placement).toEqual({ architecture: [], labels: {} });
  });

  it.each([
    ['image_detection', 'image-detection'],
    ['Web Server (v2)', 'web-server-v2'],
    ['__x__', 'x'],
    [`${'a'.repeat(62)}_b`, 'a'.repeat(62)],
  ])('names the job %j %j', (written, name) => {
    expect(serviceFromEdgeIo(edgeIoFileSchema.parse({ ...listing, job_name: written })).metadata.name).toBe(name);
  });

  it('is told from a resource by how it spells its version', () => {
    expect(isEdgeIoFile(listing)).toBe(true);
    expect(isEdgeIoFile({ apiVersion: 'tendril/v1' })).toBe(false);
    expect(isEdgeIoFile(null)).toBe(false);
  });
});
