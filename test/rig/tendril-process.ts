/** One real `tendril up` on a data directory of its own: to be stopped, killed, frozen and started again. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FileStore } from '../../src/adapters/file-store/store.ts';
import { findProcesses, signalProcess } from '../../src/adapters/native/proc.ts';
import { readProfile } from '../../src/compose/profile.ts';
import type { Place } from './network.ts';
import type { TcpProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

const ROOT = join(import.meta.dirname, '../..');
export const PROGRAM = join(ROOT, 'bin/tendril');
const UP_LIMIT_MS = 30_000;
const DOWN_LIMIT_MS = 20_000;
const LINES_KEPT = 2_000;

let built: Promise<unknown> | null = null;

/** Builds the program when its sources are newer. Processes that run keep what they have loaded. */
export function ensureBuilt(): Promise<unknown> {
  built ??= promisify(execFile)(process.execPath, [join(ROOT, 'scripts/build.mjs'), '--if-needed', 'tendril']);
  return built;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface InstanceProcess {
  readonly pid: number;
  /** Its instance's id. */
  readonly instance: string;
}

export interface TendrilProcessInit {
  readonly name: string;
  readonly directory: string;
  readonly port: number | null;
  readonly link: TcpProxy | null;
  /** undefined: on the machine's own network. */
  readonly place?: Place | undefined;
  /** For the first start: to join, say. */
  readonly firstFlags: readonly string[];
  /** For every start. */
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export class TendrilProcess {
  readonly name: string;
  readonly directory: string;
  /** Of an orchestrator: where its API listens. */
  readonly port: number | null;
  /** The wire to its parent, when the deployment has wires that can be cut. */
  readonly link: TcpProxy | null;
  readonly place: Place | undefined;
  readonly #firstFlags: readonly string[];
  readonly #flags: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | null = null;
  #uid: string | null = null;
  #isFrozen = false;
  /** Of all its lives, the newest last. */
  readonly log: LogLine[] = [];

  constructor(init: TendrilProcessInit) {
    this.name = init.name;
    this.directory = init.directory;
    this.port = init.port;
    this.link = init.link;
    this.place = init.place;
    this.#firstFlags = init.firstFlags;
    this.#flags = init.flags;
    this.#env = init.env;
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.name} does not run`);
    return this.#child.pid;
  }

  /** Resolves when it is up. On the same data directory as before, without any flag of the first start but `again`. */
  async start(again: readonly string[] = []): Promise<void> {
    if (this.#child) throw new Error(`${this.name} runs already`);
    this.#isFrozen = false;
    const first = this.#uid === null;
    const flags = [...(first ? this.#firstFlags : []), ...this.#flags, ...again];
    const up = [process.execPath, PROGRAM, 'up', '--data-dir', this.directory, '--log-format', 'json', ...flags];
    const [program = '', ...words] = [...(this.place?.command ?? []), ...up];
    const child = spawn(program, words, {
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    child.once('exit', () => {
      if (this.#child === child) this.#child = null;
    });
    const isUp = this.#follow(child);
    await Promise.race([
      isUp,
      once(child, 'exit').then(([code, signal]) => {
        throw new Error(`${this.name} ended (${code ?? signal}) before it was up\n${this.tail()}`);
      }),
      until(
        `${this.name} is up`,
        () => isUp.then(() => true),
        UP_LIMIT_MS,
        () => this.tail(),
      ),
    ]);
    const profile = await readProfile(new FileStore(join(this.directory, 'documents')));
    if (!profile) throw new Error(`${this.name} has no profile`);
    this.#uid = profile.uid;
  }

  #follow(child: ChildProcess): Promise<void> {
    return new Promise((resolve) => {
      let rest = '';
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          const parsed = parseLine(line);
          this.log.push(parsed);
          if (this.log.length > LINES_KEPT) this.log.shift();
          if (parsed.msg === 'up') resolve();
        }
      });
    });
  }

  /** The last lines of its log, for the message of a failed test. */
  tail(lines = 12): string {
    return this.log
      .slice(-lines)
      .map((line) => `  [${this.name}] ${JSON.stringify(line)}`)
      .join('\n');
  }

  /** SIGTERM; its instances go on. Resolves with the exit code. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** SIGKILL; its instances go on. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (!child) return null;
    const ended = once(child, 'exit');
    child.kill(signal);
    if (signal !== 'SIGKILL') child.kill('SIGCONT');
    const [code] = await until(
      `${this.name} ends by ${signal}`,
      () => ended,
      DOWN_LIMIT_MS,
      () => this.tail(),
    );
    return typeof code === 'number' ? code : null;
  }

  /** As a power cut: the program and all that runs on the node, at once. */
  async powerCut(): Promise<void> {
    this.#child?.kill('SIGSTOP'); // it must not see its instances die
    this.killInstances();
    await this.kill();
    await until(
      `nothing of ${this.name} runs`,
      () => {
        this.killInstances();
        return this.instances().length === 0;
      },
      DOWN_LIMIT_MS,
    );
  }

  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
    this.#isFrozen = true;
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
    this.#isFrozen = false;
  }

  /** Which processes its instances have now, those that instances have started included; by the mark in their environment. */
  instances(): InstanceProcess[] {
    if (this.#uid === null) return [];
    return findProcesses({ TENDRIL_NODE: this.#uid }, null)
      .filter(({ environment }) => environment.has('TENDRIL_INSTANCE'))
      .map(({ pid, environment }) => ({ pid, instance: environment.get('TENDRIL_INSTANCE') ?? '' }))
      .sort((a, b) => a.pid - b.pid);
  }

  killInstances(signal: NodeJS.Signals = 'SIGKILL'): void {
    for (const { pid } of this.instances()) signalProcess(pid, signal);
  }
}

/** What crashes is no JSON. */
function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: 'raw', msg: line };
  }
}
