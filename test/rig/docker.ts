/**
 * A real Docker Engine for tests and benchmarks: a private `dockerd` (Debian's docker.io) in a temporary
 * directory, or the machine's own when it answers at /var/run/docker.sock.
 *
 * Two rigs at once share nothing: each has its own data root, exec root, containerd and bridge. It leaves the
 * machine's firewall alone (`--iptables=false`): published ports are served by docker-proxy, which is all that
 * loopback needs. Needs root, as dockerd does. Scripts/install-test-tools.sh installs what it needs.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SYSTEM_SOCKET = '/var/run/docker.sock';
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 30_000;
const POLL_MS = 50;
/** Bridges `tdl0`, `tdl1` ... with the networks 10.213.0.0/24, 10.213.1.0/24 ... */
const BRIDGES = 64;

export interface DockerRig {
  readonly socketPath: string;
  /** For `DOCKER_HOST`. */
  readonly dockerHost: string;
  /** The docker command line against this engine: its standard output, trimmed. */
  docker(...args: string[]): Promise<string>;
  /** An image of Debian's static busybox with all its applets, made without a registry. Returns its id, `sha256:...`. */
  makeBusyboxImage(name: string): Promise<string>;
  /**
   * Ends the engine, only a private one. Asked (SIGTERM) it ends its containers too; killed (SIGKILL) it leaves them
   * running, and ends them when it starts again.
   */
  halt(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts the engine again on the same data. */
  resume(): Promise<void>;
  /** Ends everything that the rig made. */
  stop(): Promise<void>;
}

export async function startDockerRig(options: { readonly own?: boolean } = {}): Promise<DockerRig> {
  if (!options.own && (await answers(SYSTEM_SOCKET))) return new SystemDocker();
  const rig = new PrivateDocker(await mkdtemp(join(tmpdir(), 'tendril-docker-')), await addBridge());
  try {
    await rig.resume();
  } catch (error) {
    await rig.stop();
    throw error;
  }
  return rig;
}

abstract class RunningDocker {
  abstract readonly socketPath: string;
  readonly #images: string[] = [];

  get dockerHost(): string {
    return `unix://${this.socketPath}`;
  }

  async docker(...args: string[]): Promise<string> {
    const { stdout } = await run('docker', ['--host', this.dockerHost, ...args], { maxBuffer: 16 * 2 ** 20 });
    return stdout.trim();
  }

