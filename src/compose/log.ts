/** Opens the log that an orchestrator's settings name, when it is not in its data directory. */
import { readFile } from 'node:fs/promises';
import { parseEtcdAddress } from '../adapters/etcd/address.ts';
import type { EtcdAccess } from '../adapters/etcd/gateway.ts';
import { CodedError } from '../core/model/errors.ts';
import type { Leadership } from '../core/model/replicas.ts';
import type { EtcdReplicationComponents } from './etcd-replication.ts';
import { groupOf } from './listen.ts';
import type { LogSettings } from './log-settings.ts';
import type { Profile } from './profile.ts';
import type { ReplicaIdentity } from './replica-identity.ts';
import type { Replicated } from './replicated.ts';

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
