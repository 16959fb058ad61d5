/**
 * Everything that has to hold, fastest answer first: `npm test`, and `npm test -- FILTER` for the tests of some files.
 * `--only STEP` runs one step: types, lint, unused, build, tests, or format, which mends what lint finds.
 *
 * In CI (the variable CI is set) it also installs the real components that the tests run against.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDependencies } from './steps/install.mjs';
import { root } from './steps/root.mjs';
import { run, runNode } from './steps/run.mjs';

const BIOME = 'node_modules/@biomejs/biome/bin/biome';
const results = join(tmpdir(), `tendril-tests-${process.pid}.json`);

/** One for each set of types: the whole on Node, the core on nothing. */
const typeProjects = ['.', 'src/core', 'web'].filter((path) => existsSync(join(root, path, 'tsconfig.json')));

const steps = {
  types: () => firstFailure(typeProjects.map((path) => () => runNode('node_modules/typescript/bin/tsc', ['-p', path]))),
  lint: () => runNode(BIOME, ['check', '--error-on-warnings']),
  unused: () => runNode('node_modules/knip/bin/knip.js', []),
  build: () => runNode('scripts/build.mjs', ['--if-needed']),
  tests: (filters) =>
    runNode('node_modules/vitest/vitest.mjs', [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${results}`,
      ...filters,
    ]),
};
const format = () => runNode(BIOME, ['check', '--write']);

const words = process.argv.slice(2);
const only = words[0] === '--only' ? words[1] : null;
const filters = only === null ? words : words.slice(2);
const chosen = only === null ? Object.entries(steps) : Object.entries({ ...steps, format }).filter(([name]) => name === only);
if (chosen.length === 0) {
  process.stderr.write(`There is no step ${only}: ${Object.keys(steps).join(', ')}, format.\n`);
  process.exit(2);
}

installDependencies();
if (process.env.CI && only === null) {
  const code = await run('sh', ['scripts/install-test-tools.sh']);
  if (code !== 0) process.exit(code);
}

let failed = null;
for (const [name, step] of chosen) {
  const startMs = performance.now();
  process.stderr.write(`== ${name}\n`);
  const code = await step(filters);
  process.stderr.write(
    `== ${name} ${code === 0 ? 'passed' : 'FAILED'} after ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`,
  );
  if (code !== 0) {
    failed = name;
    process.exitCode = code;
    break;
  }
}
if (only === null || only === 'tests') report();

/** The last line, alone, for whoever counts. */
function report() {
  let passed = 0;
  let notPassed = failed === null ? 0 : 1;
  if (existsSync(results)) {
    const counts = JSON.parse(readFileSync(results, 'utf8'));
    rmSync(results);
    passed = counts.numPassedTests;
    // A file that could not be loaded fails without a test of its own.
    notPassed = Math.max(notPassed, counts.numFailedTests);
  }
  process.stdout.write(`${failed === null ? '' : `The step "${failed}" failed.\n`}${passed} passed, ${notPassed} failed\n`);
}

async function firstFailure(tasks) {
  for (const task of tasks) {
    const code = await task();
    if (code !== 0) return code;
  }
  return 0;
}
