/** Runs one program in the checkout, with this process's terminal; a program that fails ends this one the same way. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { root } from './root.mjs';

/** Resolves with the exit code, 128 + the signal's number for one that was killed. */
export function run(command, args) {
  const pass = (signal) => child.kill(signal);
  // Ctrl-C at a terminal reaches the child by itself, which then ends in its own way: this process only waits for it.
  const interrupted = process.stdin.isTTY ? () => {} : pass;
  const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
  process.on('SIGINT', interrupted).on('SIGTERM', pass);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.off('SIGINT', interrupted).off('SIGTERM', pass);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** A Node program of this checkout or of one of its dependencies. */
export function runNode(path, args) {
  return run(process.execPath, [join(root, path), ...args]);
}
