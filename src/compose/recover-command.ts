/** `tendril recover` */
import type { Command } from 'commander';
import { Exit } from '../cli/exit-codes.ts';
import type { Shell } from '../cli/shell.ts';
import { recover } from './recover.ts';

interface Flags {
  readonly dataDir?: string;
  readonly confirm?: string;
}

export function register(program: Command, shell: Shell): void {
  program
    .command('recover')
    .description(
      'When a majority of the voters is lost for good: lets one replica go on alone, from what its disk has. The replica must ' +
        'not run. What only the others had is lost, and they must not come back: delete their data directories.',
    )
    .option('--data-dir <DIR>', 'of the replica, as with `tendril up`')
    .option('--confirm <NAME>', "do it: the replica's name; without, it only says what it would do")
    .addHelpText('after', '\nExamples:\n  $ tendril recover\n  $ tendril recover --confirm n2 && tendril up')
    .action(async ({ dataDir, confirm }: Flags) => {
      const directory = await shell.dataDirectory(dataDir);
      const found = await recover(directory, { confirmed: confirm ?? null, nowMs: Date.now() });
      const others = found.group.filter((name) => name !== found.name);
      if (found.isAlone) {
        shell.stdout.write(`${found.name} is the only replica of its orchestrator: there is nothing to recover from.\n`);
        return;
      }
      if (confirm === undefined) {
        shell.stdout.write(
          `${found.name} knows the log up to entry ${found.lastIndex} and these replicas: ${found.group.join(', ')}.\n` +
            `It would go on alone, without ${others.join(', ')}. Whatever only they had is lost. Instances keep running.\n\n` +
            `Choose the replica with the highest entry, and make sure that the others never start again with their data.\n` +
            `Then: tendril recover --confirm ${found.name}\n`,
        );
        throw new Exit('failed');
      }
      shell.stdout.write(
        `${found.name} is a group of one now; the log says so. Start it: tendril up\n` +
          `Delete the data directories of ${others.join(', ')}; then they can join again as new replicas.\n`,
      );
    });
}
