/** Habits of STYLE.md that neither the compiler nor the linter can hold. */
import { expect, test } from 'vitest';
import { limits } from '../../src/core/base/limits.ts';
import { ERRORS } from '../../src/core/model/errors.ts';
import { isForTests, sourceFiles } from './source-files.ts';

const files = sourceFiles();
const shipped = files.filter((file) => !isForTests(file));

const LINES_MAX = 400;
/** Tests are read one by one: a table of cases may be longer. */
const TEST_LINES_MAX = 600;

/** Longer, and better so. */
const longFiles: Readonly<Record<string, string>> = {
  'src/core/raft/raft.ts':
    'one state machine, whose parts share all of its state; log, progress, reads and memberships have files of their own',
  'src/adapters/native/supervisor.ts': 'one life of an instance, from its record to its end, in one place',
  'src/core/engine/engine.ts': 'one decision over wishes and what is observed, with its invariants at the head',
  'src/core/orchestrator/orchestrator.ts': 'the state machine: every input and what it leads to',
  'src/sim/network.ts': 'one fake network, whose faults share its queues',
};

function where(pattern: RegExp, among = files): readonly string[] {
  return among.filter(({ code }) => pattern.test(code)).map(({ path }) => path);
}

test('no type is escaped from', () => {
  expect(where(/\bas any\b/)).toEqual([]);
  // These stand in comments, so the text is searched.
  const pragma = new RegExp(['@ts-(ignore', 'expect-error', 'nocheck)'].join('|'));
  expect(files.filter(({ text }) => pragma.test(text)).map(({ path }) => path)).toEqual([]);
});

test('no test is left out, and none is alone', () => {
  expect(where(/\.(skip|only|todo|skipIf|runIf)\(|\b(xit|xtest|fit|fdescribe)\(/)).toEqual([]);
});

test('tests wait for what happens, not for time to pass', () => {
  const tests = files.filter(({ path }) => path.endsWith('.test.ts'));
  expect(where(/\bsetTimeout\b|\buseFakeTimers\b/, tests)).toEqual([]);
  expect(
    tests.filter(({ imports }) => imports.some(({ target }) => target === 'node:timers/promises')).map(({ path }) => path),
  ).toEqual([]);
});

test('nothing is left for later', () => {
  const later = new RegExp(['TO', 'DO\\b|FIX', 'ME\\b|X', 'XX\\b'].join(''));
  expect(files.filter(({ text }) => later.test(text)).map(({ path }) => path)).toEqual([]);
});

test('file names are words with hyphens', () => {
  const name = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config))?\.ts$/;
  expect(files.map(({ path }) => path).filter((path) => !name.test(path.split('/').at(-1) ?? ''))).toEqual([]);
  expect(files.map(({ path }) => path).filter((path) => /(^|\/)(utils?|helpers?|common|misc)[./]/.test(path))).toEqual([]);
});

test('a file stays short, or is known for a reason to be long', () => {
  const long = files.filter((file) => file.text.split('\n').length - 1 > (isForTests(file) ? TEST_LINES_MAX : LINES_MAX));
  const unexpected = long.map(({ path }) => path).filter((path) => longFiles[path] === undefined);
  expect(unexpected, 'split it, or say here why not').toEqual([]);
  expect(
    Object.keys(longFiles).filter((path) => !long.some((file) => file.path === path)),
    'no longer long',
  ).toEqual([]);
});

test('every error code can happen', () => {
  const texts = shipped.filter(({ path }) => path !== 'src/core/model/errors.ts').map(({ text }) => text);
  expect(Object.keys(ERRORS).filter((code) => !texts.some((text) => text.includes(`'${code}'`)))).toEqual([]);
});

test('every limit limits something', () => {
  const texts = shipped.filter(({ path }) => path !== 'src/core/base/limits.ts').map(({ code }) => code);
  expect(Object.keys(limits).filter((limit) => !texts.some((code) => new RegExp(`\\b${limit}\\b`).test(code)))).toEqual([]);
});
