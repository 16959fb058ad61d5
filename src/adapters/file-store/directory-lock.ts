/**
 * One process per directory, for as long as it lives and not a moment longer: the lock is a listening Unix
 * socket, which the kernel closes with its process however that ends. Nothing is inherited by instances that
 * outlive the process, no stale lock has to be judged.
 *
 * On Linux the socket is abstract (unix(7)): binding its name is one atomic step, and the name vanishes with
 * it. Such names belong to a network namespace; two containers that share a volume do not see each other's,
 * there the log's own file lock still keeps a second orchestrator out. Elsewhere the socket is a file that
 * outlives its process; whether anybody still listens tells a live lock from a dead one.
 */
import { createHash } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '../../core/model/errors.ts';
import { systemCode } from './files.ts';

/** Resolves with what lets go of the lock. Rejects with `data_dir_locked`, at once, when another process has it. */
export async function lockDirectory(
  directory: string,
  platform: NodeJS.Platform = process.platform,
): Promise<() => Promise<void>> {
  // Device and inode stay the same under a bind mount, a link or another name.
  const { dev, ino } = await stat(directory, { bigint: true });
  const name = `tendril-${createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32)}`;
  const release = platform === 'linux' ? await listen(`\0${name}`) : await listenOnFile(join(tmpdir(), `${name}.sock`));
  if (!release) throw new CodedError('data_dir_locked', directory);
  return release;
}

/** null when the address is taken. */
function listen(path: string): Promise<(() => Promise<void>) | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((connection) => connection.destroy());
    server.once('error', (error) => (systemCode(error) === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen({ path, exclusive: true }, () => {
      server.unref();
      resolve(() => new Promise((closed) => server.close(() => closed())));
    });
  });
}

async function listenOnFile(path: string): Promise<(() => Promise<void>) | null> {
  const release = await listen(path);
  if (release || (await isAnswered(path))) return release;
  await rm(path, { force: true });
  return listen(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(path);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}
