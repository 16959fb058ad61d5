/** The real API on a real TLS port with its own CA, over staged views, and the whole program run against it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { Authority, type AuthorityDocuments, makeAuthority } from '../../adapters/tls/authority.ts';
import { ADMIN } from '../../api/testing/memory-backend.ts';
import { readStoredDecisions } from '../../compose/stored-decisions.ts';
import { must } from '../../core/base/assert.ts';
import { saveContext } from '../context/config-file.ts';
import { type ProgramOptions, runProgram } from '../program.ts';
import type { Shell } from '../shell.ts';
import { ApiReplica } from './api-replica.ts';
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
  /** The same of stderr. */
  readonly onStderr?: (soFar: string) => void;
}

export class CliRig {
  readonly backend = new StagedBackend();
  readonly authority: Authority;
  readonly directory: string;
  /** The first is there from the start. */
  readonly replicas: ApiReplica[] = [];

  private constructor(documents: AuthorityDocuments, directory: string) {
    this.authority = new Authority(documents);
    this.directory = directory;
  }

  static async open(): Promise<CliRig> {
    const rig = new CliRig(await makeAuthority(Date.now()), await mkdtemp(join(tmpdir(), 'tendril-cli-')));
    await rig.addReplica();
    await saveContext(
      { name: 'home', server: rig.url, token: ADMIN, caPem: rig.authority.caPem },
      { makeCurrent: true },
      rig.place,
    );
    return rig;
  }

  /** `backend`: its own, where it shall have another view of things than the others. */
  async addReplica(backend = this.backend): Promise<ApiReplica> {
    const { authority } = this;
    const replica = new ApiReplica({ backend, authority, replicas: () => this.replicas.map(({ url }) => url) });
    await replica.start();
    this.replicas.push(replica);
    return replica;
  }

  get url(): string {
    return this.#first.url;
  }

  get place() {
    return { env: {}, home: this.directory };
  }

  get #first(): ApiReplica {
    return must(this.replicas[0], 'a replica');
  }

  /** On the same port as before. */
  start(): Promise<void> {
    return this.#first.start();
  }

  stop(): Promise<void> {
    return this.#first.stop();
  }

  async close(): Promise<void> {
    for (const replica of this.replicas) await replica.stop();
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
        (name === 'stdout' ? options.onStdout : options.onStderr)?.(written[name]);
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
