/** Where an orchestrator's log is, when it is not in its data directory: `--log etcd://...` and what belongs to it. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import * as z from 'zod/mini';
import { parseEtcdAddress } from '../adapters/etcd/address.ts';
import type { EtcdAccess } from '../adapters/etcd/gateway.ts';
import { CodedError } from '../core/model/errors.ts';
import type { Leadership } from '../core/model/replicas.ts';
import type { Profile } from './documents.ts';
import type { EtcdReplicationComponents } from './etcd-replication.ts';
import { groupOf } from './listen.ts';
import type { ReplicaIdentity } from './replica-identity.ts';
import type { Replicated } from './replicated.ts';

export const logSettingsSchema = z.object({
  address: z.string(),
  /** Files, by their whole path. */
  ca: z.optional(z.string()),
  certificate: z.optional(z.string()),
  key: z.optional(z.string()),
  user: z.optional(z.string()),
  passwordFile: z.optional(z.string()),
});
export type LogSettings = z.output<typeof logSettingsSchema>;

export interface LogFlags {
  readonly log?: string;
  readonly logCa?: string;
  readonly logCert?: string;
  readonly logKey?: string;
  readonly logUser?: string;
  readonly logPasswordFile?: string;
}

/** undefined: nothing was said. Throws `invalid_request`. */
export function parseLogFlags(flags: LogFlags): LogSettings | undefined {
  const { log: address, logUser: user } = flags;
  const files = { ca: flags.logCa, certificate: flags.logCert, key: flags.logKey, passwordFile: flags.logPasswordFile };
  const given = Object.entries({ ...files, user }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (address === undefined) {
    if (given.length > 0) throw new CodedError('invalid_request', 'how to reach a log says nothing without --log etcd://...');
    return undefined;
  }
  const { secure } = parseEtcdAddress(address);
  const pairs = [
    ['--log-cert', files.certificate, '--log-key', files.key],
    ['--log-user', user, '--log-password-file', files.passwordFile],
  ] as const;
  for (const [one, first, other, second] of pairs)
    if ((first === undefined) !== (second === undefined))
      throw new CodedError('invalid_request', `${one} and ${other} go together`);
  if (!secure && (files.ca !== undefined || files.certificate !== undefined))
    throw new CodedError('invalid_request', `--log ${address} is without TLS: etcds:// is with it`);
  return { address, ...Object.fromEntries(given.map(([name, text]) => [name, name === 'user' ? text : resolve(text)])) };
}

/**
 * What a replica's log is from now on. An orchestrator's log stays where it began: it can be reached in another way, and
 * not be moved.
 */
export function settleLog(
  wished: LogSettings | undefined,
  known: { readonly isFirstStart: boolean; readonly log: LogSettings | undefined },
): LogSettings | undefined {
  if (known.isFirstStart || wished === undefined) return wished ?? known.log;
  if (known.log === undefined)
    throw new CodedError('conflict', 'this data directory has its log in it; one in etcd needs another --data-dir');
  const [before, now] = [parseEtcdAddress(known.log.address).name, parseEtcdAddress(wished.address).name];
  if (before !== now) throw new CodedError('conflict', `the log of this data directory is "${before}", not "${now}"`);
  return wished;
}

/** Whether such a log goes with what else was wished. */
export function checkLog(
  { log, leadership }: { log?: LogSettings | undefined; leadership?: Leadership | undefined },
  orchestrates: boolean,
): void {
  if (log === undefined) return;
  if (!orchestrates) throw new CodedError('invalid_request', '--log is for orchestrators: a worker has none');
  if (leadership === 'on-demand')
    throw new CodedError(
      'invalid_request',
      '--log and --leadership on-demand: with its log in etcd an orchestrator has a standing leader',
    );
}

/** A replica that joins has to name the log that the others share. */
export function checkShared(theirs: string | undefined, ours: LogSettings | undefined): void {
  const own = ours && logName(ours);
  if (theirs === own) return;
  const does = theirs === undefined ? 'join without --log' : `join with --log etcd://HOST:PORT/${theirs}, as the others reach it`;
  throw new CodedError('conflict', `the log of this orchestrator is ${theirs === undefined ? 'its own' : 'in etcd'}: ${does}`);
}

function logName(settings: LogSettings): string {
  return parseEtcdAddress(settings.address).name;
}

/** What a replica that joins is told of it. */
export function sharedLog({ log }: Profile): { readonly log?: string } {
  return log === undefined ? {} : { log: logName(log) };
}

/** An orchestrator whose log is its own does not load the client. */
export async function replicateInEtcd(
  { identity, ...components }: Omit<EtcdReplicationComponents, 'canLead'> & { readonly identity: ReplicaIdentity },
  profile: Profile,
  log: LogSettings,
): Promise<Replicated> {
  const { EtcdReplication } = await import('./etcd-replication.ts');
  return new EtcdReplication(
    { ...components, canLead: () => identity.authority !== null },
    { id: profile.uid, name: profile.name, membership: groupOf(profile), access: await readAccess(log), logName: logName(log) },
  );
}

/** Reads the files anew at every start, so that new certificates and passwords count. Throws `invalid_request`. */
export async function readAccess(settings: LogSettings): Promise<EtcdAccess> {
  const { secure, endpoints } = parseEtcdAddress(settings.address);
  const [ca, certificate, key, password] = await Promise.all(
    [settings.ca, settings.certificate, settings.key, settings.passwordFile].map(readGiven),
  );
  const given = { ca, certificate, key };
  const { user } = settings;
  return {
    endpoints,
    tls: secure ? Object.fromEntries(Object.entries(given).filter(([, pem]) => pem !== undefined)) : null,
    user: user === undefined || password === undefined ? null : { name: user, password: password.replace(/\r?\n$/, '') },
  };
}

async function readGiven(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new CodedError('invalid_request', `${path} cannot be read (${why})`, [], cause);
  }
}
