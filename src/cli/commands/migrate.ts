/** `tendril migrate INSTANCE [--to PLACE]` */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { CodedError } from '../../core/model/errors.ts';
import type { ApiClient } from '../api/api-client.ts';
import { withClient } from '../connect.ts';
import { nameOf } from '../kinds.ts';
import { addWaitOptions, type WaitFlags } from '../options.ts';
import type { Shell } from '../shell.ts';

interface MigrateFlags extends WaitFlags {
  readonly to?: string;
}

interface Place {
  readonly cluster?: string;
  readonly node?: string;
}

export function register(program: Command, shell: Shell): void {
  const command = program
    .command('migrate')
    .description('Moves an instance: a new one starts at the other place, then the old one stops.')
    .argument('<instance>', 'which, such as web-3')
    .option(
      '--to <place>',
      'a node (n2), a cluster (garching) or a node of a cluster (garching/n2); node/NAME or cluster/NAME where both exist; without it anywhere else',
      checkPlace,
    );
  addWaitOptions(command, 'return when it runs there')
    .addHelpText(
      'after',
      '\nExamples:\n  $ tendril migrate web-3 --to n2\n  $ tendril migrate web-3 --to garching --wait\n  $ tendril migrate web-3 --to garching/n2',
    )
    .action(async (instance: string, flags: MigrateFlags, called: Command) => {
      const id = nameOf('instance', instance);
      await withClient(shell, called, async (client) => {
        const { service } = await client.instance(id);
        await client.migrate(id, flags.to === undefined ? {} : await resolvePlace(client, flags.to));
        shell.stdout.write(`instance/${id} moves${flags.to === undefined ? '' : ` to ${flags.to}`}\n`);
        if (!flags.wait) return;
        const { waitForServices } = await import('../wait-running.ts');
        await waitForServices(client, shell, [service], { timeoutMs: flags.timeout, until: 'running' });
      });
    });
}

function checkPlace(text: string): string {
  if (!/^[a-z0-9-]+(\/[a-z0-9-]+)*$/.test(text)) throw new InvalidArgumentError('Expected a node, a cluster or CLUSTER/NODE.');
  return text;
}

/** A plain name may be a node's or a cluster's; children of one orchestrator have different names. */
async function resolvePlace(client: ApiClient, text: string): Promise<Place> {
  const [first = '', ...rest] = text.split('/');
  if (rest.length > 0) {
    if (first === 'node') return { node: rest.join('/') };
    if (first === 'cluster') return { cluster: rest.join('/') };
    return { cluster: first, node: rest.join('/') };
  }
  try {
    await client.child('cluster', first);
    return { cluster: first };
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'not_found') throw error;
    return { node: first };
  }
}
