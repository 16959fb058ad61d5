import { expect, it } from 'vitest';
import type { GroupView, ReplicaView } from '../../core/model/replicas.ts';
import { checkGroup } from './group-checks.ts';

function replica(name: string, changes: Partial<ReplicaView> = {}): ReplicaView {
  const known = { id: name, name, url: `https://${name}:7443`, role: 'voter', wanted: 'voter' } as const;
  return { ...known, leads: name === 'n1', self: name === 'n1', connected: true, behind: 0, ...changes };
}

function group(replicas: readonly ReplicaView[], changes: Partial<GroupView> = {}): GroupView {
  const all = { leadership: 'standing', term: 3, leader: 'n1', paused: false, quorum: true, commit: 9 } as const;
  return { ...all, replicas: [...replicas], ...changes };
}

const found = (view: GroupView) => checkGroup(view).map(({ result, finding }) => `${result}: ${finding}`);

it('says how many may be lost when all is well', () => {
  expect(found(group([replica('n1')]))).toEqual(['ok: 1 voter, n1 leads, none may be lost']);
  expect(
    found(group([replica('n1'), replica('n2'), replica('n3'), replica('n4', { role: 'learner', wanted: 'learner' })])),
  ).toEqual(['ok: 3 voters and 1 learner, n1 leads, one voter may be lost']);
});

it('tells a group that cannot decide from one that is about to', () => {
  const [n1, n2, n3] = [replica('n1'), replica('n2', { connected: false }), replica('n3', { connected: false })];
  expect(found(group([n1, n2, n3], { leader: null, quorum: false }))).toEqual([
    'fail: no quorum of the voters can be reached from n1: it misses n2, n3',
  ]);
  expect(found(group([n1, replica('n2'), n3], { leader: null }))).toEqual(['warn: nobody leads: an election is under way']);
  expect(found(group([replica('n1', { wanted: null, leads: false })], { leader: null, quorum: false }))).toEqual([
    'fail: n1 was removed from this orchestrator',
  ]);
});

it('names who is away, who is not what it shall be, and who does not keep up', () => {
  const late = replica('n4', { role: 'learner', wanted: 'voter', behind: 5_000 });
  const view = group([replica('n1'), replica('n2', { connected: false, behind: 7_000 }), replica('n3'), late]);
  expect(found(view)).toEqual([
    'warn: unreachable: n2 (voter)',
    'warn: n4 is to be a voter, and is a learner',
    'warn: n4 is 5000 entries behind',
  ]);
  expect(checkGroup(view)[0]?.advice).toContain('When one more voter is lost');
});
