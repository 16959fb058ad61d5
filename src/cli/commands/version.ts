/** `tendril version` */
import type { Command } from 'commander';
import { Option } from 'commander';
import type { Shell } from '../shell.ts';

export function register(program: Command, shell: Shell): void {
  program
    .command('version')
    .description("Prints this program's version. `tendril status` shows that of the orchestrator.")
    .addOption(new Option('-o, --output <format>', 'how to show it').choices(['text', 'json']).default('text'))
    .action(({ output }: { output: string }) => {
      const facts = { tendril: shell.software, node: process.version, platform: process.platform, architecture: process.arch };
      shell.stdout.write(
        output === 'json'
          ? `${JSON.stringify(facts, null, 2)}\n`
          : `tendril ${facts.tendril} (Node ${facts.node.slice(1)}, ${facts.platform} ${facts.architecture})\n`,
      );
    });
}
