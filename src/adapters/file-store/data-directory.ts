/**
 * The directory that holds everything a node keeps: found, made, claimed for this process alone, and checked
 * to be of a format that this version reads. What lies in it is for the composition root to say.
 */
import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import * as z from 'zod/mini';
import { CodedError } from '../../core/model/errors.ts';
import { lockDirectory } from './directory-lock.ts';
import { codedFileError, makePrivateDirectory, readWhole, replaceFile, systemCode, temporaryName } from './files.ts';

/** Raised by a change that older versions would misread. */
const FORMAT_VERSION = 1;
const FORMAT_FILE = 'format.json';
const FORMAT_FILE_BYTES = 4096;
/** A later version may say more in it. */
const formatSchema = z.looseObject({ format: z.int().check(z.minimum(1)) });
/** What a directory may hold that was never used: our own cut-short first start, and a file system's root. */
const NOTHING_OF_NOTE = [temporaryName(FORMAT_FILE), 'lost+found'];

export interface DataDirectory {
  /** Absolute. */
  readonly path: string;
  /** Lets another process in; ending the process does the same. */
  release(): Promise<void>;
}

export interface DirectoryWishes {
  /** `--data-dir`. */
  readonly option?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What the choice depends on besides; tests give their own. */
export interface Machine {
  readonly isRoot: boolean;
  readonly systemDirectory: string;
  homeDirectory(): string;
}

const thisMachine: Machine = {
  isRoot: process.getuid?.() === 0,
  systemDirectory: '/var/lib/tendril',
  homeDirectory: homedir,
};

/** `--data-dir`, TENDRIL_DATA_DIR, /var/lib/tendril for root where it can be written, else as XDG says; absolute. */
export async function chooseDataDirectory(
  { option, environment }: DirectoryWishes,
  machine: Machine = thisMachine,
): Promise<string> {
  const wanted = option ?? environment.TENDRIL_DATA_DIR;
  if (wanted) return resolve(wanted);
  if (machine.isRoot && (await canWrite(machine.systemDirectory))) return machine.systemDirectory;
  const xdg = environment.XDG_DATA_HOME;
  // The XDG specification: relative paths are to be ignored.
  return xdg && isAbsolute(xdg) ? join(xdg, 'tendril') : join(machine.homeDirectory(), '.local/share/tendril');
}

/**
 * Makes the directory when it is missing. Rejects with data_dir_locked, _newer, _corrupt, _read_only or
 * _foreign (it holds something else), or disk_full, and has changed nothing then.
 */
export async function openDataDirectory(directory: string): Promise<DataDirectory> {
  const path = resolve(directory);
  await makePrivateDirectory(path);
  await access(path, constants.R_OK | constants.W_OK | constants.X_OK).catch((error: unknown) => {
    throw codedFileError(error);
  });
  const release = await lockDirectory(path);
  try {
    await checkFormat(path);
  } catch (error) {
    await release();
    throw error;
  }
  return { path, release };
}

async function checkFormat(path: string): Promise<void> {
  const content = await readWhole(join(path, FORMAT_FILE), FORMAT_FILE_BYTES);
  if (content === null) {
    const others = (await readdir(path)).filter((name) => !NOTHING_OF_NOTE.includes(name));
    if (others.length > 0) throw new CodedError('data_dir_foreign', `${path} holds ${others[0]} and no ${FORMAT_FILE}`);
    await replaceFile(path, FORMAT_FILE, Buffer.from(`${JSON.stringify({ format: FORMAT_VERSION })}\n`));
    return;
  }
  const parsed = formatSchema.safeParse(parseJson(Buffer.from(content).toString()));
  if (!parsed.success) throw new CodedError('data_dir_corrupt', `${join(path, FORMAT_FILE)} cannot be read`);
  const { format } = parsed.data;
  if (format > FORMAT_VERSION)
    throw new CodedError('data_dir_newer', `${path} has format ${format}, this version reads ${FORMAT_VERSION}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function canWrite(directory: string): Promise<boolean> {
  for (const path of [directory, dirname(directory)]) {
    try {
      await access(path, constants.W_OK);
      return true;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') return false;
    }
  }
  return false;
}
