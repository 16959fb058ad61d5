/** Installs and builds as needed, then runs one program of dist/: `node scripts/run-program.mjs NAME [ARGUMENT ...]`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installDependencies } from './steps/install.mjs';
import { root } from './steps/root.mjs';
import { runNode } from './steps/run.mjs';

const [name, ...args] = process.argv.slice(2);
installDependencies();
process.exitCode = await runNode('scripts/build.mjs', ['--if-needed', 'tendril', name]);
if (process.exitCode === 0) {
  const program = join('dist', `${name}.js`);
  if (existsSync(join(root, program))) process.exitCode = await runNode(program, args);
  else {
    process.stderr.write(`This checkout has no ${name}.\n`);
    process.exitCode = 1;
  }
}
