/** Installs the dependencies of this checkout when they are missing or others than the lock file names. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './root.mjs';

export function installDependencies() {
  const wanted = readPackages('package-lock.json');
  const installed = readPackages('node_modules/.package-lock.json');
  if (Object.entries(wanted).every(([path, entry]) => path === '' || isThere(entry, installed[path]))) return;
  process.stderr.write('Installing dependencies ...\n');
  // Not `npm ci`: that refuses a lock file made where the registry lacks optional packages of some other platform.
  // Nothing here needs a dependency's install script: what is native comes prebuilt.
  // Said on the command line, what an npm around this one wants (`npm install -g .`, --omit=dev) does not count.
  const words = ['install', '--global=false', '--include=dev', '--include=optional', '--no-save', '--ignore-scripts'];
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status, error } = spawnSync('npm', [...words, ...quiet], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status === 0) return;
  if (error) process.stderr.write(`npm could not be started: ${error.message}\n`);
  process.stderr.write('The dependencies could not be installed: is the npm registry in reach (npm config get registry)?\n');
  process.exit(1);
}

/** An optional package is there only on the machines that it is made for. */
function isThere(wanted, installed) {
  return installed === undefined ? wanted.optional === true : installed.version === wanted.version;
}

function readPackages(lockFile) {
  try {
    return JSON.parse(readFileSync(join(root, lockFile), 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return {};
    throw error;
  }
}
