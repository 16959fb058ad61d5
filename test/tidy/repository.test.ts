/** What the repository says of itself is so, and it says nothing of the machine that it was written on. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ourFiles, root } from './source-files.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const foldersIn = (path: string): readonly string[] =>
  readdirSync(join(root, path))
    .map((name) => `${path}/${name}`)
    .filter((child) => statSync(join(root, child)).isDirectory());

test('ARCHITECTURE.md names every room', () => {
  const map = read('ARCHITECTURE.md');
  const rooms = ['src/core', 'src/adapters', 'src', 'test'].flatMap(foldersIn);
  expect(rooms.filter((room) => !map.includes(`\`${room}/\``))).toEqual([]);
});

test('ARCHITECTURE.md names nothing that is not there', () => {
  const named = [...read('ARCHITECTURE.md').matchAll(/`((?:src|test|bench|scripts|docs|examples|bin|web)\/[\w./-]*)`/g)].map(
    ([, path = '']) => path,
  );
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test('docs/adr/README.md lists every decision', () => {
  const index = read('docs/adr/README.md');
  const decisions = readdirSync(join(root, 'docs/adr')).filter((name) => /^\d{4}-.*\.md$/.test(name));
  expect(decisions.filter((name) => !index.includes(`(${name})`))).toEqual([]);
});

test('links between pages lead somewhere', () => {
  const broken = ourFiles()
    .filter((path) => path.endsWith('.md'))
    .flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !existsSync(join(root, path, '..', target)))
        .map((target) => `${path}: ${target}`),
    );
  expect(broken).toEqual([]);
});

test('the lock file names no registry, so that every machine uses its own', () => {
  expect(read('package-lock.json')).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/);
});

test('every dependency is pinned', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json'));
  const versions = Object.values({ ...dependencies, ...devDependencies });
  expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(String(version)))).toEqual([]);
});

test('no file knows whose machine it was written on', () => {
  const known = ourFiles().filter((path) => !path.endsWith('package-lock.json'));
  expect(known.filter((path) => read(path).includes(`${root}/`))).toEqual([]);
});
