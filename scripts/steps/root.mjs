import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the checkout, absolute. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

// Node 20 is the floor: say so, rather than fail somewhere strange.
if (Number(process.versions.node.split('.')[0]) < 20) {
  process.stderr.write(`Tendril needs Node 20 or newer; this is ${process.version}.\n`);
  process.exit(1);
}
