/** Files that are replaced whole and survive a power cut, with the system's errors as coded ones. */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodedError, type ErrorCode } from '../../core/model/errors.ts';

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
  EFBIG: 'disk_full',
  EROFS: 'data_dir_read_only',
  EACCES: 'data_dir_read_only',
  EPERM: 'data_dir_read_only',
  ENOTDIR: 'data_dir_foreign',
  EEXIST: 'data_dir_foreign',
  EISDIR: 'data_dir_foreign',
  ENOENT: 'data_dir_foreign',
  EIO: 'data_dir_corrupt',
  EMFILE: 'unavailable',
  ENFILE: 'unavailable',
};

export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

export function codedFileError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError(
    CODES[systemCode(error)] ?? 'internal',
    error instanceof Error ? error.message : String(error),
    [],
    error,
  );
}

/** Content of at most `maxBytes`, null when there is no such file. Larger is damage: nothing that size was ever written. */
export async function readWhole(path: string, maxBytes: number): Promise<Uint8Array | null> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > maxBytes) throw new CodedError('data_dir_corrupt', `${path} has ${size} bytes, over the limit of ${maxBytes}`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw codedFileError(error);
  }
}

/** What a write that was cut short leaves behind; the next one to the same name takes its place. */
export function temporaryName(name: string): string {
  return `.${name}.new`;
}

/**
 * Whatever happens, the file has either its old content or the new; the new one for good once this resolves.
 * The order is what makes it so: content on disk, then the name, then the directory that holds the name.
 * Readable by its owner only: documents hold keys.
 */
export async function replaceFile(directory: string, name: string, content: Uint8Array): Promise<void> {
  const temporary = join(directory, temporaryName(name));
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(directory, name));
    await syncDirectory(directory);
  } catch (error) {
    // What failed first is what counts.
    await rm(temporary, { force: true }).catch(() => {});
    throw codedFileError(error);
  }
}

export async function removeFile(directory: string, name: string): Promise<void> {
  try {
    await rm(join(directory, name));
    await syncDirectory(directory);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw codedFileError(error);
  }
}

/**
 * The directory, and those above it, there and durable; new ones open to their owner only. `directory` is absolute.
 * By steps, as Node's own `recursive` says ENOENT of a parent that is read-only.
 */
export async function makePrivateDirectory(directory: string): Promise<void> {
  try {
    if (!(await makeOne(directory))) {
      await makePrivateDirectory(dirname(directory));
      // Now an ENOENT is no missing parent any more: /proc, for one, takes no directories.
      await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
        if (systemCode(error) !== 'ENOENT') throw error;
        throw new CodedError('data_dir_read_only', `${directory} cannot be made there`, [], error);
      });
      await syncDirectory(dirname(directory));
    }
  } catch (error) {
    throw codedFileError(error);
  }
}

/** False when its parent is missing. */
async function makeOne(directory: string): Promise<boolean> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && dirname(directory) !== directory) return false;
    if (systemCode(error) === 'EEXIST' && (await isDirectory(directory))) return true;
    throw error;
  }
  await syncDirectory(dirname(directory));
  return true;
}

function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
