import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CodedError } from '../../core/model/errors.ts';

/** The absolute path of `command`, sought as execvp(3) does. Throws a CodedError for what could not be executed before anything is started. */
export function findExecutable(command: string, path: string, workingDir: string): string {
  const candidates = command.includes('/')
    ? [resolve(workingDir, command)]
    : path.split(':').map((folder) => join(resolve(workingDir, folder), command));
  let refusal = 'not found';
  for (const candidate of candidates) {
    const kind = statSync(candidate, { throwIfNoEntry: false });
    if (kind === undefined) continue;
    if (kind.isFile() && mayExecute(candidate)) return candidate;
    refusal = kind.isFile() ? 'not executable' : 'not a file';
  }
  const where = command.includes('/') ? '' : ' in the PATH of the node';
  throw new CodedError('command_not_found', `${command}: ${refusal}${where}`);
}

export function checkWorkingDir(workingDir: string): void {
  try {
    if (statSync(workingDir).isDirectory()) return;
  } catch {
    // Said below, as for what is no directory.
  }
  throw new CodedError('command_not_found', `the working directory ${workingDir} does not exist`);
}

function mayExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
