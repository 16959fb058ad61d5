import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EXIT_CODES } from './exit-codes.ts';

it('is what docs/cli.md says', async () => {
  const text = await readFile(join(import.meta.dirname, '../../docs/cli.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (\d+) +\| (.+?) +\|$/gm)].map(([, code, meaning]) => ({ code: Number(code), meaning }));
  expect(rows).toEqual(Object.values(EXIT_CODES));
});
