/** The repository as text: every file that is ours, and what each source file imports. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export const root = dirname(dirname(import.meta.dirname));

/** Made, fetched or the version control's own: not ours to keep tidy. */
const FOREIGN = new Set(['node_modules', 'dist', '.git', 'coverage']);

export interface SourceFile {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
  /** The text without comments and without what its strings say. */
  readonly code: string;
  readonly imports: readonly Import[];
}

export interface Import {
  /** A path from the root for our own files, else the name as it is written. */
  readonly target: string;
  readonly ours: boolean;
}

export function ourFiles(): readonly string[] {
  return walk(root).map((path) => relative(root, path));
}

export function sourceFiles(): readonly SourceFile[] {
  return ourFiles()
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, code: withoutWords(text), imports: importsOf(path, text) };
    });
}

/** Tests and what only they use: they may reach anywhere. */
export function isForTests({ path }: SourceFile): boolean {
  return path.startsWith('test/') || path.endsWith('.test.ts') || /\/testing(\/|\.ts$)/.test(path);
}

function walk(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (FOREIGN.has(entry.name)) return [];
    return entry.isDirectory() ? walk(path) : [path];
  });
}

function importsOf(path: string, text: string): readonly Import[] {
  return [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'([^'\n]+)'/g)].map(([, name = '']) => {
    const ours = name.startsWith('.');
    return { ours, target: ours ? join(dirname(path), name) : name };
  });
}

const WORDS = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`/g;

function withoutWords(text: string): string {
  return text.replaceAll(WORDS, (words) => (words.startsWith('/') ? '' : `${words.charAt(0)}${words.charAt(0)}`));
}
