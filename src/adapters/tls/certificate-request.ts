/**
 * A child's key pair and its certificate request (PKCS #10, RFC 2986).
 *
 * The request is written here, byte by byte, because the child is a small box: the X.509 library costs a
 * worker 10 MB (bundled) to 23 MB of resident memory for these two hundred bytes, and renewing would
 * bring them back. The parent, which reads what strangers send, uses the library.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { assert } from '../../core/base/assert.ts';
import { isName } from '../../core/base/ids.ts';

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const SEQUENCE = 0x30;
const SET = 0x31;
/** [0] IMPLICIT SET OF Attribute: present, and empty. */
const ATTRIBUTES = 0xa0;

/** 2.5.4.3 */
const COMMON_NAME = Buffer.from('550403', 'hex');
/** 1.2.840.10045.4.3.2 (RFC 5758) */
const ECDSA_WITH_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');

/** ECDSA on P-256, PKCS #8 in PEM. */
export async function makeKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The parent takes the key from it, and the name only from the request beside it: it decides what it signs. */
export function makeCertificateRequest(keyPem: string, name: string): string {
  assert(isName(name), 'a child has a name');
  const key = createPrivateKey(keyPem);
  const commonName = der(SEQUENCE, der(OBJECT_IDENTIFIER, COMMON_NAME), der(UTF8_STRING, Buffer.from(name)));
  const info = der(
    SEQUENCE,
    der(INTEGER, Buffer.from([0])),
    der(SEQUENCE, der(SET, commonName)),
    createPublicKey(keyPem).export({ type: 'spki', format: 'der' }),
    der(ATTRIBUTES),
  );
  const signature = sign('sha256', info, { key, dsaEncoding: 'der' });
  const request = der(
    SEQUENCE,
    info,
    der(SEQUENCE, der(OBJECT_IDENTIFIER, ECDSA_WITH_SHA256)),
    der(BIT_STRING, Buffer.from([0]), signature),
  );
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}

/** Tag, length, content (X.690, section 8.1). */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  assert(content.length < 0x1_0000, 'a certificate request is small');
  const length =
    content.length < 0x80
      ? [content.length]
      : content.length < 0x100
        ? [0x81, content.length]
        : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
