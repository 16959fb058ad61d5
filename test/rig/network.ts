/**
 * A network of its own for each process: network namespaces on one bridge, with links that a test cuts in one direction
 * or in both, by dropping packets without telling anybody. Nothing of the machine's own network is touched; the test
 * reaches what listens inside through a port on loopback.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/**
 * Of loopback, so that nothing of it leaves the machine, whoever dials it where: inside, it is that of a real link, and
 * only 127.0.0.1 is the namespace's own.
 */
const NETWORK = '127.77.0';

/** Where a process lives. */
export interface Place {
  /** In front of its command line. */
  readonly command: readonly string[];
  readonly address: string;
  /** A port on the test's loopback that leads to this one. */
  entrance(port: number): Promise<number>;
}

export class Network {
  readonly #prefix: string;
  readonly #directory: string;
  readonly #addresses = new Map<string, string>();
  readonly #relays: ChildProcess[] = [];
  readonly #servers: Server[] = [];

  private constructor(prefix: string, directory: string) {
    this.#prefix = prefix;
    this.#directory = directory;
  }

  static async open(): Promise<Network> {
    const directory = await mkdtemp(join(tmpdir(), 'tendril-net-'));
    const network = new Network(`tdl${process.pid}`, directory);
    await ip('netns', 'add', network.#prefix);
    await ip('-n', network.#prefix, 'link', 'add', 'bridge', 'type', 'bridge');
    await ip('-n', network.#prefix, 'link', 'set', 'bridge', 'up');
    return network;
  }

  async add(name: string): Promise<Place> {
    const space = this.#space(name);
    const number = this.#addresses.size + 1;
    const address = `${NETWORK}.${number}`;
    await ip('netns', 'add', space);
    await ip('-n', space, 'address', 'add', '127.0.0.1/32', 'dev', 'lo');
    await ip('-n', space, 'link', 'set', 'lo', 'up');
    await ip('-n', space, 'address', 'delete', '127.0.0.1/8', 'dev', 'lo');
    await ip('-n', space, 'link', 'add', 'out', 'type', 'veth', 'peer', 'name', `port${number}`, 'netns', this.#prefix);
    await ip('-n', this.#prefix, 'link', 'set', `port${number}`, 'master', 'bridge', 'up');
    await ip('netns', 'exec', space, 'sysctl', '-q', 'net.ipv4.conf.out.route_localnet=1');
    await ip('-n', space, 'address', 'add', `${address}/24`, 'dev', 'out');
    await ip('-n', space, 'link', 'set', 'out', 'up');
    this.#addresses.set(name, address);
    const command = ['nsenter', `--net=/run/netns/${space}`];
    return { command, address, entrance: (port) => this.#entrance(name, { command, address, port }) };
  }

  async #entrance(name: string, to: { command: readonly string[]; address: string; port: number }): Promise<number> {
    const path = join(this.#directory, `${name}.sock`);
    const [program = '', ...words] = [...to.command, process.execPath, join(import.meta.dirname, 'relay.mjs')];
    const relay = spawn(program, [...words, path, to.address, String(to.port)], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#relays.push(relay);
    await once(relay.stdout, 'data');
    const server = createServer((near) => {
      const far = connect(path);
      near.on('error', () => undefined).on('close', () => far.destroy());
      far.on('error', () => undefined).on('close', () => near.destroy());
      near.pipe(far).pipe(near);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  /** What `from` sends does not arrive at `to` any more. */
  async cutOneWay(from: string, to: string): Promise<void> {
    await this.#filter(to, '-A', 'INPUT', '-s', this.#addresses.get(from) ?? '', '-j', 'DROP');
  }

  /** Nothing passes between these and the others, in either direction. */
  async cut(some: readonly string[]): Promise<void> {
    const others = [...this.#addresses.keys()].filter((name) => !some.includes(name));
    for (const one of some)
      for (const other of others) {
        await this.cutOneWay(one, other);
        await this.cutOneWay(other, one);
      }
  }

  async heal(): Promise<void> {
    for (const name of this.#addresses.keys()) await this.#filter(name, '-F', 'INPUT');
  }

  async close(): Promise<void> {
    for (const relay of this.#relays) relay.kill();
    for (const server of this.#servers) server.close();
    for (const name of this.#addresses.keys()) await ip('netns', 'delete', this.#space(name));
    await ip('netns', 'delete', this.#prefix);
    await rm(this.#directory, { recursive: true });
  }

  #space(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  #filter(name: string, ...words: string[]): Promise<unknown> {
    return run('ip', ['netns', 'exec', this.#space(name), 'iptables', '-w', ...words]);
  }
}

function ip(...words: string[]): Promise<unknown> {
  return run('ip', words);
}
