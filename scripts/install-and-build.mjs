/**
 * Installs what is missing and builds: `npm run build`. With --if-needed it is what npm calls when it installs or packs this
 * package: `npm install -g .` alone must give a working `tendril`.
 */
import { installDependencies } from './steps/install.mjs';
import { runNode } from './steps/run.mjs';

installDependencies();
process.exitCode = await runNode('scripts/build.mjs', process.argv.slice(2));
