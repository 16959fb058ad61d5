/** Runs a TypeScript file of the tests as a process of its own, to be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';

const ROOT = join(import.meta.dirname, '../..');

/** The file as JavaScript that this Node runs, where it finds the project's packages; its path. */
export async function buildProgram(sourceFile: string): Promise<string> {
  const name = createHash('sha256').update(sourceFile).digest('hex').slice(0, 16);
  const outfile = join(ROOT, 'node_modules/.cache/tendril-test', `${name}.mjs`);
  // Several test files build the same program at once, and one may run it already.
  const unfinished = `${outfile}.${process.pid}`;
  await build({
    entryPoints: [sourceFile],
    outfile: unfinished,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  await rename(unfinished, outfile);
  return outfile;
}

export interface ProgramRun {
  readonly process: ChildProcess;
  /** What it has written to stdout so far, by line. */
  readonly lines: readonly string[];
  /** Resolves when it has ended and all its output is in `lines`. */
  readonly ended: Promise<{ readonly exitCode: number | null; readonly stderr: string }>;
}

/** `onLine` is called with each line of stdout as it comes. */
export function runProgram(
  command: readonly [string, ...string[]],
  onLine: (line: string, run: ProgramRun) => void = () => {},
): ProgramRun {
  const [file, ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = once(child, 'close');
  const run: ProgramRun = {
    process: child,
    lines,
    ended: closed.then(([exitCode]: unknown[]) => ({ exitCode: typeof exitCode === 'number' ? exitCode : null, stderr })),
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    onLine(line, run);
  });
  return run;
}
