import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { limits } from '../base/limits.ts';
import { serviceSchema } from './service.ts';
import { formatPath, validate } from './validation.ts';

function service(spec: Record<string, unknown>, extra: Record<string, unknown> = {}): unknown {
  return {
    apiVersion: 'tendril/v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { runtime: 'process', command: ['serve'], ...spec },
    ...extra,
  };
}

/** `field: message` of everything that is wrong with `value`. */
function wrong(schema: z.core.$ZodType, value: unknown): string[] {
  const result = validate(schema, value);
  return result.ok ? [] : result.error.map(({ field, message }) => `${field}: ${message}`);
}

describe('validate', () => {
  test('gives the parsed form of what is right', () => {
    const result = validate(serviceSchema, service({ resources: { memory: '64Mi', cpu: '250m' } }));
    expect(result.ok && result.value.spec.resources).toEqual({ cpu: 0.25, memory: 64 * 2 ** 20, disk: 0 });
  });

  test.each([
    [
      'a wrong unit',
      { resources: { memory: '64Q' } },
      'spec.resources.memory: "64Q" is not an amount of memory such as 64Mi or 1G',
    ],
    ['a wrong type of amount', { resources: { cpu: true } }, 'spec.resources.cpu: expected an amount of CPU such as 0.5 or 250m'],
    ['a number out of bounds', { resources: { cpu: -1 } }, 'spec.resources.cpu: at least 0'],
    ['an unknown field, nearly right', { replica: 3 }, 'spec.replica: unknown field; did you mean replicas?'],
    ['an unknown field', { resources: { gpu: 1 } }, 'spec.resources.gpu: unknown field; known here: cpu, memory, disk'],
    ['an unknown runtime', { runtime: 'docker' }, 'spec.runtime: runtime is one of process, python, container'],
    ['no runtime', { runtime: undefined }, 'spec.runtime: runtime is one of process, python, container'],
    ['a fraction', { replicas: 1.5 }, 'spec.replicas: expected a whole number, got 1.5'],
    ['an empty command', { command: [] }, 'spec.command: name the program to run'],
    ['a list for text', { command: [['sh']] }, 'spec.command[0]: expected text, got a list'],
    ['a wrong choice', { update: { order: 'x' } }, 'spec.update.order: expected one of start-first, stop-first'],
    ['a wrong key', { env: { '1a': 'x' } }, 'spec.env["1a"]: an environment name has letters, digits and "_"'],
    [
      'a missing field',
      { placement: { near: { latitude: 48 } } },
      'spec.placement.near.longitude: is missing; expected a number',
    ],
    ['a field inside a list', { ports: [{}, { containerPort: 0 }] }, 'spec.ports[1].containerPort: at least 1'],
  ])('%s', (_, spec, expected) => {
    expect(wrong(serviceSchema, service(spec))).toEqual([expected]);
  });

  test('names everything that is wrong at once', () => {
    expect(wrong(serviceSchema, service({ replicas: '3' }, { kind: 'Job', more: 1 }))).toEqual([
      'kind: expected Service',
      'spec.replicas: expected a whole number, got text',
      'more: unknown field; known here: apiVersion, kind, metadata, spec',
    ]);
  });

  test('an empty field is the whole', () => {
    expect(wrong(serviceSchema, 'web')).toEqual([': expected an object, got text']);
    expect(wrong(serviceSchema, undefined)).toEqual([': is missing; expected an object']);
  });

  test('of several forms it speaks about the nearest', () => {
    const either = z.union([z.strictObject({ a: z.int(), b: z.int() }), z.strictObject({ c: z.string() })]);
    expect(wrong(either, { a: 1, b: 'x' })).toEqual(['b: expected a whole number, got text']);
  });

  test('stops at a bound', () => {
    const many = Array.from({ length: limits.errorDetails * 3 }, () => 'x');
    expect(wrong(z.array(z.int()), many)).toHaveLength(limits.errorDetails);
  });

  test('paths tell keys with dots apart', () => {
    expect(formatPath(['metadata', 'labels', 'example.org/zone', 0, 'x'])).toBe('metadata.labels["example.org/zone"][0].x');
  });
});
