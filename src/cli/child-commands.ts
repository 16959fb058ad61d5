/** What is done to nodes and to clusters alike: to its parent, a cluster is a node. */
import type { Command } from 'commander';
import type { ApiClient, ChildKind } from './api/api-client.ts';
import { type GetFlags, show } from './commands/get.ts';
import { withClient } from './connect.ts';
import { nameOf } from './kinds.ts';
import { addOutputOption } from './options.ts';
import { parseSelector } from './selector.ts';
import type { Shell } from './shell.ts';

export interface ChildCommands {
  readonly kind: ChildKind;
  readonly description: string;
  readonly example: string;
}

export function registerChildCommands(program: Command, shell: Shell, { kind, description, example }: ChildCommands): void {
  const group = program.command(kind).description(description);

  addOutputOption(group.command('list'))
    .description(`Lists ${kind}s: the same as \`tendril get ${kind}s\`.`)
    .option('-l, --selector <labels>', 'only those with these labels', parseSelector)
    .option('-w, --watch', 'show changes as they happen, until Ctrl-C')
    .action((flags: GetFlags, command: Command) => withClient(shell, command, (client) => show(shell, client, kind, [], flags)));

  const verb = (name: string, text: string, done: string, act: (client: ApiClient, child: string) => Promise<unknown>) =>
    group
      .command(name)
      .description(text)
      .argument('<names...>', 'which')
      .addHelpText('after', `\nExample:\n  $ tendril ${kind} ${name} ${example}`)
      .action(async (names: string[], _flags: unknown, command: Command) => {
        await withClient(shell, command, async (client) => {
          for (const written of names) {
            const child = nameOf(kind, written);
            await act(client, child);
            shell.stdout.write(`${kind}/${child} ${done}\n`);
          }
        });
      });

  verb('cordon', `Gives the ${kind} no new work; what runs there stays.`, 'cordoned', (client, child) =>
    client.cordon(kind, child, true),
  );
  verb('uncordon', `Gives the ${kind} work again, and ends a drain.`, 'uncordoned', async (client, child) => {
    await client.drain(kind, child, false);
    await client.cordon(kind, child, false);
  });
  verb('drain', `Cordons the ${kind} and moves its instances elsewhere.`, 'draining', (client, child) =>
    client.drain(kind, child, true),
  );
  if (kind === 'node') {
    verb('promote', 'Makes a replica a voter: it votes as soon as it has caught up.', 'is to be a voter', (client, name) =>
      client.setReplicaRole(name, 'voter'),
    );
    verb(
      'demote',
      'Makes a replica a learner: it keeps a copy and does not vote. A leader hands over first.',
      'is to be a learner',
      (client, name) => client.setReplicaRole(name, 'learner'),
    );
  }
  verb(
    'remove',
    `Ends the ${kind}'s membership: its certificate is worth nothing any more and its instances are placed elsewhere. Drain it first to do so without a gap.`,
    'removed',
    (client, child) => client.removeChild(kind, child),
  );
}
