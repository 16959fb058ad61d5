/**
 * Bundles each program to dist/, so that it starts quickly and holds little memory: one file of what every run needs, and
 * one chunk for each part that is loaded only when used (`await import()` in the source).
 *
 *   node scripts/build.mjs              build everything anew, and remove what earlier builds left
 *   node scripts/build.mjs --if-needed [PROGRAM ...]
 *                                       only those (all) of which something has changed; running programs keep their chunks
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(import.meta.dirname ?? dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');

/** Name in dist/ and first source file. One that a checkout does not have is left out. */
const programs = [
  { name: 'tendril', entry: 'src/main.ts' },
  { name: 'demo', entry: 'src/demo/main.ts' },
  { name: 'bench', entry: 'bench/main.ts' },
  { name: 'sim', entry: 'scripts/sim.ts' },
];

/** What changes every program, besides its own sources. */
const commonInputs = ['scripts/build.mjs', 'package.json', 'package-lock.json'];

const external = [
  'classic-level', // loads its native part from beside itself
  'bufferutil', // ws tries these two and does without
  'utf-8-validate',
];

const importedForEffect = ['reflect-metadata'];

// Dependencies in CommonJS call `require` for Node's own modules; an ES module has none unless it makes one.
const banner =
  "import{createRequire as tendrilCreateRequire}from'node:module';const require=tendrilCreateRequire(import.meta.url);";

async function bundle({ name, entry }, version) {
  const { build } = await import('esbuild');
  const startedMs = Date.now();
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: { [name]: entry },
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    mainFields: ['module', 'main'],
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    charset: 'utf8',
    external,
    banner: { js: banner },
    define: { TENDRIL_VERSION: JSON.stringify(version) },
    logLevel: 'warning',
  });
  assertNamesSurvive(metafile);
  // Chunks first, the file that names them last: whoever starts the program meanwhile gets all of the old or all of the new.
  const files = outputFiles.toSorted((a, b) => Number(isEntry(a, name)) - Number(isEntry(b, name)));
  for (const file of files) replaceFile(file.path, file.contents);
  const inputs = [...commonInputs, ...Object.keys(metafile.inputs).filter((path) => !isDependency(path))];
  replaceFile(
    recordPath(name),
    JSON.stringify({
      // What was edited during the build may be in it or not: a time of 0 matches nothing, so the next build takes it.
      inputs: Object.fromEntries(inputs.map((path) => [path, modifiedMs(path) < startedMs ? modifiedMs(path) : 0])),
      outputs: outputFiles.map((file) => relative(dist, file.path)),
    }),
  );
}

function isDependency(path) {
  return path.includes('node_modules/');
}

/** Node finds the names that a CommonJS module exports when it is imported dynamically; the bundle has only `default`. */
function assertNamesSurvive(metafile) {
  for (const [path, { imports }] of Object.entries(metafile.inputs)) {
    if (isDependency(path)) continue;
    for (const { path: target, kind, original } of imports) {
      if (kind !== 'dynamic-import' || metafile.inputs[target]?.format !== 'cjs' || importedForEffect.includes(original))
        continue;
      throw new Error(
        `${path}: import('${original}') is CommonJS: import it statically in a module that is itself loaded lazily`,
      );
    }
  }
}

function isEntry(file, name) {
  return file.path === join(dist, `${name}.js`);
}

function recordPath(name) {
  return join(dist, `.${name}.json`);
}

function replaceFile(path, contents) {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, contents);
  renameSync(draft, path);
}

function modifiedMs(path) {
  return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function readRecord(name) {
  try {
    return JSON.parse(readFileSync(recordPath(name), 'utf8'));
  } catch {
    return null;
  }
}

function isCurrent({ name }) {
  const record = readRecord(name);
  if (record === null || !record.outputs.every((path) => existsSync(join(dist, path)))) return false;
  return Object.entries(record.inputs).every(([path, recordedMs]) => recordedMs !== 0 && modifiedMs(path) === recordedMs);
}

function removeLeftovers(names) {
  const kept = new Set(names.flatMap((name) => readRecord(name)?.outputs ?? []));
  for (const file of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath ?? file.path, file.name);
    if (file.isFile() && file.name.endsWith('.js') && !kept.has(relative(dist, path))) rmSync(path);
  }
}

const words = process.argv.slice(2);
const ifNeeded = words.includes('--if-needed');
const chosen = words.filter((word) => !word.startsWith('-'));
const present = programs.filter(({ entry }) => existsSync(join(root, entry)));
const wanted = present.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
const due = ifNeeded ? wanted.filter((program) => !isCurrent(program)) : wanted;
if (due.length > 0) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const results = await Promise.allSettled(due.map((program) => bundle(program, version)));
  const failures = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason);
  // What is wrong with the sources esbuild has shown already.
  for (const failure of failures) if (failure.errors === undefined) console.error(failure.message);
  if (failures.length > 0) process.exitCode = 1;
  else if (!ifNeeded && chosen.length === 0) removeLeftovers(present.map(({ name }) => name));
}
