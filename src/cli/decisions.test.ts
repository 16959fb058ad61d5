import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { limits } from '../core/base/limits.ts';
import type { DecisionRecord } from '../core/model/decisions.ts';
import { DecisionChain } from '../core/orchestrator/decision-chain.ts';
import { sha256 } from '../node/sha256.ts';
import { CliRig } from './testing/cli-rig.ts';

let rig: CliRig;
let chain: DecisionChain;

beforeAll(async () => {
  rig = await CliRig.open();
});
afterAll(() => rig.close());
beforeEach(() => {
  chain = new DecisionChain(sha256);
  chain.begin('e1');
  rig.backend.records.length = 0;
});

function decide(more: Partial<DecisionRecord> = {}): void {
  chain.append({
    ...{
      atMs: Date.UTC(2026, 0, 2, 3, 4, 5),
      cause: 'create',
      service: 'web',
      instance: 'web-1',
      replaces: null,
      request: 'key-1',
    },
    seen: {
      policy: 'least-loaded',
      candidates: [
        { name: 'n1', score: 0.75, load: 0.25, cpuMilli: 1_500, memoryBytes: 2 ** 30 },
        { name: 'n2', score: 0.5, load: 0.5, cpuMilli: 1_000, memoryBytes: 2 ** 29 },
      ],
      others: 3,
      rejected: { resources: 2, cordoned: 1 },
    },
    ...{ choice: 'n1', term: 4, leader: 'site', votes: [{ voter: 'n2', load: 0.5 }] },
    ...more,
  });
  rig.backend.records.splice(0, rig.backend.records.length, ...chain.list(limits.decisionRecords));
}

async function ok(line: string): Promise<string> {
  const { code, stdout, stderr } = await rig.run(line);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

it('lists decisions in a table and as JSON', async () => {
  decide();
  decide({ cause: 'replace', instance: 'web-2', replaces: 'web-1', choice: 'n2', votes: [] });
  expect(await ok('decisions list')).toBe(
    [
      'NUMBER   TIME (UTC)            INSTANCE   CHOICE   CAUSE     TERM   VOTES',
      '1        2026-01-02 03:04:05   web-1      n1       create    4      1',
      '2        2026-01-02 03:04:05   web-2      n2       replace   4      0',
      '',
    ].join('\n'),
  );
  expect(JSON.parse(await ok('decisions list -o json --limit 1'))).toEqual({ items: [chain.record(2)] });
  expect(JSON.parse(await ok('decisions list -o json --after 0 --limit 1'))).toEqual({ items: [chain.record(1)] });
  rig.backend.records.length = 0;
  expect(await rig.run('decisions list')).toEqual({ code: 0, stdout: '', stderr: 'There are no decisions.\n' });
});

it('shows what was seen and why it was chosen', async () => {
  decide();
  const record = chain.record(1);
  expect(await ok('decisions show 1')).toBe(
    [
      'Decision:    1, 2026-01-02 03:04:05 UTC',
      'Instance:    web-1, of service web',
      'Cause:       create: a new copy was wanted',
      'Request:     key-1',
      'Choice:      n1',
      'Why:         the first of 5 that could take it, by policy least-loaded',
      'Decided by:  site, in term 4',
      'Votes:       n2 (load 50%)',
      `Hash:        ${record?.hash}`,
      `Builds on:   ${sha256('e1')}`,
      '',
      'CANDIDATE   SCORE   LOAD WITH IT   CPU FREE   MEMORY FREE',
      'n1          0.750   25%            1.5        1Gi',
      'n2          0.500   50%            1          512Mi',
      '3 more could have taken it.',
      'Out of the question: 2 without room, 1 cordoned.',
      '',
    ].join('\n'),
  );
  expect(JSON.parse(await ok('decisions show 1 -o json'))).toEqual(record);
  expect((await rig.run('decisions show 7')).code).toBe(3);
  expect((await rig.run('decisions show first')).code).toBe(2);
  decide({ seen: null });
  expect(await ok('decisions show 2')).toContain('Why:         not recorded');
});

it('says by its exit code whether the chain is whole', async () => {
  decide();
  rig.backend.verdict = chain.verify('e1');
  expect(await ok('decisions verify')).toBe(
    `verified: records 1 to 1, each builds on the one before\nnewest hash: ${chain.tip.hash}\n`,
  );
  rig.backend.verdict = chain.verify('another');
  const { code, stdout } = await rig.run('decisions verify');
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout: 'not verified: decision 1 does not begin with the hash of the epoch\n',
  });
  expect(JSON.parse((await rig.run('decisions verify -o json')).stdout)).toEqual(rig.backend.verdict);
});

it('says what a directory without a log is', async () => {
  const { code, stderr } = await rig.run(`decisions list --data-dir ${rig.directory}`);
  expect(code).toBe(1);
  expect(stderr).toContain('has no log of an orchestrator');
});
