/** Docker's own orchestrator, Swarm, on a private engine: the peer that containers are measured against. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
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

/** Services by the engine's API, as Tendril takes them by its own: no command line has to start within a time. */
export class SwarmApi {
  readonly #socketPath: string;
  readonly #image: string;
  readonly #command: readonly string[];

  constructor(socketPath: string, image: string, command: readonly string[]) {
    this.#socketPath = socketPath;
    this.#image = image;
    this.#command = command;
  }

  async createService(name: string): Promise<void> {
    await this.#call('POST', '/services/create', this.#spec(name, 1));
  }

  async scale(name: string, replicas: number): Promise<void> {
    const { Version } = (await this.#call('GET', `/services/${name}`)) as { readonly Version: { readonly Index: number } };
    await this.#call('POST', `/services/${name}/update?version=${Version.Index}`, this.#spec(name, replicas));
  }

  /** With the limits that Tendril gives by default. */
  #spec(name: string, replicas: number): object {
    return {
      Name: name,
      TaskTemplate: {
        ContainerSpec: { Image: this.#image, Args: this.#command, StopGracePeriod: 0 },
        Resources: { Limits: { NanoCPUs: 1e8, MemoryBytes: 64 * 2 ** 20 } },
      },
      Mode: { Replicated: { Replicas: replicas } },
    };
  }

  #call(method: string, path: string, body?: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const call = request({ socketPath: this.#socketPath, method, path, headers }, (response) => {
        let answer = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          answer += part;
        });
        response.on('end', () => {
          if ((response.statusCode ?? 500) < 300) resolve(answer === '' ? null : JSON.parse(answer));
          else reject(new Error(`${method} ${path}: ${answer}`));
        });
      });
      call.on('error', reject);
      call.end(text);
    });
  }
}
