/** `tendril events` */
import type { Command } from 'commander';
import { withClient } from '../connect.ts';
import { addOutputOption, type OutputFormat } from '../options.ts';
import type { Shell } from '../shell.ts';
import { show } from './get.ts';

export function register(program: Command, shell: Shell): void {
  addOutputOption(program.command('events'), ['table', 'json', 'yaml'])
    .description('Shows what happened lately, oldest first, as far as the orchestrator remembers.')
    .option('-f, --follow', 'go on with what happens from now, until Ctrl-C')
    .addHelpText(
      'after',
      '\nExamples:\n  $ tendril events -f\n  $ tendril events -o json | jq \'.items[] | select(.level == "warning")\'',
    )
    .action((flags: { output: OutputFormat; follow?: boolean }, command: Command) =>
      withClient(shell, command, (client) =>
        show(shell, client, 'event', [], { output: flags.output, watch: flags.follow === true }),
      ),
    );
}
