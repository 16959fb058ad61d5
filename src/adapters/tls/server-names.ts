/** Under which names and addresses an orchestrator can be reached: what its certificate lists. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { limits } from '../../core/base/limits.ts';

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;

/** What may stand in a certificate: a host name or an address, and nothing that could be read as more. */
export function isServerName(text: string): boolean {
  return isIP(text) !== 0 || HOST_NAME.test(text);
}

/** `advertised` comes first: when there are too many, what the operator named is in. */
export function serverNames(advertised: readonly string[] = []): readonly string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  const all = [...advertised, 'localhost', '127.0.0.1', '::1', hostname(), ...addresses];
  return [...new Set(all.filter(isServerName))].slice(0, limits.certificateNames);
}

/** Whether a certificate that is at hand still does, so that a restart need not make another. */
export function coversNames(certificatePem: string, names: readonly string[]): boolean {
  const certificate = new X509Certificate(certificatePem);
  return names.every((name) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined);
}
