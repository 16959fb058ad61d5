/**
 * The file of contexts, in kubectl's manner: which orchestrators there are for this user and which of them is
 * meant when nothing else is said. It holds tokens: only its owner can read it, and it is replaced whole, so
 * that a crash leaves the old one or the new one. Several programs may write it at once (a demo starts three
 * orchestrators), so a writer holds a lock file from reading to replacing.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod/mini';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import { validate } from '../../core/model/validation.ts';

/** `https://host:port`. */
const serverSchema = z.string().check(z.regex(/^https:\/\//, 'expected https://HOST:PORT'), z.maxLength(limits.addressLength));

const contextSchema = z.strictObject({
  name: z.string().check(z.minLength(1), z.maxLength(128)),
  /** As it was named first. */
  server: serverSchema,
  /** All that its replicas are known by, the one that worked last first: programs keep it up to date. */
  servers: z.optional(z.array(serverSchema).check(z.minLength(1), z.maxLength(limits.orchestratorAddresses + 1))),
  token: z.string().check(z.maxLength(512)),
  /** What the server's certificate must come from. */
  caPem: z.string().check(z.startsWith('-----BEGIN CERTIFICATE-----'), z.maxLength(limits.pemBytes)),
});
export type Context = z.output<typeof contextSchema>;

const configSchema = z.strictObject({
  currentContext: z._default(z.string(), ''),
  contexts: z._default(z.array(contextSchema).check(z.maxLength(256)), []),
});
export type ConfigFile = z.output<typeof configSchema>;

export interface ConfigPlace {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

const CONFIG_BYTES_MAX = 4 * 1024 * 1024;
/** A writer is done in milliseconds; a lock this old was left by one that crashed. */
const LOCK_STALE_MS = 10_000;
const LOCK_RETRY_MS = 25;

export function configPath({ env, home }: ConfigPlace): string {
  return env.TENDRIL_CONFIG || join(env.XDG_CONFIG_HOME || join(home, '.config'), 'tendril', 'config.yaml');
}

/** No file is no contexts. Throws `invalid_config`. */
export async function loadConfig(place: ConfigPlace): Promise<ConfigFile> {
  const path = configPath(place);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw broken(path, `it cannot be read (${error.code})`, error);
  });
  if (text === null) return { currentContext: '', contexts: [] };
  if (text.length > CONFIG_BYTES_MAX) throw broken(path, 'it is too large');
  const outcome = validate(configSchema, await parseConfig(path, text));
  if (outcome.ok) return outcome.value;
  throw new CodedError(
    'invalid_config',
    '',
    outcome.error.map(({ field, message }) => ({ file: path, field, message })),
  );
}

async function parseConfig(path: string, text: string): Promise<unknown> {
  // `saveContext` writes JSON, which is YAML too: so most runs never load the YAML parser.
  if (text.startsWith('{')) {
    try {
      return JSON.parse(text);
    } catch {
      // A person edited it into YAML's looser form of the same: the parser below says what it is.
    }
  }
  const { parseYamlDocuments } = await import('../manifest/yaml-documents.ts');
  const documents = parseYamlDocuments(path, text);
  if (!documents.ok) throw new CodedError('invalid_config', '', documents.error);
  return documents.value[0]?.value ?? {};
}

/** Adds the context or replaces the one of this name. The replicas of the same orchestrator stay known. */
export async function saveContext(
  context: Context,
  options: { readonly makeCurrent: boolean },
  place: ConfigPlace,
): Promise<string> {
  await changeConfig(place, (config) => {
    const before = config.contexts.find((known) => known.name === context.name);
    const known = before?.servers !== undefined && before.caPem === context.caPem ? { servers: before.servers } : {};
    return {
      currentContext: options.makeCurrent || config.currentContext === '' ? context.name : config.currentContext,
      contexts: [...config.contexts.filter(({ name }) => name !== context.name), { ...known, ...context }],
    };
  });
  return configPath(place);
}

/** Notes where the replicas of this context are. */
export async function saveServers(name: string, servers: readonly string[], place: ConfigPlace): Promise<void> {
  await changeConfig(place, (config) => ({
    ...config,
    contexts: config.contexts.map((context) => (context.name === name ? { ...context, servers: [...servers] } : context)),
  }));
}

/** Replaces the file by what `change` makes of it. */
export async function changeConfig(place: ConfigPlace, change: (config: ConfigFile) => ConfigFile): Promise<void> {
  const path = configPath(place);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const unlock = await lock(`${path}.lock`);
  try {
    await replaceFile(path, `${JSON.stringify(change(await loadConfig(place)), null, 2)}\n`);
  } finally {
    await unlock();
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw broken(path, `it cannot be written: ${(error as Error).message}`, error);
  }
}

async function lock(path: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      const file = await open(path, 'wx', 0o600);
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw broken(path, `it cannot be written`, error);
    }
    const held = await stat(path).catch(() => null);
    if (held && Date.now() - held.mtimeMs > LOCK_STALE_MS) await rm(path, { force: true });
    else await delay(LOCK_RETRY_MS);
  }
}

function broken(path: string, message: string, cause?: unknown): CodedError {
  return new CodedError('invalid_config', '', [{ file: path, field: '', message }], cause);
}
