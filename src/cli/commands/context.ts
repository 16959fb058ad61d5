/** `tendril context list | use | delete` */
import type { Command } from 'commander';
import { CodedError } from '../../core/model/errors.ts';
import { type ConfigFile, changeConfig, configPath, loadConfig } from '../context/config-file.ts';
import { formatTable } from '../output/table.ts';
import type { Shell } from '../shell.ts';

export function register(program: Command, shell: Shell): void {
  const group = program
    .command('context')
    .description(
      'Lists and chooses orchestrators to speak to. `tendril up` writes a context for the orchestrator that it starts.',
    );

  const list = group.command('list').description('Lists contexts; the current one has a star.');
  list
    .addOption(list.createOption('-o, --output <format>', 'how to show it').choices(['table', 'json', 'name']).default('table'))
    .action(async ({ output }: { output: string }) => {
      const { currentContext, contexts } = await loadConfig(shell);
      const rows = contexts.map(({ name, server, servers = [server] }) => ({
        name,
        server,
        servers,
        current: name === currentContext,
      }));
      if (output === 'json') shell.stdout.write(`${JSON.stringify({ items: rows }, null, 2)}\n`);
      else if (output === 'name') shell.stdout.write(rows.map(({ name }) => `${name}\n`).join(''));
      else if (rows.length > 0)
        shell.stdout.write(
          formatTable({
            head: ['CURRENT', 'NAME', 'SERVER'],
            rows: rows.map(({ name, servers, current }) => [current ? '*' : ' ', name, servers.join(', ')]),
          }),
        );
      else shell.stderr.write(`There are no contexts in ${configPath(shell)}.\n`);
    });

  group
    .command('use')
    .description('Makes a context the one that is meant when none is named.')
    .argument('<name>', 'which')
    .action(async (name: string) => {
      await changeConfig(shell, (config) => ({ ...requireContext(shell, config, name), currentContext: name }));
      shell.stdout.write(`context ${name} is the current one\n`);
    });

  group
    .command('delete')
    .description('Forgets a context here; the orchestrator is not touched.')
    .argument('<name>', 'which')
    .action(async (name: string) => {
      await changeConfig(shell, (config) => ({
        contexts: requireContext(shell, config, name).contexts.filter((context) => context.name !== name),
        currentContext: config.currentContext === name ? '' : config.currentContext,
      }));
      shell.stdout.write(`context ${name} deleted\n`);
    });
}

function requireContext(shell: Shell, config: ConfigFile, name: string): ConfigFile {
  if (config.contexts.some((context) => context.name === name)) return config;
  throw new CodedError('not_found', `context ${name} in ${configPath(shell)}`);
}
