/** Docker's own orchestrator, Swarm, on a private engine: the peer that containers are measured against. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { type DockerRig, startDockerRig } from '../test/rig/docker.ts';
import { freePort } from '../test/rig/free-port.ts';

/** The bridge that Swarm makes on the machine, whatever the engine's data root. */
const SWARM_BRIDGE = 'docker_gwbridge';

/** A private engine needs root and Debian's docker.io. */
export function isSwarmPossible(): boolean {
  return process.getuid?.() === 0 && existsSync('/usr/sbin/dockerd');
}

/** A fresh private engine that is a Swarm of one; nothing of it is left afterwards. */
export async function withSwarm<T>(use: (rig: DockerRig) => Promise<T>): Promise<T> {
  const rig = await startDockerRig({ own: true });
  const bridgeWasThere = existsSync(`/sys/class/net/${SWARM_BRIDGE}`);
  try {
    await rig.docker('swarm', 'init', '--advertise-addr', '127.0.0.1', '--listen-addr', `127.0.0.1:${await freePort()}`);
    return await use(rig);
  } finally {
    await rig.docker('swarm', 'leave', '--force').catch(() => undefined);
    await rig.stop();
    if (!bridgeWasThere) await promisify(execFile)('ip', ['link', 'delete', SWARM_BRIDGE]).catch(() => undefined);
  }
}
