import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChildRecord, TokenRecord } from '../model/membership.ts';
import { isMember } from '../model/membership.ts';
import { type AdmissionRequest, admit, checkToken } from './admission.ts';

const hash = (letter: string) => letter.repeat(64);
const token: TokenRecord = {
  id: 'tok1',
  secretHash: hash('a'),
  role: 'worker',
  createdAtMs: 0,
  expiresAtMs: 1_000,
  usesLeft: 1,
};
const request: AdmissionRequest = {
  tokenId: 'tok1',
  secretHash: hash('a'),
  name: 'n1',
  kind: 'node',
  publicKeyFingerprint: hash('1'),
  nowMs: 500,
};

describe('admission', () => {
  it('uses the token up and registers the child in one step (A1)', () => {
    expect(admit(request, token, undefined)).toEqual({
      ok: true,
      value: {
        token: { ...token, usesLeft: 0 },
        child: { name: 'n1', kind: 'node', publicKeyFingerprint: hash('1'), joinedAtMs: 500, joinedWith: 'tok1' },
      },
    });
  });

  it.each([
    ['token_unknown', {}, undefined],
    ['token_unknown', { secretHash: hash('b') }, token],
    ['token_unknown', { secretHash: '' }, token],
    ['token_expired', { nowMs: 1_000 }, token],
    ['token_used_up', {}, { ...token, usesLeft: 0 }],
    ['wrong_role', { kind: 'cluster' }, token],
    ['wrong_role', {}, { ...token, role: 'admin' }],
  ] as const)('refuses with %s %o', (code, change, record) => {
    expect(admit({ ...request, ...change }, record, undefined)).toEqual({ ok: false, error: code });
  });

  const known: ChildRecord = {
    name: 'n1',
    kind: 'node',
    publicKeyFingerprint: hash('1'),
    joinedAtMs: 100,
    joinedWith: 'tok0',
  };

  it('keeps a name for its key (A2)', () => {
    expect(admit({ ...request, publicKeyFingerprint: hash('2') }, token, known)).toEqual({ ok: false, error: 'name_taken' });
    const cluster: ChildRecord = { ...known, kind: 'cluster' };
    expect(admit(request, token, cluster)).toEqual({ ok: false, error: 'name_taken' });
  });

  it('lets the same key in again with a new token, which is used up', () => {
    const again = admit(request, token, known);
    expect(again).toMatchObject({ ok: true, value: { token: { usesLeft: 0 }, child: { joinedAtMs: 100, joinedWith: 'tok1' } } });
  });

  it('answers a repeated request alike and uses nothing more (A3), until the token expires', () => {
    const first = admit(request, token, undefined);
    if (!first.ok) throw new Error(first.error);
    const second = admit({ ...request, nowMs: 600 }, first.value.token, first.value.child);
    expect(second).toEqual(first);
    expect(admit({ ...request, nowMs: 2_000 }, first.value.token, first.value.child)).toEqual({
      ok: false,
      error: 'token_expired',
    });
  });

  it('never lets in more keys than the token has uses, in any order of requests (A1, A2, A3)', () => {
    const requests = fc.array(fc.record({ name: fc.constantFrom('n1', 'n2', 'n3', 'n4'), key: fc.constantFrom('1', '2', '3') }));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 }), requests, (uses, asked) => {
        let record: TokenRecord = { ...token, usesLeft: uses };
        const children = new Map<string, ChildRecord>();
        for (const { name, key } of asked) {
          const outcome = admit({ ...request, name, publicKeyFingerprint: hash(key) }, record, children.get(name));
          if (!outcome.ok) continue;
          const before = children.get(name);
          if (before) expect(outcome.value.child.publicKeyFingerprint).toBe(before.publicKeyFingerprint);
          record = outcome.value.token;
          children.set(name, outcome.value.child);
        }
        expect(children.size + (record.usesLeft ?? 0)).toBe(uses);
      }),
    );
  });

  it('knows an unlimited token, and one that never expires', () => {
    const open: TokenRecord = { ...token, usesLeft: null, expiresAtMs: null };
    expect(admit({ ...request, nowMs: 1e15 }, open, undefined)).toMatchObject({ ok: true, value: { token: { usesLeft: null } } });
    expect(checkToken(open, hash('a'), 1e15).ok).toBe(true);
  });

  it('knows a member by its key, not by its certificate', () => {
    const peer = { name: 'n1', kind: 'node', publicKeyFingerprint: hash('1'), certificateFingerprint: hash('9') } as const;
    expect(isMember(known, peer)).toBe(true);
    expect(isMember(known, { ...peer, publicKeyFingerprint: hash('2') })).toBe(false);
    expect(isMember(known, { ...peer, kind: 'cluster' })).toBe(false);
    expect(isMember(undefined, peer)).toBe(false);
  });
});
