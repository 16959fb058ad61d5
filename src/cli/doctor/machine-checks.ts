/** What `tendril doctor` finds on this machine: what a node needs, and which runtimes it would have. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readFile, statfs } from 'node:fs/promises';
import { request } from 'node:http';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { readableBytes } from '../output/amounts.ts';
import type { Shell } from '../shell.ts';
import type { Check } from './check.ts';

const NODE_MAJOR_MIN = 20;
const PROBE_TIMEOUT_MS = 3_000;
/** A snapshot, its successor and logs of a dozen instances. */
const DISK_WARN_BYTES = 1024 ** 3;
const DISK_FAIL_BYTES = 128 * 1024 ** 2;

export async function checkMachine(shell: Shell, dataDirFlag: string | undefined): Promise<Check[]> {
  const dataDir = await shell.dataDirectory(dataDirFlag);
  return [
    checkNode(),
    ...(await Promise.all([
      checkDataDirectory(dataDir),
      checkDisk(dataDir),
      checkDocker(shell),
      checkPython(shell),
      checkCgroups(),
    ])),
  ];
}

function checkNode(): Check {
  const finding = `${process.version.slice(1)} (${process.platform} ${process.arch})`;
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) return { name: 'node.js', result: 'ok', finding };
  return { name: 'node.js', result: 'fail', finding, advice: `Install Node ${NODE_MAJOR_MIN} or newer.` };
}

async function checkDataDirectory(path: string): Promise<Check> {
  const name = 'data directory';
  const there = await nearestExisting(path);
  try {
    await access(there, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return {
      name,
      result: 'fail',
      finding: `${there} cannot be written by this user`,
      advice: 'Use another with --data-dir, or change its owner.',
    };
  }
  return { name, result: 'ok', finding: there === path ? path : `${path} (made at the first start)` };
}

async function checkDisk(path: string): Promise<Check> {
  const { bavail, bsize } = await statfs(await nearestExisting(path));
  const free = bavail * bsize;
  const finding = `${readableBytes(free)} free`;
  if (free >= DISK_WARN_BYTES) return { name: 'disk', result: 'ok', finding };
  return {
    name: 'disk',
    result: free < DISK_FAIL_BYTES ? 'fail' : 'warn',
    finding,
    advice: 'Make room, or use another disk with --data-dir.',
  };
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const found = await access(at).then(
      () => true,
      () => false,
    );
    if (found || at === dirname(at)) return at;
  }
}

async function checkDocker(shell: Shell): Promise<Check> {
  const name = 'containers';
  const host = shell.env.DOCKER_HOST ?? '';
  const socketPath = host.startsWith('unix://') ? host.slice('unix://'.length) : '/var/run/docker.sock';
  try {
    const version = await dockerVersion(socketPath);
    return { name, result: 'ok', finding: `Docker Engine ${version} at ${socketPath}` };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const finding = `no container engine answers at ${socketPath}`;
    if (code === 'EACCES')
      return {
        name,
        result: 'warn',
        finding: `${socketPath} may not be used by this user`,
        advice: 'Add the user to the group docker, then log in again.',
      };
    return { name, result: 'warn', finding, advice: 'Only needed for containers: install docker.io or Podman and start it.' };
  }
}

function dockerVersion(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/version', timeout: PROBE_TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > 65_536) asked.destroy(new Error('too long'));
      });
      response.on('error', reject);
      response.on('end', () => resolve(/"Version":\s*"([^"]+)"/.exec(text)?.[1] ?? 'of an unknown version'));
    });
    asked.on('timeout', () => asked.destroy(new Error('timeout')));
    asked.on('error', reject);
    asked.end();
  });
}

async function checkPython(shell: Shell): Promise<Check> {
  try {
    const { stdout } = await promisify(execFile)('python3', ['--version'], { timeout: PROBE_TIMEOUT_MS, env: { ...shell.env } });
    return { name: 'python', result: 'ok', finding: stdout.trim() };
  } catch {
    return {
      name: 'python',
      result: 'warn',
      finding: 'no python3',
      advice: 'Only needed for the python runtime: install python3.',
    };
  }
}

async function checkCgroups(): Promise<Check> {
  const name = 'cgroups';
  try {
    const controllers = (await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8')).trim().split(/\s+/);
    const missing = ['cpu', 'memory'].filter((needed) => !controllers.includes(needed));
    if (missing.length > 0)
      return {
        name,
        result: 'warn',
        finding: `version 2, without ${missing.join(' and ')}`,
        advice: 'Processes run without these limits; containers may too.',
      };
    await access('/sys/fs/cgroup', constants.W_OK);
    return { name, result: 'ok', finding: 'version 2, with cpu and memory' };
  } catch (error) {
    const denied = (error as NodeJS.ErrnoException).code === 'EACCES' || (error as NodeJS.ErrnoException).code === 'EROFS';
    const finding = denied ? 'version 2, not writable by this user' : 'version 2 is not there';
    return {
      name,
      result: 'warn',
      finding,
      advice: 'Processes run without cpu and memory limits; containers have theirs from the engine.',
    };
  }
}
