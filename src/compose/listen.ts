/** Where a replica listens, and by which address others reach it. */
import { networkInterfaces } from 'node:os';
import { CodedError } from '../core/model/errors.ts';
import type { Membership } from '../core/raft/membership.ts';
import type { Profile } from './profile.ts';

/** `HOST:PORT`, `:PORT` or `[::]:PORT`. Throws `invalid_request`. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535)
    throw new CodedError('invalid_request', `--listen ${text}: expected HOST:PORT such as 0.0.0.0:7443`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** Where the other replicas, children and users find this one: as was said, else what is advertised first, else what it listens on. */
export function portUrl(profile: Profile, port: number): string {
  if (profile.publicUrl !== undefined) return profile.publicUrl;
  const { host } = parseListen(profile.listen);
  const reachable = profile.advertise[0] ?? (isAny(host) ? ownAddress() : host);
  const bracketed = reachable.includes(':') && !reachable.startsWith('[') ? `[${reachable}]` : reachable;
  return `https://${bracketed}:${port}`;
}

/** Throws `invalid_request`. */
export function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'https:' && url.origin === text.replace(/\/$/, '')) return url.origin;
  throw new CodedError('invalid_request', `--public-url ${text}: expected an address such as https://203.0.113.7:17443`);
}

/** The group as long as the log names none, in the order of a log: the one that was joined, or this replica alone. */
export function groupOf(profile: Profile): Membership {
  const { uid: id, name, group } = profile;
  if (group) return [...group.replicas].sort((a, b) => (a.id < b.id ? -1 : 1));
  return [{ id, name, url: portUrl(profile, parseListen(profile.listen).port), role: 'voter' }];
}

/** The first address that is not this machine's alone; loopback when there is none. */
export function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address, family, internal } of addresses ?? []) if (family === 'IPv4' && !internal) return address;
  return '127.0.0.1';
}

function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
