import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the checkout, wherever in it the bundler has put this file. */
export const ROOT = ((): string => {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
})();
