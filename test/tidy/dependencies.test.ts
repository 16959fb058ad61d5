/** Dependencies point one way: ARCHITECTURE.md, "Who may import whom". */
import { expect, test } from 'vitest';
import { isForTests, type SourceFile, sourceFiles } from './source-files.ts';

interface Rule {
  /** Rooms whose files it may import; its own always. */
  readonly rooms: readonly string[];
  /** Packages from the registry. */
  readonly packages: readonly string[];
  readonly node: boolean;
}

const core = (...rooms: readonly string[]): Rule => ({
  rooms: rooms.map((room) => `core/${room}`),
  packages: ['zod/mini'],
  node: false,
});

/** An adapter speaks to the core's types and its ports, and to the world through the packages of its one technology. */
const adapter = (...packages: readonly string[]): Rule => ({
  rooms: ['core', 'ports'],
  packages: ['zod/mini', ...packages],
  node: true,
});

const rules: Readonly<Record<string, Rule>> = {
  'core/base': core(),
  'core/model': core('base'),
  'core/log': core('base'),
  'core/raft': core('base', 'model', 'log'),
  'core/uplink': core('base', 'model'),
  'core/capacity': core('base', 'model'),
  'core/placement': core('base', 'model', 'capacity'),
  'core/orchestrator': core('base', 'model', 'capacity', 'placement', 'uplink'),
  'core/engine': core('base', 'model', 'capacity', 'uplink'),
  ports: { rooms: ['core/base', 'core/model', 'core/raft'], packages: [], node: false },
  'adapters/docker': adapter(),
  'adapters/etcd': adapter(),
  'adapters/file-store': adapter(),
  'adapters/level': adapter('classic-level'),
  'adapters/log-lines': adapter('pino'),
  'adapters/memory': adapter(),
  'adapters/mqtt': adapter('aedes', 'mqtt', 'mqtt-packet', 'ws'),
  'adapters/native': adapter(),
  'adapters/os-meter': adapter(),
  'adapters/peer': adapter('ws'),
  'adapters/streams': adapter('ws'),
  'adapters/system-clock': adapter(),
  'adapters/tls': adapter('@peculiar/x509', 'reflect-metadata'),
  node: { rooms: ['core', 'ports'], packages: ['zod/mini'], node: true },
  sim: { rooms: ['core', 'ports', 'node', 'adapters/memory'], packages: ['zod/mini'], node: true },
  api: {
    rooms: ['core/base', 'core/model', 'ports'],
    packages: ['zod/mini', 'fastify', '@fastify/swagger', 'fastify-type-provider-zod'],
    node: true,
  },
  cli: {
    rooms: ['core/base', 'core/model', 'api'],
    packages: ['zod/mini', 'cli-table3', 'commander', 'diff', 'picocolors', 'yaml'],
    node: true,
  },
  compose: {
    rooms: ['core', 'ports', 'adapters', 'node', 'api', 'cli'],
    packages: ['zod/mini', 'commander', 'prom-client', 'ws'],
    node: true,
  },
  // The demo is a user of the program: it starts it, and calls it as the command line does.
  demo: {
    rooms: ['core/base', 'core/model', 'api', 'cli', 'adapters/native', 'adapters/docker'],
    packages: ['zod/mini'],
    node: true,
  },
  'main.ts': { rooms: ['adapters', 'cli', 'compose'], packages: [], node: false },
};

const shipped = sourceFiles().filter((file) => file.path.startsWith('src/') && !isForTests(file));

test('every room has a rule, and every rule a room', () => {
  expect([...new Set(shipped.map(({ path }) => roomOf(path)))].sort()).toEqual(Object.keys(rules).sort());
});

test.each(Object.entries(rules))('%s imports only what it may', (room, rule) => {
  const files = shipped.filter(({ path }) => roomOf(path) === room);
  expect(files.flatMap((file) => forbiddenImports(file, room, rule))).toEqual([]);
});

test('only main.ts imports compose', () => {
  const importers = shipped.filter(({ path, imports }) => !path.startsWith('src/compose/') && imports.some(inCompose));
  expect(importers.map(({ path }) => path)).toEqual(['src/main.ts']);
});

test('the command line takes only schemas and types of the API', () => {
  const files = shipped.filter(({ path }) => path.startsWith('src/cli/'));
  const taken = files
    .flatMap(({ imports }) => imports.map(({ target }) => target))
    .filter((target) => target.startsWith('src/api/'));
  expect([...new Set(taken)]).toEqual(['src/api/schemas.ts']);
});

test('zod is used in its small form everywhere', () => {
  const users = sourceFiles().filter(({ imports }) => imports.some(({ target }) => target === 'zod'));
  expect(users.map(({ path }) => path)).toEqual([]);
});

function forbiddenImports({ path, imports }: SourceFile, room: string, rule: Rule): readonly string[] {
  return imports
    .filter(({ ours, target }) => {
      if (!ours) return target.startsWith('node:') ? !rule.node : !rule.packages.includes(target);
      const imported = roomOf(target);
      return imported !== room && !rule.rooms.some((allowed) => imported === allowed || imported.startsWith(`${allowed}/`));
    })
    .map(({ target }) => `${path} imports ${target}`);
}

function inCompose({ target }: { readonly target: string }): boolean {
  return target.startsWith('src/compose/');
}

/** `src/core/model/token.ts` is in the room `core/model`, `src/api/access.ts` in `api`. */
function roomOf(path: string): string {
  const [, first = '', second = ''] = path.split('/');
  return first === 'core' || first === 'adapters' ? `${first}/${second}` : first;
}
