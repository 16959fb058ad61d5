/** A real edge on this machine: each node a process of its own, as `tendril up` starts it, joined by a real token. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, open, readdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiClient } from '../cli/api/api-client.ts';
import { Transport } from '../cli/api/transport.ts';
import { type ConfigPlace, type Context, changeConfig, loadConfig } from '../cli/context/config-file.ts';
import { BIN_DIRECTORY, NODE_CPU, NODE_MEMORY, ROOT, SITES } from './plan.ts';
import { configFileOf } from './processes.ts';

const CHECK_MS = 20;
const ERRORS_SHOWN = 10;
/** The first port that is tried for an API: easy to recognise, and not the one of an installed tendril. */
const FIRST_PORT = 17_443;

export interface Edge {
  /** Everything of the demo is in it. */
  readonly directory: string;
  /** Of the root. */
  readonly url: string;
  readonly client: ApiClient;
}

export async function makeDirectory(): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), 'tendril-demo-')));
}

/** Data directories, by the names that nodes have from the root down. */
export function dataDirectoryOf(directory: string, name: string): string {
  return join(directory, name.replace('/', '-'));
}

export async function startRoot(directory: string, signal: AbortSignal): Promise<Edge> {
  const client = await startOrchestrator({ directory, name: ROOT, args: [], port: await freePort(FIRST_PORT), signal });
  const { server: url, token, caPem = '' } = await contextOf(directory, ROOT);
  // For whoever tries it from another terminal: what to source, and what to give to curl.
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  await writeFile(
    join(directory, 'env'),
    `export DEMO=${quoted(directory)}\nexport TENDRIL_CONFIG=${quoted(configFileOf(directory))}\nexport PATH=${quoted(BIN_DIRECTORY)}:"$PATH"\n`,
  );
  await writeFile(join(directory, 'ca.pem'), caPem);
  await writeFile(
    join(directory, 'curl'),
    `silent\nshow-error\ncacert = "${join(directory, 'ca.pem')}"\nheader = "Authorization: Bearer ${token}"\n`,
  );
  await chmod(join(directory, 'curl'), 0o600);
  return { directory, url, client };
}

export async function startClusters(edge: Edge, signal: AbortSignal): Promise<void> {
  const ports = await freePorts(Number(new URL(edge.url).port) + 1, SITES.length);
  await Promise.all(
    SITES.map(async ({ cluster, position }, index) => {
      const { token } = await edge.client.createToken({ role: 'cluster', uses: 1, ttl: '10m' });
      const args = ['--parent', edge.url, '--position', position];
      await startOrchestrator({ directory: edge.directory, name: cluster, args, port: ports[index] ?? 0, token, signal });
    }),
  );
  // Each that starts takes itself for the one that is meant.
  await changeConfig(placeOf(edge.directory), (config) => ({ ...config, currentContext: ROOT }));
}

/** Resolves when the root sees them all ready. */
export async function startNodes(edge: Edge, told: (ready: number) => void, signal: AbortSignal): Promise<void> {
  await Promise.all(
    SITES.map(async ({ cluster, position, nodes }) => {
      const context = await contextOf(edge.directory, cluster);
      const client = clientOf(context, signal);
      const { token } = await client.createToken({ role: 'worker', uses: nodes.length, ttl: '10m' });
      await client.close();
      for (const node of nodes) {
        const args = ['--name', node, '--join', context.server, '--position', position, '--label', `site=${cluster}`];
        const limits = ['--cpu', NODE_CPU, '--memory', NODE_MEMORY, '--address', '127.0.0.1'];
        await startNode(edge.directory, `${cluster}/${node}`, [...args, ...limits], token, signal);
      }
    }),
  );
  const wanted = SITES.flatMap(({ nodes }) => nodes).length;
  for (let ready = 0; ready < wanted; await delay(CHECK_MS, undefined, { signal })) {
    ready = (await edge.client.nodes()).items.filter(({ state }) => state === 'ready').length;
    told(ready);
  }
}

interface OrchestratorStart {
  readonly directory: string;
  readonly name: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly token?: string;
  readonly signal: AbortSignal;
}

async function startOrchestrator({ directory, name, args, port, token, signal }: OrchestratorStart): Promise<ApiClient> {
  const own = ['--name', name, '--no-worker', '--listen', `127.0.0.1:${port}`, ...args];
  await startNode(directory, name, own, token, signal);
  return clientOf(await contextOf(directory, name), signal);
}

/** Resolves when it says that it is up. Throws with the end of its log when it ends instead. */
async function startNode(
  directory: string,
  name: string,
  args: readonly string[],
  token: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const logFile = `${dataDirectoryOf(directory, name)}.log`;
  const log = await open(logFile, 'a');
  let child: ChildProcess;
  try {
    child = spawn(
      process.execPath,
      [join(BIN_DIRECTORY, 'tendril'), 'up', '--data-dir', dataDirectoryOf(directory, name), '--log-format', 'text', ...args],
      // A session of its own: Ctrl-C is for the demo, which ends its nodes in order.
      { cwd: directory, detached: true, stdio: ['ignore', log.fd, log.fd], env: environmentOf(directory, token) },
    );
  } finally {
    await log.close();
  }
  child.unref();
  for (;;) {
    const text = await readFile(logFile, 'utf8');
    if (/^\S+ info +up /m.test(text)) return;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`${name} did not start:\n${text.trim().split('\n').slice(-5).join('\n')}`);
    await delay(CHECK_MS, undefined, { signal });
  }
}

/** What the nodes themselves have to say when something went wrong, before their logs go too. */
export async function errorsLogged(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await readdir(directory)).filter((file) => file.endsWith('.log')))
    for (const line of (await readFile(join(directory, name), 'utf8')).split('\n'))
      if (/^\S+ error /.test(line)) found.push(`${name}: ${line}`);
  return found.slice(0, ERRORS_SHOWN);
}

/** Nothing that steers the user's own tendril reaches the demo's. */
function environmentOf(directory: string, token: string | undefined): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TENDRIL_'));
  return {
    ...Object.fromEntries(inherited),
    TENDRIL_CONFIG: configFileOf(directory),
    ...(token === undefined ? {} : { TENDRIL_TOKEN: token }),
  };
}

async function contextOf(directory: string, name: string): Promise<Context> {
  const { contexts } = await loadConfig(placeOf(directory));
  const context = contexts.find((known) => known.name === name);
  if (!context) throw new Error(`${name} has written no context`);
  return context;
}

function placeOf(directory: string): ConfigPlace {
  return { env: { TENDRIL_CONFIG: configFileOf(directory) }, home: directory };
}

function clientOf(context: Context, signal: AbortSignal): ApiClient {
  const { name, server, token, caPem = null } = context;
  return new ApiClient(new Transport({ origin: `context ${name}`, server, token, caPem }, signal));
}

async function freePorts(from: number, count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let next = from; ports.length < count; next = (ports.at(-1) ?? next) + 1) ports.push(await freePort(next));
  return ports;
}

async function freePort(from: number): Promise<number> {
  for (let port = from; port < 65_536; port++) if (await isFree(port)) return port;
  throw new Error(`no port from ${from} on is free`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
