/** Runs when npm installs or packs this package: `npm install -g .` alone must give a working `tendril`. */
import { installDependencies } from './steps/install.mjs';
import { runNode } from './steps/run.mjs';

installDependencies();
process.exitCode = await runNode('scripts/build.mjs', ['--if-needed']);
