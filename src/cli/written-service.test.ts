import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ServiceManifest, serviceSchema } from '../core/model/service.ts';
import { writtenService } from './written-service.ts';

function roundTrip(manifest: ServiceManifest) {
  const read = serviceSchema.parse(manifest);
  const written = writtenService(read.metadata.name, { labels: read.metadata.labels, spec: read.spec });
  return { read, written, again: serviceSchema.parse(written) };
}

const base = { apiVersion: 'tendril/v1', kind: 'Service', metadata: { name: 'web' } } as const;

describe('a service as it is written', () => {
  it('says amounts in the units that people use', () => {
    const { written } = roundTrip({
      ...base,
      spec: {
        runtime: 'process',
        command: ['x'],
        resources: { cpu: 0.25, memory: 64 * 2 ** 20, disk: 1_000_000 },
        stopGrace: 90_000,
        disconnect: { lostAfter: 300_000 },
      },
    });
    expect(written).toEqual({
      ...base,
      spec: {
        runtime: 'process',
        command: ['x'],
        replicas: 1,
        resources: { cpu: '250m', memory: '64Mi', disk: 1_000_000 },
        update: { order: 'start-first', maxParallel: 1, provenAfter: '2s' },
        restart: { backoff: '1s', maxBackoff: '1m', resetAfter: '30s' },
        disconnect: { lostAfter: '5m', replace: true },
        stopGrace: '1m30s',
      },
    });
  });

  it('reads back as the very same service', () => {
    fc.assert(
      fc.property(
        fc.record({
          cpu: fc.double({ min: 0, max: 1024, noNaN: true }),
          memory: fc.double({ min: 0, max: 2 ** 46, noNaN: true }),
          stopGrace: fc.double({ min: 0, max: 1e9, noNaN: true }),
          lostAfter: fc.option(fc.nat({ max: 1e9 }), { nil: undefined }),
          command: fc.option(fc.array(fc.string(), { maxLength: 3 }), { nil: undefined }),
          architecture: fc.array(fc.constantFrom('x64', 'arm64'), { maxLength: 2 }),
        }),
        ({ cpu, memory, stopGrace, lostAfter, command, architecture }) => {
          const { read, again } = roundTrip({
            ...base,
            spec: {
              runtime: 'container',
              image: 'i',
              resources: { cpu, memory },
              stopGrace,
              disconnect: { lostAfter },
              placement: { architecture },
              ...(command && { command }),
            },
          });
          expect(JSON.parse(JSON.stringify(again))).toEqual(JSON.parse(JSON.stringify(read)));
        },
      ),
    );
  });
});
