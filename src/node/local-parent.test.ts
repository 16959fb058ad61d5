import { expect, it } from 'vitest';
import type { Replica } from '../core/raft/membership.ts';
import { type GroupSeen, parentOfLocalNode } from './local-parent.ts';

const replica = (id: string, role: Replica['role']): Replica => ({ id, name: id, url: `https://${id}:7443`, role });
const seen: GroupSeen = {
  self: 'a',
  leads: false,
  leader: null,
  membership: [replica('a', 'voter'), replica('b', 'voter'), replica('c', 'learner')],
  connected: new Set(['b', 'c']),
};

it('is within the process while this replica leads, else with the leader', () => {
  expect(parentOfLocalNode('standing', { ...seen, leads: true })?.id).toBe('a');
  expect(parentOfLocalNode('standing', { ...seen, leader: 'b' })?.id).toBe('b');
  expect(parentOfLocalNode('standing', seen)).toBe(null);
});

it('is on demand within the process of a voter, and with a voter that is there for a learner', () => {
  const learner = { ...seen, self: 'c' };
  expect(parentOfLocalNode('on-demand', seen)?.id).toBe('a');
  expect(parentOfLocalNode('on-demand', { ...learner, connected: new Set(['a', 'b']) })?.id).toBe('a');
  expect(parentOfLocalNode('on-demand', { ...learner, connected: new Set(['b']) })?.id).toBe('b');
  expect(parentOfLocalNode('on-demand', { ...learner, connected: new Set() })).toBe(null);
});
