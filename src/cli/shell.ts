/**
 * What the command line touches of the world around it. Everything comes in as this one argument, so that a
 * test runs the whole program with its own streams, environment and clock.
 */
import type { Readable, Writable } from 'node:stream';
import type { ChainVerdict, DecisionRecord } from '../core/model/decisions.ts';

/** A stream that may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** Decision records as a data directory has them. */
export interface StoredDecisions {
  list(limit: number, after?: number): readonly DecisionRecord[];
  record(number: number): DecisionRecord | null;
  verify(): ChainVerdict;
}

export interface Shell {
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  /** Aborts on Ctrl-C: whatever waits or follows ends, and the program says 130. */
  readonly interrupted: AbortSignal;
  /** This program's version. */
  readonly software: string;
  nowMs(): number;
  /** Where a node on this machine keeps its data: `--data-dir`, environment, default. */
  dataDirectory(option: string | undefined): Promise<string>;
  /** Reads a data directory that no process uses, without changing it. Rejects with a CodedError. */
  storedDecisions(directory: string): Promise<StoredDecisions>;
}

/** https://no-color.org; a terminal that cannot is spared as well. */
export function wantsColour(shell: Shell, output: Output = shell.stdout): boolean {
  return output.isTTY === true && !shell.env.NO_COLOR && shell.env.TERM !== 'dumb';
}

/** Names and reasons come from other machines and from workloads: no escape sequence of theirs reaches the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\u{fffd}');
}

/** The shell that the process was started from. */
export function processShell(given: Pick<Shell, 'software' | 'dataDirectory' | 'storedDecisions'>): Shell {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  process.once('SIGTERM', () => interrupt.abort());
  for (const output of [process.stdout, process.stderr])
    output.on('error', (error: NodeJS.ErrnoException) => {
      // `tendril get ... | head` has seen enough; whoever reads does not want to hear of it.
      if (error.code === 'EPIPE') process.exit(0);
      // A full disk under a redirection, say: one line, where that is still possible.
      if (output === process.stdout) process.stderr.write(`error: the output cannot be written: ${error.message}\n`);
      process.exit(1);
    });
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    home: process.env.HOME ?? '/',
    interrupted: interrupt.signal,
    nowMs: () => Date.now(),
    ...given,
  };
}
