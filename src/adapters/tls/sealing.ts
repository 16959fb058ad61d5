/**
 * A secret closed so that only one key opens it: ECIES with a fresh ECDH key on P-256 (SEC 1, section 5.1), HKDF with
 * SHA-256 (RFC 5869) and AES-256-GCM. What a voter holds of the orchestrator travels and lies on disks like this.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { CodedError } from '../../core/model/errors.ts';
import type { Sealed } from '../../core/model/join.ts';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const PURPOSE = 'tendril sealed secret 1';

/** `keyPem`: the public key, or the private key, of whoever may open it. */
export function sealFor(keyPem: string, text: string): Sealed {
  const to = createPublicKey(keyPem);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const from = publicKey.export({ type: 'spki', format: 'der' });
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, sharedKey(privateKey, to, from), nonce);
  const content = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return {
    from: from.toString('base64'),
    nonce: nonce.toString('base64'),
    tag: cipher.getAuthTag().toString('base64'),
    content: content.toString('base64'),
  };
}

/** Throws `data_dir_corrupt` when it was sealed for another key, or changed. */
export function openSealed(keyPem: string, sealed: Sealed): string {
  try {
    const from = Buffer.from(sealed.from, 'base64');
    const publicKey = createPublicKey({ key: from, type: 'spki', format: 'der' });
    const decipher = createDecipheriv(
      CIPHER,
      sharedKey(createPrivateKey(keyPem), publicKey, from),
      Buffer.from(sealed.nonce, 'base64'),
    );
    decipher.setAuthTag(Buffer.from(sealed.tag, 'base64'));
    return Buffer.concat([decipher.update(Buffer.from(sealed.content, 'base64')), decipher.final()]).toString('utf8');
  } catch (cause) {
    throw new CodedError('data_dir_corrupt', 'what is sealed for this replica does not open with its key', [], cause);
  }
}

/** Bound to the fresh public key: no other one leads to the same key. */
function sharedKey(privateKey: KeyObject, publicKey: KeyObject, from: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', diffieHellman({ privateKey, publicKey }), from, PURPOSE, KEY_BYTES));
}
