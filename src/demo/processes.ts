/**
 * The processes of a demo, found by what they are: its nodes by their data directory, the instances and whatever
 * else a node has started by the mark that it gave them. So those are found too that a user has started again by
 * hand, and those of a demo that has crashed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Cgroups, cgroupMembers, removeCgroups } from '../adapters/native/cgroup.ts';
import { findProcesses, signalProcess } from '../adapters/native/proc.ts';
import { CodedError } from '../core/model/errors.ts';

const GONE_BOUND_MS = 10_000;
const CHECK_MS = 10;

/** The config file of a demo: in the environment of each of its nodes, and of no other. */
export function configFileOf(directory: string): string {
  return join(directory, 'config.yaml');
}

/** Process ids of the nodes that run, by their data directory. */
export function findNodes(directory: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const { pid } of findProcesses({ TENDRIL_CONFIG: configFileOf(directory) }, null)) {
    // The shells of a user who follows the demo's advice have the same environment, and what they start too.
    const words = commandLine(pid);
    const dataDirectory = words[words.indexOf('--data-dir') + 1] ?? '';
    if (words.includes('up') && dataDirectory.startsWith(`${directory}/`)) found.set(dataDirectory, pid);
  }
  return found;
}

/** Kills the node and everything that runs on it: what a power cut does. */
export async function killNode(directory: string, dataDirectory: string): Promise<void> {
  await untilGone(() => {
    const pid = findNodes(directory).get(dataDirectory);
    if (pid !== undefined) signalProcess(pid, 'SIGKILL');
    return pid === undefined;
  });
  await killInstances(dataDirectory);
}

/** Nodes first, as they would start again what ends. */
export async function killAll(directory: string): Promise<void> {
  await untilGone(() => {
    const pids = [...findNodes(directory).values()];
    for (const pid of pids) signalProcess(pid, 'SIGKILL');
    return pids.length === 0;
  });
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) await killInstances(join(directory, entry.name));
}

async function killInstances(dataDirectory: string): Promise<void> {
  const uid = uidOf(dataDirectory);
  if (uid === null) return;
  const groups = ['process', 'python'].flatMap((runtime) => Cgroups.detect(`tendril-${uid}-${runtime}`).leftovers(new Set()));
  await untilGone(() => {
    const marked = findProcesses({ TENDRIL_NODE: uid }, null).map(({ pid }) => pid);
    for (const pid of [...marked, ...cgroupMembers(groups)]) signalProcess(pid, 'SIGKILL');
    return marked.length === 0 && removeCgroups(groups);
  });
  await removeContainers(uid);
}

async function removeContainers(uid: string): Promise<void> {
  const { engineSocketPath } = await import('../adapters/docker/engine-socket.ts');
  const { EngineApi } = await import('../adapters/docker/engine-api.ts');
  const { NODE_LABEL } = await import('../adapters/docker/container-config.ts');
  const socket = engineSocketPath(process.env.DOCKER_HOST);
  if (!socket.ok) return;
  const engine = new EngineApi(socket.value);
  try {
    for (const { Id } of await engine.listContainers(`${NODE_LABEL}=${uid}`)) await engine.removeContainer(Id);
  } catch (error) {
    // No engine, so no containers.
    if (!(error instanceof CodedError && error.code === 'unavailable')) throw error;
  } finally {
    engine.close();
  }
}

/** null before it has one: then it runs nothing yet. */
function uidOf(dataDirectory: string): string | null {
  try {
    const profile: unknown = JSON.parse(readFileSync(join(dataDirectory, 'documents', 'node.json'), 'utf8'));
    const uid = typeof profile === 'object' && profile !== null && 'uid' in profile ? profile.uid : null;
    return typeof uid === 'string' ? uid : null;
  } catch {
    return null;
  }
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

async function untilGone(isGone: () => boolean): Promise<void> {
  for (let waitedMs = 0; !isGone(); waitedMs += CHECK_MS) {
    if (waitedMs >= GONE_BOUND_MS) throw new Error('a process of the demo does not end, even when killed');
    await delay(CHECK_MS);
  }
}
