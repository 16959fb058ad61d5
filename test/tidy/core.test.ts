/** The core decides by its arguments alone, so that a run can be replayed from its inputs. */
import { expect, test } from 'vitest';
import { isForTests, sourceFiles } from './source-files.ts';

const files = sourceFiles().filter((file) => file.path.startsWith('src/core/') && !isForTests(file));

test.each([
  ['the clock', /\bDate\.now\b|\bnew Date\(\)|\bperformance\b/],
  ['chance', /\bMath\.random\b|\bcrypto\b|\brandomUUID\b/],
  ['timers', /\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/],
  ['waiting', /\basync\b|\bawait\b|\bPromise\b/],
  ['the machine', /\bprocess\.|\bBuffer\b|\bconsole\./],
])('the core does not reach for %s', (_what, pattern) => {
  expect(files.filter(({ code }) => pattern.test(code)).map(({ path }) => path)).toEqual([]);
});
