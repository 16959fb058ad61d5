/** docs/services.md names every field of a service, and no other, with the default that the schema has. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod/mini';
import { serviceSchema } from '../src/core/model/service.ts';

const page = readFileSync(new URL('../docs/services.md', import.meta.url), 'utf8');

interface Row {
  readonly runtimes: readonly string[];
  readonly fallback: string;
}

/** The rows of the page's tables by field. Those of "What runs" have a column of runtimes. */
function rows(): ReadonlyMap<string, Row> {
  const found = new Map<string, Row>();
  for (const line of page.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const field = /^`((?:apiVersion|kind|metadata|spec)[\w.[\]]*)`$/.exec(cells[1] ?? '')?.[1];
    if (field === undefined) continue;
    const withRuntimes = cells.length === 6;
    expect(found.has(field), field).toBe(false);
    found.set(field, {
      runtimes: withRuntimes && cells[2] !== 'all' ? (cells[2] ?? '').split(', ') : RUNTIMES,
      fallback: cells[withRuntimes ? 3 : 2] ?? '',
    });
  }
  return found;
}

const RUNTIMES = ['process', 'python', 'container'];
const MINIMAL: Readonly<Record<string, object>> = {
  process: { command: ['x'] },
  python: { script: 'x' },
  container: { image: 'x', mounts: [{ source: '/a', target: '/b' }] },
};

interface JsonSchema {
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

function* fieldsOf(schema: JsonSchema, path: string): Generator<string> {
  for (const part of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) yield* fieldsOf(part, path);
  if (schema.items) yield* fieldsOf(schema.items, `${path}[]`);
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    const field = path === '' ? name : `${path}.${name}`;
    yield field;
    yield* fieldsOf(part, field);
  }
}

test('every field stands on the page, and no other', () => {
  const schema = z.toJSONSchema(serviceSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  expect([...rows().keys()].toSorted()).toEqual([...new Set(fieldsOf(schema, ''))].toSorted());
});

test.each(RUNTIMES)('what the page says to be the default is: %s', (runtime) => {
  const manifest = (): Record<string, unknown> => ({
    apiVersion: 'tendril/v1',
    kind: 'Service',
    metadata: { name: 'x' },
    spec: { runtime, ports: [{}], ...MINIMAL[runtime] },
  });
  const without = z.parse(serviceSchema, manifest());
  const spelledOut = manifest();
  for (const [field, { runtimes, fallback }] of rows()) {
    const written = /^`(.+)`$/.exec(fallback)?.[1];
    // A list of the minimal manifest stays; what is in it gets its defaults.
    if (written === undefined || !runtimes.includes(runtime) || /^spec\.(ports|mounts)$/.test(field)) continue;
    setAt(spelledOut, field.split('.'), parse(written));
  }
  expect(z.parse(serviceSchema, spelledOut)).toEqual(without);
});

test('a field that the page calls optional may be left out, a required one may not', () => {
  for (const [field, { runtimes, fallback }] of rows()) {
    const [, name] = /^spec\.(\w+)$/.exec(field) ?? [];
    const [runtime] = runtimes;
    if (name === undefined || name === 'runtime' || runtime === undefined) continue;
    const spec = Object.fromEntries(Object.entries({ runtime, ...MINIMAL[runtime] }).filter(([key]) => key !== name));
    const outcome = z.safeParse(serviceSchema, { apiVersion: 'tendril/v1', kind: 'Service', metadata: { name: 'x' }, spec });
    expect(outcome.success, field).toBe(!fallback.startsWith('required'));
  }
});

function setAt(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [step = '', ...rest] = path;
  const list = step.endsWith('[]');
  const name = list ? step.slice(0, -2) : step;
  if (rest.length === 0) {
    // A map whose fields are set one by one is as good as set.
    target[name] ??= value;
    return;
  }
  target[name] ??= {};
  const inside = list ? (target[name] as unknown[])[0] : target[name];
  setAt(inside as Record<string, unknown>, rest, value);
}
