import { expect, it } from 'vitest';
import type { Replica } from '../core/raft/membership.ts';
import { type GroupSeen, parentOfLocalNode } from './local-parent.ts';

const replica = (id: string, role: Replica['role']): Replica => ({ id, name: id, url: `https://${id}:7443`, role });
const group = (...connected: string[]): GroupSeen['group'] => ({
  membership: [replica('a', 'voter'), replica('b', 'voter'), replica('c', 'learner')],
  log: { connected: new Set(connected) },
});
const seen: GroupSeen = { self: 'a', leads: false, leader: null, group: group('b', 'c') };

it('is within the process while this replica leads, else with the leader', () => {
  expect(parentOfLocalNode('standing', { ...seen, leads: true })?.id).toBe('a');
  expect(parentOfLocalNode('standing', { ...seen, leader: { id: 'b' } })?.id).toBe('b');
  expect(parentOfLocalNode('standing', seen)).toBe(null);
});

it('is on demand within the process of a voter, and with a voter that is there for a learner', () => {
  const learner = (...connected: string[]): GroupSeen => ({ ...seen, self: 'c', group: group(...connected) });
  expect(parentOfLocalNode('on-demand', seen)?.id).toBe('a');
  expect(parentOfLocalNode('on-demand', learner('a', 'b'))?.id).toBe('a');
  expect(parentOfLocalNode('on-demand', learner('b'))?.id).toBe('b');
  expect(parentOfLocalNode('on-demand', learner())).toBe(null);
});
