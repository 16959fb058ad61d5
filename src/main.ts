/** The program: the command line, and `up`, which alone needs a whole node. */
import { chooseDataDirectory } from './adapters/file-store/data-directory.ts';
import { runProgram } from './cli/program.ts';
import { processShell } from './cli/shell.ts';

declare const TENDRIL_VERSION: string;

process.exitCode = await runProgram(
  process.argv.slice(2),
  processShell({
    software: TENDRIL_VERSION,
    storedDecisions: async (directory) => (await import('./compose/stored-decisions.ts')).readStoredDecisions(directory),
    dataDirectory: (option) => chooseDataDirectory({ option, environment: process.env }),
  }),
  {
    more: [
      { name: 'up', group: 'Run:', summary: 'start a node on this machine', load: () => import('./compose/up-command.ts') },
      {
        name: 'recover',
        group: 'Machines:',
        summary: 'let one replica go on alone when a majority is lost for good',
        load: () => import('./compose/recover-command.ts'),
      },
      {
        name: 'authority',
        group: 'Machines:',
        summary: "write the authority's private key",
        load: () => import('./compose/authority-command.ts'),
      },
    ],
  },
);
