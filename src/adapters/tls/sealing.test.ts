import { createPrivateKey, createPublicKey } from 'node:crypto';
import { expect, it } from 'vitest';
import { type Sealed, sealedSchema } from '../../core/model/join.ts';
import { makeKey } from './certificate-request.ts';
import { openSealed, sealFor } from './sealing.ts';

it('opens with the key that it was sealed for, and with no other', async () => {
  const [ours, other] = [await makeKey(), await makeKey()];
  const publicPem = createPublicKey(createPrivateKey(ours)).export({ type: 'spki', format: 'pem' }).toString();
  const sealed = sealFor(publicPem, 'the key of the authority, ü');
  expect(JSON.stringify(sealed)).not.toContain('authority');
  expect(openSealed(ours, sealedSchema.parse(JSON.parse(JSON.stringify(sealed))))).toBe('the key of the authority, ü');
  expect(() => openSealed(other, sealed)).toThrow('does not open with its key');
});

it('does not open once any part of it was changed', async () => {
  const key = await makeKey();
  const sealed = sealFor(key, 'secret');
  const again = sealFor(key, 'secret');
  for (const part of ['from', 'nonce', 'tag', 'content'] as const) {
    const changed: Sealed = { ...sealed, [part]: again[part] };
    expect(() => openSealed(key, changed), part).toThrow('does not open with its key');
  }
});
