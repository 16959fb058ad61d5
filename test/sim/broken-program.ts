/**
 * A program with one fault in it, made from its source as it is: one place of one file is changed while esbuild puts it
 * together with whatever runs it, and the result is loaded beside the sound one. Nothing in the program knows of it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from '../tidy/source-files.ts';

export interface Break {
  /** From the root. */
  readonly file: string;
  /** What stands there, exactly once ... */
  readonly find: string;
  /** ... and what stands there in the broken program. */
  readonly replace: string;
  /** Tried first, where few find it. A change of the simulation makes another story of a seed. */
  readonly seed?: number;
}

/** What `entry` exports, with the break in it. */
export async function loadBroken<T>(entry: string, { file, find, replace }: Break): Promise<T> {
  const path = join(root, file);
  const source = readFileSync(path, 'utf8');
  const times = source.split(find).length - 1;
  if (times !== 1) throw new Error(`${file} has ${times} places to break, not one: ${find}`);
  let isBroken = false;
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
    plugins: [
      {
        name: 'break',
        setup({ onLoad }) {
          onLoad({ filter: /\.ts$/ }, (loaded) => {
            if (loaded.path !== path) return undefined;
            isBroken = true;
            return { contents: source.replace(find, () => replace), loader: 'ts' };
          });
        },
      },
    ],
  });
  const [bundle] = outputFiles;
  if (!isBroken || !bundle) throw new Error(`${entry} does not use ${file}`);
  return await import(`data:text/javascript;base64,${Buffer.from(bundle.text).toString('base64')}`);
}

/**
 * The first of the seeds whose run fails as `caught` says; null: none. Other failures may come first: a program with a
 * fault fails in many ways.
 */
export async function firstFound(
  seeds: Iterable<number>,
  run: (seed: number) => unknown,
  caught: RegExp,
): Promise<number | null> {
  for (const seed of seeds)
    try {
      await run(seed);
    } catch (error) {
      const { cause } = error as { readonly cause?: unknown };
      if (caught.test(cause instanceof Error ? cause.message : String(error))) return seed;
    }
  return null;
}

/** The seeds from 1 up to this one; first of all the one that is known to find it, if there is one. */
export function seedsUpTo(last: number, known?: number): readonly number[] {
  const seeds = Array.from({ length: last }, (_, at) => at + 1);
  return known === undefined ? seeds : [known, ...seeds];
}
