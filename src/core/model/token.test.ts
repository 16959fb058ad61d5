import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TokenId } from '../base/ids.ts';
import { formatToken, parseToken } from './token.ts';

const letters = (pattern: RegExp) => fc.stringMatching(pattern);

describe('token', () => {
  it('comes back from its text as it went in, also with blanks around it', () => {
    fc.assert(
      fc.property(
        letters(/^[0-9a-f]{64}$/),
        letters(/^[a-z0-9]{4,32}$/),
        letters(/^[A-Za-z0-9_-]{43}$/),
        (caFingerprint, id, secret) => {
          const token = { caFingerprint, id: id as TokenId, secret };
          expect(parseToken(` ${formatToken(token)}\n`)).toEqual({ ok: true, value: token });
        },
      ),
    );
  });

  it('refuses everything else', () => {
    for (const text of ['', 'tdl1', 'tdl2.a.b.c', `tdl1.${'a'.repeat(63)}.abcd.${'s'.repeat(43)}`, 'x'.repeat(1000)])
      expect(parseToken(text)).toEqual({ ok: false, error: 'token_malformed' });
  });
});
