/** `tendril token create | list | revoke` */
import type { Command } from 'commander';
import { formatDuration } from '../../core/base/duration.ts';
import { TOKEN_ROLES, type TokenRole } from '../../core/model/token.ts';
import { withClient } from '../connect.ts';
import { nameOf } from '../kinds.ts';
import { addOutputOption, durationOption, wholeNumber } from '../options.ts';
import type { Shell } from '../shell.ts';
import { type GetFlags, show } from './get.ts';

interface CreateFlags {
  readonly role: TokenRole;
  readonly ttl?: number;
  readonly uses?: number;
  readonly output: 'text' | 'json';
}

/** A token for joining that lies about in a shell history is worth little the day after. */
const JOIN_TTL = '24h';

function ttlOf({ role, ttl }: CreateFlags): string | undefined {
  if (ttl !== undefined) return formatDuration(ttl);
  return role === 'admin' || role === 'viewer' ? undefined : JOIN_TTL;
}

export function register(program: Command, shell: Shell): void {
  const group = program
    .command('token')
    .description('Makes, lists and revokes tokens: what nodes and clusters join with, and what people use.');

  const create = group
    .command('create')
    .description(
      'Makes a token and prints it; it is not shown again.\n\n' +
        'worker: a node joins with it. cluster: a cluster joins with it. admin: may do everything. viewer: may look.',
    );
  create
    .addOption(
      create
        .createOption('--role <role>', 'what it is good for')
        .choices([...TOKEN_ROLES])
        .makeOptionMandatory(),
    )
    .option('--ttl <duration>', 'how long it may be used (default 24h for joining; for people, for ever)', durationOption)
    .option('--uses <n>', 'how many may join with it; without it, any number', wholeNumber)
    .addOption(create.createOption('-o, --output <format>', 'how to show it').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
Examples:
  $ tendril token create --role worker --ttl 1h --uses 1
  $ tendril up --join https://HOST:7443 --token "$(tendril token create --role worker --ttl 10m)"`,
    )
    .action(async (flags: CreateFlags, command: Command) => {
      const created = await withClient(shell, command, (client) =>
        client.createToken({
          role: flags.role,
          ttl: ttlOf(flags),
          uses: flags.uses,
        }),
      );
      shell.stdout.write(flags.output === 'json' ? `${JSON.stringify(created, null, 2)}\n` : `${created.token}\n`);
    });

  addOutputOption(group.command('list'))
    .description('Lists tokens, without their secrets.')
    .action((flags: GetFlags, command: Command) =>
      withClient(shell, command, (client) => show(shell, client, 'token', [], flags)),
    );

  group
    .command('revoke')
    .description('Makes tokens worthless from now on. Who joined with them stays.')
    .argument('<ids...>', 'which: the ID of `tendril token list`')
    .action(async (ids: string[], _flags: unknown, command: Command) => {
      await withClient(shell, command, async (client) => {
        for (const written of ids) {
          const id = nameOf('token', written);
          await client.revokeToken(id);
          shell.stdout.write(`token/${id} revoked\n`);
        }
      });
    });
}
