/** What clients see of a simulated deployment is judged, and a broken one is found: the test of the test. */
import { expect, it } from 'vitest';
import { refused } from '../../src/core/base/result.ts';
import type { ErrorCode } from '../../src/core/model/errors.ts';
import type { RequestOutcome } from '../../src/core/model/requests.ts';
import type { RequestAnswer } from '../../src/core/orchestrator/changes.ts';
import { type ServiceOp, type ServiceQuestion, serviceModel, type Wanted } from '../../src/sim/client-history.ts';
import { knobsOf } from '../../src/sim/knobs.ts';
import { type ReadWanted, readApplied } from '../../src/sim/readers.ts';
import { runKnobs } from '../../src/sim/run.ts';

const SEEDS = [1, 2, 3, 4, 5, 6];

const done = (effect: RequestOutcome['effect']): RequestAnswer => ({ ok: true, value: { effect, name: 'web' } });
const no = (code: ErrorCode): RequestAnswer => refused({ code, what: 'web', details: [] });
const change = (question: ServiceQuestion, answer: RequestAnswer | null): ServiceOp => ({ kind: 'change', question, answer });
const apply = (replicas: number) => ({ kind: 'apply', replicas }) as const;
const scale = (replicas: number) => ({ kind: 'scale', replicas }) as const;
const remove = { kind: 'delete' } as const;

const STEPS: readonly [string, Wanted, ServiceOp, readonly Wanted[]][] = [
  ['made', null, change(apply(2), done('created')), [2]],
  ['made twice', 2, change(apply(2), done('created')), []],
  ['scaled', 2, change(scale(3), done('changed')), [3]],
  ['scaled to what it is, with a change', 3, change(scale(3), done('changed')), []],
  ['left as it is', 3, change(scale(3), done('unchanged')), [3]],
  ['left as it is not', 2, change(scale(3), done('unchanged')), []],
  ['applied again with other words', 3, change(apply(3), done('changed')), [3]],
  ['deleted', 3, change(remove, done('deleted')), [null]],
  ['not found where it is', 3, change(scale(1), no('not_found')), []],
  ['not found where it is not', null, change(scale(1), no('not_found')), [null]],
  ['in the way of another while it is deleted', null, change(apply(1), no('conflict')), [null]],
  ['refused for want of room', 3, change(apply(9), no('limit_reached')), [3]],
  ['scaled, and no answer', 2, change(scale(5), null), [5]],
  ['scaled where it is not, and no answer', null, change(scale(5), null), [null]],
  ['read', 2, { kind: 'read', wanted: 2 }, [2]],
  ['read as it is not', 2, { kind: 'read', wanted: null }, []],
];

it.each(STEPS)('a service is %s', (_, state, op, after) => {
  expect(serviceModel.step(state, op)).toEqual(after);
});

it.each(SEEDS)('reads and changes of seed %i are judged', async (seed) => {
  const { judged, requests } = await runKnobs(knobsOf(seed));
  expect(judged).toBeGreaterThan(requests);
});

/** Reads from a copy that hears of changes with every fourth question only. */
function staleCopy(): ReadWanted {
  const copies = new Map<string, { wanted: Wanted | undefined; asked: number }>();
  return async (at, service) => {
    const copy = copies.get(service);
    if (copy && ++copy.asked % 4 !== 0) return copy.wanted;
    const wanted = await readApplied(at, service);
    copies.set(service, { wanted, asked: 0 });
    return wanted;
  };
}

/** Reads well, except that a service of no replicas is taken for none. */
const emptyIsNone: ReadWanted = async (at, service) => {
  const wanted = await readApplied(at, service);
  return wanted === 0 ? null : wanted;
};

it.each([
  ['a read is served from a stale copy', staleCopy],
  ['a read takes no replicas for no service', () => emptyIsNone],
])('it is found when %s', async (_, broken) => {
  for (const seed of SEEDS) await expect(runKnobs(knobsOf(seed), null, broken())).rejects.toThrow(/not linearizable/);
});
