/**
 * Which orchestrator a command speaks to. Flag beats environment beats file, value by value; only naming a
 * context by flag also silences the environment's single values, which belong to some other context.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CodedError } from '../../core/model/errors.ts';
import type { Shell } from '../shell.ts';
import { type Context, configPath, loadConfig } from './config-file.ts';

export interface ConnectionFlags {
  readonly context?: string | undefined;
  readonly server?: string | undefined;
  readonly token?: string | undefined;
  /** A PEM file. */
  readonly ca?: string | undefined;
}

export interface Target {
  /** For messages: `context home`, `--server`. */
  readonly origin: string;
  readonly server: string;
  /** All that its replicas are known by, the best first. */
  readonly servers?: readonly string[] | undefined;
  /** The context that `server` is from. */
  readonly context?: string | undefined;
  readonly token: string;
  /** null: not known yet; the token says by its hash which one it must be. */
  readonly caPem: string | null;
}

/** Throws `no_context`, `invalid_config`. */
export async function chooseTarget(shell: Pick<Shell, 'env' | 'home' | 'cwd'>, flags: ConnectionFlags): Promise<Target> {
  const environment = flags.context === undefined ? environmentFlags(shell.env) : {};
  const name = flags.context ?? environment.context;
  const server = flags.server ?? environment.server;
  const token = flags.token ?? environment.token;
  const ca = flags.ca ?? environment.ca;

  // Without a named context the file is only needed for what the flags leave open.
  const complete = name === undefined && server !== undefined && token !== undefined;
  const context = complete ? null : await findContext(shell, name);
  const chosenServer = server ?? context?.server;
  if (chosenServer === undefined) throw new CodedError('no_context');
  return {
    origin: server !== undefined ? (flags.server !== undefined ? '--server' : 'TENDRIL_SERVER') : `context ${context?.name}`,
    server: checkServer(chosenServer),
    ...(server === undefined && { context: context?.name, servers: context?.servers?.map(checkServer) }),
    token: token ?? context?.token ?? '',
    caPem: ca !== undefined ? await readCa(shell.cwd, ca) : (context?.caPem ?? null),
  };
}

function environmentFlags(env: Shell['env']): ConnectionFlags {
  return {
    context: env.TENDRIL_CONTEXT || undefined,
    server: env.TENDRIL_SERVER || undefined,
    token: env.TENDRIL_TOKEN || undefined,
    ca: env.TENDRIL_CA || undefined,
  };
}

async function findContext(shell: Pick<Shell, 'env' | 'home'>, name: string | undefined): Promise<Context | null> {
  const config = await loadConfig(shell);
  const wanted = name ?? config.currentContext;
  const found = config.contexts.find((context) => context.name === wanted);
  if (found || (name === undefined && wanted === '')) return found ?? null;
  const known = config.contexts.map((context) => context.name).join(', ') || 'none';
  throw new CodedError('no_context', `there is no context ${JSON.stringify(wanted)} in ${configPath(shell)} (there: ${known})`);
}

/** `host`, `host:port` and `https://host:port/` alike, as an origin; the port is 7443 unless said. */
export function checkServer(text: string): string {
  const written = text.includes('://') ? text : `https://${text}`;
  const url = URL.canParse(written) ? new URL(written) : null;
  if (url?.protocol !== 'https:' || url.hostname === '' || url.pathname !== '/' || url.username !== '')
    throw new CodedError('invalid_config', `${JSON.stringify(text)} is not the address of an orchestrator: https://HOST:PORT`);
  const saysPort = url.port !== '' || /:443\/?$/.test(text);
  return `https://${url.hostname}:${saysPort ? url.port || '443' : '7443'}`;
}

async function readCa(cwd: string, path: string): Promise<string> {
  const pem = await readFile(resolve(cwd, path), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CodedError('invalid_config', `the CA file ${path} cannot be read (${error.code})`, [], error);
  });
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new CodedError('invalid_config', `${path} holds no certificate in PEM`);
  return pem;
}
