/** The runtime `python`: a script, which its spec carries, run by the node's Python 3. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assert } from '../../core/base/assert.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Assignment } from '../../core/model/messages.ts';
import type { Detection, Runtime } from '../../ports/runtime.ts';
import { nodeMark, nodePath } from './environment.ts';
import { findExecutable } from './executable.ts';
import { fileFailure } from './io-errors.ts';
import type { InstanceFolders, Launch, Launcher } from './launcher.ts';
import { type NativeComponents, type NativeInit, NativeRuntime } from './supervisor.ts';

/** The oldest that scripts may count on; Debian 10's has 3.7, Ubuntu 20.04's 3.8. */
const OLDEST_MINOR = 8;
const DETECT_TIMEOUT_MS = 10_000;

export function createPythonRuntime(components: NativeComponents, init: NativeInit): Runtime {
  return new NativeRuntime(new PythonLauncher(nodePath(), init.nodeUid), components, init);
}

type Python = { readonly executable: string; readonly version: string } | { readonly missing: string };

export class PythonLauncher implements Launcher {
  readonly name = 'python';
  readonly #path: string;
  readonly #nodeUid: string;
  #python: Promise<Python> | null = null;

  constructor(path: string, nodeUid: string) {
    this.#path = path;
    this.#nodeUid = nodeUid;
  }

  async detect(): Promise<Detection> {
    // Anew each time, as it may have been installed meanwhile.
    this.#python = findPython(this.#path, this.#nodeUid);
    const python = await this.#python;
    return 'missing' in python ? { available: false, detail: python.missing } : { available: true, detail: python.version };
  }

  async prepare({ spec }: Assignment, folders: InstanceFolders): Promise<Launch> {
    assert(spec.runtime === 'python', `${spec.runtime} at the python runtime`);
    this.#python ??= findPython(this.#path, this.#nodeUid);
    const python = await this.#python;
    if ('missing' in python) throw new CodedError('runtime_missing', python.missing);
    const script = join(folders.own, 'main.py');
    try {
      writeFileSync(script, spec.script);
    } catch (error) {
      throw fileFailure(error, script);
    }
    // Unbuffered: what a script prints is there at once, and before it is killed.
    return { executable: python.executable, args: ['-u', script, ...spec.args], workingDir: folders.work };
  }
}

/** The interpreter itself: what is called python3 may be a script of a version manager that takes its time at every start. */
async function findPython(path: string, nodeUid: string): Promise<Python> {
  try {
    const python3 = findExecutable('python3', path, '/');
    const query = 'import sys; print("%d.%d.%d" % sys.version_info[:3]); print(sys.executable)';
    const { stdout } = await promisify(execFile)(python3, ['-c', query], {
      timeout: DETECT_TIMEOUT_MS,
      // Marked as the node's: whoever ends a node with all that it has started finds what it was about to learn, too.
      env: { PATH: path, HOME: process.env.HOME ?? '/', ...nodeMark(nodeUid) },
    });
    const [version = '', executable = ''] = stdout.split('\n');
    const [major, minor] = version.split('.').map(Number);
    if (major !== 3 || minor === undefined || minor < OLDEST_MINOR)
      return { missing: `Python ${version} is too old; 3.${OLDEST_MINOR} is the least` };
    return { executable: executable || python3, version: `Python ${version}` };
  } catch (error) {
    return {
      missing: error instanceof CodedError ? 'python3 is not installed' : `python3 does not run: ${(error as Error).message}`,
    };
  }
}
