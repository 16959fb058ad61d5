/** The generated pages say what the code says. To write them anew: `npx vitest run test/docs.test.ts -u`. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errorsPage, limitsPage } from '../scripts/generate-docs.ts';
import { limits } from '../src/core/base/limits.ts';
import { ERRORS } from '../src/core/model/errors.ts';

const limitsSource = readFileSync(new URL('../src/core/base/limits.ts', import.meta.url), 'utf8');

test('docs/errors.md has every code', async () => {
  const page = errorsPage();
  for (const code of Object.keys(ERRORS)) expect(page).toContain(`| \`${code}\` |`);
  await expect(page).toMatchFileSnapshot('../docs/errors.md');
});

test('docs/limits.md has every limit', async () => {
  const page = limitsPage(limitsSource);
  for (const name of Object.keys(limits)) expect(page).toContain(`| \`${name}\` |`);
  await expect(page).toMatchFileSnapshot('../docs/limits.md');
});
