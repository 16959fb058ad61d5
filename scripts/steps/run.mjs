/** Runs one program in the checkout, with this process's terminal; a program that fails ends this one the same way. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { root } from './root.mjs';

/** Resolves with the exit code, 128 + the signal's number for one that was killed. */
export function run(command, args) {
  // Ctrl-C reaches the child too, which then has its own way to end: this process waits for it.
  const wait = () => {};
  const pass = (signal) => child.kill(signal);
  const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
  process.on('SIGINT', wait).on('SIGTERM', pass);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.off('SIGINT', wait).off('SIGTERM', pass);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** A Node program of this checkout or of one of its dependencies. */
export function runNode(path, args) {
  return run(process.execPath, [join(root, path), ...args]);
}