  async makeBusyboxImage(name: string): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'tendril-image-'));
    try {
      const tarPath = join(directory, 'image.tar');
      await writeBusyboxTar(directory, tarPath);
      const id = await this.docker('import', '--change', 'CMD ["sh"]', tarPath, name);
      this.#images.push(name);
      return id;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  protected async removeImages(): Promise<void> {
    for (const name of this.#images.splice(0)) await this.docker('rmi', '--force', name).catch(() => undefined);
  }
}

class SystemDocker extends RunningDocker implements DockerRig {
  readonly socketPath = SYSTEM_SOCKET;

  async halt(): Promise<void> {
    throw new Error("this is the machine's own Docker: ask for a private one with { own: true }");
  }

  async resume(): Promise<void> {}

  async stop(): Promise<void> {
    await this.removeImages();
  }
}

class PrivateDocker extends RunningDocker implements DockerRig {
  readonly socketPath: string;
  readonly #directory: string;
  readonly #bridge: string;
  #daemon: ChildProcess | null = null;
  /** Containers still run; only a new dockerd on the same data can end them in order. */
  #wasKilled = false;

  constructor(directory: string, bridge: string) {
    super();
    this.#directory = directory;
    this.#bridge = bridge;
    this.socketPath = join(directory, 'docker.sock');
  }

  async resume(): Promise<void> {
    const logPath = join(this.#directory, 'dockerd.log');
    const log = openSync(logPath, 'a');
    const path = (name: string) => join(this.#directory, name);
    // dockerd ends its containers and its containerd on SIGTERM; --pdeathsig asks for that also when this process is killed.
    const daemon = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'TERM', 'dockerd', '--host', this.dockerHost, '--pidfile', path('pid')],
        ...['--data-root', path('data'), '--exec-root', path('exec'), '--bridge', this.#bridge],
        ...['--iptables=false', '--ip-forward=false', '--ip-masq=false', '--shutdown-timeout', '2'],
      ],
      { stdio: ['ignore', log, log] },
    );
    this.#daemon = daemon;
    this.#wasKilled = false;
    const failed = new Promise<never>((_, reject) => {
      daemon.once('error', reject);
      daemon.once('exit', (code, signal) => reject(new Error(`dockerd ended (${code ?? signal}) before it answered`)));
    });
    failed.catch(() => undefined);
    try {
      await Promise.race([failed, until(() => answers(this.socketPath), START_LIMIT_MS, 'dockerd to answer')]);
    } catch (error) {
      const said = await readFile(logPath, 'utf8').catch(() => '');
      throw new Error(`${error instanceof Error ? error.message : error}\n${said.slice(-3000)}`);
    }
  }

  async halt(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = null;
    if (daemon === null || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    this.#wasKilled = signal === 'SIGKILL';
    daemon.kill(signal);
    const force = setTimeout(() => daemon.kill('SIGKILL'), STOP_LIMIT_MS);
    await ended;
    clearTimeout(force);
    // A dockerd that starts while the containerd of a killed one is still dying takes it for alive, and waits in vain.
    const containerd = await readFile(join(this.#directory, 'exec/containerd/containerd.pid'), 'utf8').catch(() => '');
    await until(async () => containerd === '' || !existsSync(`/proc/${containerd.trim()}`), STOP_LIMIT_MS, 'containerd to end');
  }

  async stop(): Promise<void> {
    if (this.#wasKilled) await this.resume();
    const containers = this.#daemon ? await this.docker('ps', '-aq').catch(() => '') : '';
    if (containers !== '') await this.docker('rm', '--force', ...containers.split('\n')).catch(() => undefined);
    await this.halt();
    await run('ip', ['link', 'delete', this.#bridge]).catch(() => undefined);
    // A killed dockerd leaves the mounts that it made behind.
    const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
    const left = mounts.filter((path) => path.startsWith(`${this.#directory}/`));
    for (const path of left.reverse()) await run('umount', [path]).catch(() => undefined);
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Creating a link is atomic, so two rigs never get the same one; its alias says whose it is, to take it back from the dead. */
async function addBridge(): Promise<string> {
  for (let n = 0; n < BRIDGES; n++) {
    const name = `tdl${n}`;
    if (await isAbandoned(name)) await run('ip', ['link', 'delete', name]).catch(() => undefined);
    const created = await run('ip', ['link', 'add', 'name', name, 'alias', String(process.pid), 'type', 'bridge']).then(
      () => true,
      (error: unknown) => {
        if (/File exists/.test(String(error))) return false;
        throw error;
      },
    );
    if (!created) continue;
    await run('ip', ['address', 'add', `10.213.${n}.1/24`, 'dev', name]);
    await run('ip', ['link', 'set', name, 'up']);
    return name;
  }
  throw new Error(`all ${BRIDGES} bridges for private Docker engines are taken: ip link delete tdl0 ...`);
}

async function isAbandoned(bridge: string): Promise<boolean> {
  const owner = await readFile(`/sys/class/net/${bridge}/ifalias`, 'utf8').catch(() => '');
  return /^\d+$/.test(owner.trim()) && !existsSync(`/proc/${owner.trim()}`);
}

/**
 * A root file system with busybox and a link for each applet, as a tar at `tarPath`; `directory` is scratch space.
 * Of equal `release` the content is equal, and engines keep it once.
 */
export async function writeBusyboxTar(directory: string, tarPath: string, release = 'busybox'): Promise<void> {
  const root = join(directory, 'root');
  for (const folder of ['bin', 'etc', 'tmp', 'var']) await mkdir(join(root, folder), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  await writeFile(join(root, 'etc/release'), `${release}\n`);
  const { stdout } = await run('/bin/busybox', ['--list']);
  const applets = stdout.split('\n').filter((applet) => applet !== '' && applet !== 'busybox');
  await Promise.all(applets.map((applet) => symlink('busybox', join(root, 'bin', applet))));
  await run('tar', ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '-C', root, '-cf', tarPath, '.']);
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', agent: false, timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}

async function until(condition: () => Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
