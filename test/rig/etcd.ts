/**
 * Debian's etcd, one member or three, with TLS and users when they are asked for. Loopback, free ports, a data
 * directory of its own; every member can be killed, frozen and started again on what it had written.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { type EtcdCertificates, makeEtcdCertificates } from './etcd-certificates.ts';
import { freePort } from './free-port.ts';
import { killed } from './killed.ts';
import { until } from './until.ts';

const PROGRAM = 'etcd';
const CONTROL = 'etcdctl';
const LINES_KEPT = 200;
const SERVES_LIMIT_MS = 30_000;

export interface EtcdOptions {
  readonly members?: 1 | 3;
  /** TLS, and a client has to show a certificate too. */
  readonly tls?: boolean;
  /** Whoever calls has to name a user: `EtcdOptions.users`, beside root. */
  readonly auth?: boolean;
  /** More flags for every member. */
  readonly flags?: readonly string[];
  /** Where the members reach each other's ports, when not there: a wire of the test's. */
  readonly wireTo?: (peerPort: number) => Promise<number>;
}

/** Of `root`, who may do anything, and of `tendril`, who may read and write keys under `tendril/`. */
export const ETCD_PASSWORD = 'a password of tests';

export class Etcd {
  readonly members: readonly EtcdMember[];
  readonly certificates: EtcdCertificates | null;
  readonly #directory: string;
  #hasAuth = false;

  private constructor(directory: string, certificates: EtcdCertificates | null, members: readonly EtcdMember[]) {
    this.#directory = directory;
    this.certificates = certificates;
    this.members = members;
  }

  /** Resolves when it can be written to. */
  static async start(options: EtcdOptions = {}): Promise<Etcd> {
    const directory = mkdtempSync(join(tmpdir(), 'tendril-etcd-'));
    const certificates = options.tls ? makeEtcdCertificates(join(directory, 'tls')) : null;
    const names = Array.from({ length: options.members ?? 1 }, (_, at) => `m${at + 1}`);
    const wireTo = options.wireTo ?? ((peerPort) => Promise.resolve(peerPort));
    const ports = await Promise.all(
      names.map(async (name) => {
        const peerPort = await freePort();
        return { name, port: await freePort(), peerPort, reachedAt: await wireTo(peerPort) };
      }),
    );
    const peers = ports.map(({ name, reachedAt }) => `${name}=http://127.0.0.1:${reachedAt}`).join(',');
    const members = ports.map(
      ({ name, port, peerPort, reachedAt }) =>
        new EtcdMember(port, join(directory, name), [
          ...['--name', name, '--logger', 'zap', '--log-outputs', 'stderr'],
          ...['--initial-cluster', peers, '--initial-advertise-peer-urls', `http://127.0.0.1:${reachedAt}`],
          ...['--listen-peer-urls', `http://127.0.0.1:${peerPort}`],
          ...['--listen-client-urls', `${scheme(certificates)}://127.0.0.1:${port}`],
          ...['--advertise-client-urls', `${scheme(certificates)}://127.0.0.1:${port}`],
          // Half of the defaults: a loopback needs less patience than a network.
          ...['--heartbeat-interval', '50', '--election-timeout', '500'],
          ...(certificates === null ? [] : tlsFlags(certificates)),
          ...(options.flags ?? []),
        ]),
    );
    const etcd = new Etcd(directory, certificates, members);
    try {
      await etcd.run();
      if (options.auth) await etcd.#demandUsers();
      return etcd;
    } catch (error) {
      await etcd.stop();
      throw error;
    }
  }

  /** `HOST:PORT` of each member. */
  get endpoints(): readonly string[] {
    return this.members.map(({ port }) => `127.0.0.1:${port}`);
  }

  get url(): string {
    return `${scheme(this.certificates)}://${this.endpoints[0]}`;
  }

  /** All members, on what they had written. */
  async run(): Promise<void> {
    await Promise.all(this.members.map((member) => member.run()));
  }

  /** As a power cut of every member at once. */
  async kill(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }

