import { expect, it } from 'vitest';
import { limits } from '../base/limits.ts';
import { desiredSchema, instanceReportSchema, reportedReason } from './messages.ts';

const report = {
  id: 'web-1',
  state: 'FAILED',
  reason: '',
  node: '',
  endpoints: [],
  restarts: 0,
  sinceMs: 1,
  exitCode: null,
} as const;

it.each(['exited with code 1', 'zwölf Kerne ✓', 'x'.repeat(50_000), 'first line\nsecond\u001b[2J line\u0000\u009b'])(
  'reports %j in words that a parent takes',
  (reason) => {
    const said = { ...report, reason: reportedReason(reason) };
    expect(instanceReportSchema.safeParse(said).error).toBeUndefined();
    expect(said.reason.slice(0, 4)).toBe(reason.slice(0, 4));
  },
);

it.each([
  { reason: '\u001b]0;not your terminal\u0007' },
  { reason: 'x'.repeat(limits.reasonLength + 1) },
  { node: 'n1\n' },
  { endpoints: [{ name: 'http', address: '\u001b[2J', port: 80 }] },
])('takes no report with %j', (lie) => {
  expect(instanceReportSchema.safeParse({ ...report, ...lie }).success).toBe(false);
});

const desired = { type: 'desired', session: 's', epoch: 'e', from: 1, to: 1, set: [], unset: [], heartbeatMs: 1_000 } as const;
const url = (at: number) => `https://n${at}:7443`;

it('names the replicas of an orchestrator, as many as a group has', () => {
  const orchestrators = Array.from({ length: limits.orchestratorAddresses }, (_, at) => url(at));
  expect(desiredSchema.safeParse({ ...desired, orchestrators }).success).toBe(true);
  expect(desiredSchema.safeParse(desired).success).toBe(true);
  for (const lie of [[], [...orchestrators, url(99)], ['http://n1:7443'], ['https://n1/path'], [url(1) + '0'.repeat(600)]])
    expect(desiredSchema.safeParse({ ...desired, orchestrators: lie }).success).toBe(false);
});
