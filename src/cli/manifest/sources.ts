/** The files behind `-f`: a file, a directory's YAML and JSON files, or `-` for standard input. */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { limits } from '../../core/base/limits.ts';
import { formatBytes } from '../../core/base/quantity.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Shell } from '../shell.ts';

export interface ManifestSource {
  /** As errors name it: the way the user wrote it. */
  readonly name: string;
  /** What relative paths inside are relative to. */
  readonly directory: string;
  readonly text: string;
}

const MANIFEST_FILE = /\.(ya?ml|json)$/i;

/** Throws `invalid_manifest` for what cannot be read, `too_large` before it is loaded. */
export async function readSources(shell: Pick<Shell, 'stdin' | 'cwd'>, paths: readonly string[]): Promise<ManifestSource[]> {
  const sources: ManifestSource[] = [];
  for (const path of paths) {
    if (path === '-') {
      sources.push({ name: 'stdin', directory: shell.cwd, text: decode('stdin', await readBounded(shell.stdin, 'stdin')) });
      continue;
    }
    for (const name of await filesAt(shell.cwd, path)) {
      const absolute = resolve(shell.cwd, name);
      const bytes = await readFileBounded(absolute, name, limits.manifestBytes);
      sources.push({ name, directory: dirname(absolute), text: decode(name, bytes) });
    }
  }
  return sources;
}

async function filesAt(cwd: string, path: string): Promise<string[]> {
  const absolute = resolve(cwd, path);
  const found = await stat(absolute).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (!found.isDirectory()) return [path];
  const names = (await readdir(absolute)).filter((name) => MANIFEST_FILE.test(name)).sort();
  if (names.length === 0)
    throw new CodedError('invalid_manifest', '', [
      { field: '', file: path, message: 'the directory has no .yaml, .yml or .json file' },
    ]);
  return names.map((name) => join(path, name));
}

/** At most `maxBytes`; a larger file is refused by its size, and one that lies about its size when it goes on. */
export async function readFileBounded(absolute: string, name: string, maxBytes: number): Promise<Buffer> {
  const file = await open(absolute, 'r').catch((error: unknown) => {
    throw unreadable(name, error);
  });
  try {
    const { size } = await file.stat();
    if (size > maxBytes) throw tooLarge(name, size, maxBytes);
    return await readBounded(file.createReadStream({ autoClose: false }), name, maxBytes);
  } catch (error) {
    throw error instanceof CodedError ? error : unreadable(name, error);
  } finally {
    await file.close();
  }
}

async function readBounded(stream: Readable, name: string, maxBytes: number = limits.manifestBytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > maxBytes) throw tooLarge(name, null, maxBytes);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

export function decode(name: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CodedError('invalid_manifest', '', [{ field: '', file: name, message: 'is not UTF-8 text' }]);
  }
}

function tooLarge(name: string, size: number | null, maxBytes: number): CodedError {
  const found =
    size === null ? `more than ${formatBytes(maxBytes)}` : `${(size / 2 ** 20).toFixed(1)}Mi, at most ${formatBytes(maxBytes)}`;
  return new CodedError('too_large', '', [{ field: '', file: name, message: `has ${found}` }]);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'may not be read by this user',
  EISDIR: 'is a directory',
};

function unreadable(name: string, error: unknown): CodedError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const message = REASONS[code] ?? `cannot be read (${code || basename(name)})`;
  return new CodedError('invalid_manifest', '', [{ field: '', file: name, message }], error);
}
