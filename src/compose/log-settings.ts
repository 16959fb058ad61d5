/** Where an orchestrator's log is, when it is not in its data directory: the words of `--log etcd://...`, and what is kept of them. */
import { resolve } from 'node:path';
import * as z from 'zod/mini';
import { parseEtcdAddress } from '../adapters/etcd/address.ts';
import { CodedError } from '../core/model/errors.ts';

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
