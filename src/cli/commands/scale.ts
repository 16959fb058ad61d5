/** `tendril scale SERVICE COPIES` */
import type { Command } from 'commander';
import { withClient } from '../connect.ts';
import { nameOf } from '../kinds.ts';
import { addWaitOptions, type WaitFlags, wholeNumber } from '../options.ts';
import type { Shell } from '../shell.ts';

export function register(program: Command, shell: Shell): void {
  const command = program
    .command('scale')
    .description('Runs more or fewer copies of a service (edgeIO: REPLICATE). 0 stops all and keeps the service.')
    .argument('<service>', 'which')
    .argument('<copies>', 'how many', wholeNumber);
  addWaitOptions(command, 'return when as many run')
    .addHelpText('after', '\nExamples:\n  $ tendril scale web 3 --wait\n  $ tendril scale web 0')
    .action(async (service: string, copies: number, flags: WaitFlags, called: Command) => {
      const name = nameOf('service', service);
      await withClient(shell, called, async (client) => {
        const { effect } = await client.scale(name, copies);
        shell.stdout.write(
          `service/${name} ${effect === 'unchanged' ? `has ${copies} copies already` : `scaled to ${copies}`}\n`,
        );
        if (!flags.wait) return;
        const { waitForServices } = await import('../wait-running.ts');
        await waitForServices(client, shell, [name], { timeoutMs: flags.timeout, until: 'running' });
      });
    });
}
