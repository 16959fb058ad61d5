/** Every file of testdata/ says what happens in it; `npx vitest run src/core/raft/scenarios.test.ts --update` writes what happens now. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Scenario } from './testing/scenario.ts';

const directory = new URL('testdata/', import.meta.url);

it.each(readdirSync(directory))('%s', async (name) => {
  const file = new URL(name, directory);
  await expect(new Scenario().run(readFileSync(file, 'utf8'))).toMatchFileSnapshot(file.pathname);
});
