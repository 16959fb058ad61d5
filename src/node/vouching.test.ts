import { expect, it } from 'vitest';
import type { Membership } from '../core/raft/membership.ts';
import { Vouching } from './vouching.ts';

const group = (...ids: readonly string[]): Membership =>
  ids.map((id) => ({ id, name: id, url: `https://${id}:7443`, role: 'voter' }));
const ids = (membership: Membership) => membership.map(({ id }) => id);

it('takes a member’s word for those who are new since, until the own log says more', () => {
  const vouching = new Vouching();
  const known = { peers: group('a', 'b', 'c'), peersVersion: 4 };
  expect(ids(vouching.peers(known))).toEqual(['a', 'b', 'c']);
  expect(vouching.heard('b', { version: 9, members: group('b', 'c', 'd') }, known)).toBe(true);
  expect(ids(vouching.peers(known))).toEqual(['a', 'b', 'c', 'd']);
  expect(vouching.heard('c', { version: 7, members: group('b', 'c', 'e') }, known)).toBe(false);
  expect(ids(vouching.peers({ peers: group('b', 'c', 'd'), peersVersion: 9 }))).toEqual(['b', 'c', 'd']);
});

it('takes nobody’s word who is no member by the own log, whatever it claims to know', () => {
  const vouching = new Vouching();
  const known = { peers: group('a', 'b'), peersVersion: 4 };
  expect(vouching.heard('x', { version: 2 ** 40, members: group('x', 'y') }, known)).toBe(false);
  expect(vouching.heard('b', { version: 9, members: group('b', 'd') }, known)).toBe(true);
  // One that was vouched for may not vouch in turn: it could have been removed since.
  expect(vouching.heard('d', { version: 10, members: group('d', 'x') }, known)).toBe(false);
  expect(ids(vouching.peers(known))).toEqual(['a', 'b', 'd']);
});
