/** The real API on a real TLS port with its own CA, over staged views, and the whole program run against it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { systemClock } from '../../adapters/system-clock/clock.ts';
import { Authority, type AuthorityDocuments, makeAuthority } from '../../adapters/tls/authority.ts';
import { SecureServer } from '../../adapters/tls/secure-server.ts';
import { type ApiServer, createApi } from '../../api/api.ts';
import { ADMIN } from '../../api/testing/memory-backend.ts';
import { readStoredDecisions } from '../../compose/stored-decisions.ts';
import { saveContext } from '../context/config-file.ts';
import { type ProgramOptions, runProgram } from '../program.ts';
import type { Shell } from '../shell.ts';
import { StagedBackend } from './staged-backend.ts';
import { NOW_MS } from './views.ts';

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly interrupted?: AbortSignal;
  readonly terminal?: boolean;
  readonly program?: ProgramOptions;
  /** Sees all that is written to stdout so far, each time something is. */
  readonly onStdout?: (soFar: string) => void;
}

export class CliRig {
  readonly backend = new StagedBackend();
  readonly authority: Authority;
  readonly directory: string;
  #api: ApiServer | null = null;
  #server: SecureServer | null = null;
  #port = 0;

  private constructor(documents: AuthorityDocuments, directory: string) {
    this.authority = new Authority(documents);
    this.directory = directory;
  }

  static async open(): Promise<CliRig> {
    const rig = new CliRig(await makeAuthority(Date.now()), await mkdtemp(join(tmpdir(), 'tendril-cli-')));
    await rig.start();
    await saveContext(
      { name: 'home', server: rig.url, token: ADMIN, caPem: rig.authority.caPem },
      { makeCurrent: true },
      rig.place,
    );
    return rig;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get place() {
    return { env: {}, home: this.directory };
  }

  /** On the same port as before. */
  async start(): Promise<void> {
    const api = await createApi({
      backend: this.backend,
      clock: systemClock,
      admission: {
        caPem: this.authority.caPem,
        peerOf: () => null,
        join: () => Promise.reject(new Error('nobody joins here')),
        renew: () => Promise.reject(new Error('nobody joins here')),
      },
      defect: (error) => {
        throw error;
      },
      mintToken: () => ({ id: 'tok1', secretHash: 'ab'.repeat(32), text: 'tdl1.text.tok1' }),
    });
    this.#api = api;
    this.#server = new SecureServer({
      host: '127.0.0.1',
      port: this.#port,
      // No names: a client knows it by what it is, not by where it is.
      identity: await this.authority.makeServerIdentity([], Date.now()),
      request: api.handler,
      turnedAway: () => {},
    });
    await this.#server.open();
    this.#port = this.#server.port;
  }

  async stop(): Promise<void> {
    await this.#api?.close();
    await this.#server?.close();
  }

  async close(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true });
  }

  /** `tendril WORDS` */
  async run(words: string, options: RunOptions = {}): Promise<Run> {
    const written = { stdout: '', stderr: '' };
    const output = (name: 'stdout' | 'stderr') => {
      const stream = new PassThrough();
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        written[name] += text;
        if (name === 'stdout') options.onStdout?.(written.stdout);
      });
      return Object.assign(stream, { isTTY: options.terminal ?? false, columns: 100 });
    };
    const shell: Shell = {
      stdin: Readable.from([Buffer.from(options.stdin ?? '')]),
      stdout: output('stdout'),
      stderr: output('stderr'),
      env: { ...options.env },
      cwd: this.directory,
      home: this.directory,
      interrupted: options.interrupted ?? new AbortController().signal,
      software: '0.1.0',
      nowMs: () => NOW_MS,
      storedDecisions: readStoredDecisions,
      dataDirectory: (option) => Promise.resolve(option ?? join(this.directory, 'data')),
    };
    const code = await runProgram(words.split(' ').filter(Boolean), shell, options.program);
    return { code, ...written };
  }
}
