import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { serviceSchema, serviceSpecSchema } from './service.ts';

const written = {
  apiVersion: 'tendril/v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: {
    runtime: 'process',
    command: ['sleep', '1'],
    resources: { cpu: '250m', memory: '64Mi' },
    stopGrace: '1m30s',
    ports: [{}],
  },
};

describe('service schema', () => {
  it('turns what people write into plain numbers and fills in defaults', () => {
    const { spec } = serviceSchema.parse(written);
    expect(spec.resources).toEqual({ cpu: 0.25, memory: 64 * 2 ** 20, disk: 0 });
    expect(spec.stopGrace).toBe(90_000);
    expect(spec.replicas).toBe(1);
    expect(spec.placement.labels).toEqual({});
    expect(spec.ports).toEqual([{ name: 'http', protocol: 'tcp' }]);
  });

  it('is idempotent: parsing the parsed form changes nothing', () => {
    const once = serviceSchema.parse(written);
    expect(serviceSchema.parse(JSON.parse(JSON.stringify(once)))).toEqual(once);
  });

  it('refuses unknown fields, wrong units and unknown runtimes, each by name', () => {
    const messagesFor = (spec: object) => {
      const outcome = serviceSpecSchema.safeParse({ ...written.spec, ...spec });
      return outcome.success ? [] : outcome.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    };
    z.config(z.locales.en());
    expect(messagesFor({ imgae: 'x' })).toEqual([': Unrecognized key: "imgae"']);
    expect(messagesFor({ resources: { memory: '64 parsecs' } }).join()).toContain('amount of memory');
    expect(messagesFor({ runtime: 'vax' }).join()).toContain('runtime is one of process, python, container');
  });
});
