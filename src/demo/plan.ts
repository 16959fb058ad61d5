/** What the demo starts: a root and two clusters where their towns are, three nodes each. */
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Site {
  readonly cluster: string;
  readonly position: string;
  readonly nodes: readonly string[];
}

export const ROOT = 'root';

/** edgeIO's home and a town 500 km away. */
export const SITES: readonly Site[] = [
  { cluster: 'garching', position: '48.2489,11.6510', nodes: ['n1', 'n2', 'n3'] },
  { cluster: 'potsdam', position: '52.3906,13.0645', nodes: ['n1', 'n2', 'n3'] },
];

/** What each node offers. They share one machine, so it is a promise of little. */
export const NODE_CPU = '1';
export const NODE_MEMORY = '512Mi';

/** The services of the demo; the first is the one that `--once` asks over HTTP. */
export const EXAMPLES = ['web.yaml', 'clock.yaml', 'hello-container.yaml'];

/** What a runtime takes, in a newcomer's words. */
export const RUNTIME_NEEDS: Readonly<Record<string, string>> = {
  process: 'Linux',
  python: 'Python 3',
  container: 'Docker or Podman',
};

// The program is dist/demo.js, of a checkout.
export const PROGRAM = realpathSync(process.argv[1] ?? '.');
const checkout = dirname(dirname(PROGRAM));
export const EXAMPLES_DIRECTORY = join(checkout, 'examples');
export const BIN_DIRECTORY = join(checkout, 'bin');