  /** Kills it, and takes away what it had written. */
  async lose(): Promise<void> {
    await this.kill();
    for (const { directory } of this.members) rmSync(directory, { recursive: true, force: true });
  }

  /** Of what is on disk while it does not run. */
  backUp(): void {
    for (const { directory } of this.members) cpSync(directory, `${directory}.backup`, { recursive: true });
  }

  /** What was backed up, instead of what is on disk now. */
  restore(): void {
    for (const { directory } of this.members) {
      rmSync(directory, { recursive: true });
      cpSync(`${directory}.backup`, directory, { recursive: true });
    }
  }

  /** As docs/etcd.md says to do when it is full. */
  async makeRoom(): Promise<void> {
    const [{ Status }] = JSON.parse(await this.control(['endpoint', 'status', '--write-out', 'json']));
    await this.control(['compact', String(Status.header.revision)]);
    await this.control(['defrag']);
    await this.control(['alarm', 'disarm']);
  }

  /** A place for files that goes when this is stopped. */
  newDirectory(name: string): string {
    return join(this.#directory, name);
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** What etcd's own client says to this, as root; asks the first member unless `member` says another. */
  async control(words: readonly string[], member = 0): Promise<string> {
    const { certificates } = this;
    const endpoint = this.members[member]?.port;
    const args = [
      ...['--endpoints', `${scheme(certificates)}://127.0.0.1:${endpoint}`],
      ...(certificates === null
        ? []
        : ['--cacert', certificates.caFile, '--cert', certificates.clientFile, '--key', certificates.clientKeyFile]),
      ...(this.#hasAuth ? ['--user', `root:${ETCD_PASSWORD}`] : []),
      ...words,
    ];
    const { stdout } = await promisify(execFile)(CONTROL, args, { env: { ...process.env, ETCDCTL_API: '3' } });
    return stdout;
  }

  async #demandUsers(): Promise<void> {
    for (const words of [
      ['user', 'add', `root:${ETCD_PASSWORD}`],
      ['user', 'grant-role', 'root', 'root'],
      ['role', 'add', 'tendril'],
      ['role', 'grant-permission', 'tendril', '--prefix=true', 'readwrite', 'tendril/'],
      ['user', 'add', `tendril:${ETCD_PASSWORD}`],
      ['user', 'grant-role', 'tendril', 'tendril'],
      ['auth', 'enable'],
    ])
      await this.control(words);
    this.#hasAuth = true;
  }
}

export class EtcdMember {
  readonly port: number;
  /** The last lines of its log. */
  readonly lines: string[] = [];
  readonly #flags: readonly string[];
  #process: ChildProcess | null = null;

  readonly directory: string;

  constructor(port: number, directory: string, flags: readonly string[]) {
    this.port = port;
    this.directory = directory;
    this.#flags = ['--data-dir', directory, ...flags];
  }

  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error('this member of etcd does not run');
    return this.#process.pid;
  }

  /** Resolves when it serves clients: with others, when most of them run too. */
  async run(): Promise<void> {
    const child = spawn(PROGRAM, this.#flags, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    let serves = false;
    let end: string | null = null;
    child.once('error', (error) => {
      end = error.message;
    });
    child.once('exit', (code, signal) => {
      end = `it ended with ${code ?? signal}`;
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.lines.push(line);
      if (this.lines.length > LINES_KEPT) this.lines.shift();
      if (line.includes('serving client traffic')) serves = true;
    });
    const outcome = await until(
      'etcd serves clients',
      () => end ?? serves,
      SERVES_LIMIT_MS,
      () => this.lines.join('\n'),
    );
    if (outcome !== true) throw new Error(`etcd does not run: ${outcome}\n${this.lines.join('\n')}`);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    await killed(child);
  }

  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }
}

function scheme(certificates: EtcdCertificates | null): string {
  return certificates === null ? 'http' : 'https';
}

function tlsFlags({ caFile, serverFile, serverKeyFile }: EtcdCertificates): readonly string[] {
  return ['--client-cert-auth', '--trusted-ca-file', caFile, '--cert-file', serverFile, '--key-file', serverKeyFile];
}
