/** The runtime `process`: any program that is installed on the node. */
import { release } from 'node:os';
import { resolve } from 'node:path';
import { assert } from '../../core/base/assert.ts';
import type { Assignment } from '../../core/model/messages.ts';
import type { Detection, Runtime } from '../../ports/runtime.ts';
import { nodePath } from './environment.ts';
import { checkWorkingDir, findExecutable } from './executable.ts';
import type { InstanceFolders, Launch, Launcher } from './launcher.ts';
import { type NativeComponents, type NativeInit, NativeRuntime } from './supervisor.ts';

export function createProcessRuntime(components: NativeComponents, init: NativeInit): Runtime {
  return new NativeRuntime(new ProcessLauncher(), components, init);
}

class ProcessLauncher implements Launcher {
  readonly name = 'process';

  async detect(): Promise<Detection> {
    return { available: true, detail: `Linux ${release()}` };
  }

  async prepare({ spec }: Assignment, folders: InstanceFolders): Promise<Launch> {
    assert(spec.runtime === 'process', `${spec.runtime} at the process runtime`);
    const [command, ...args] = spec.command;
    assert(command !== undefined, 'a command without words');
    const workingDir = resolve(folders.work, spec.workingDir ?? '.');
    checkWorkingDir(workingDir);
    return { executable: findExecutable(command, spec.env.PATH ?? nodePath(), workingDir), args, workingDir };
  }
}
