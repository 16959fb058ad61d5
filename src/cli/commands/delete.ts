/** `tendril delete KIND NAME... | -f FILE` */
import type { Command } from 'commander';
import { CodedError } from '../../core/model/errors.ts';
import type { ApiClient } from '../api/api-client.ts';
import { withClient } from '../connect.ts';
import { type Kind, parseReferences, type Reference } from '../kinds.ts';
import { addWaitOptions, fileOption, type WaitFlags } from '../options.ts';
import type { Shell } from '../shell.ts';

interface DeleteFlags extends WaitFlags {
  readonly filename?: readonly string[];
  readonly ignoreNotFound?: boolean;
}

/** Only a service is deleted; machines are removed and tokens revoked, each by a command that says what follows. */
const DELETABLE: readonly Kind[] = ['service'];

export function register(program: Command, shell: Shell): void {
  const command = program
    .command('delete')
    .description(
      'Stops all instances of services and forgets the services.\n\n' +
        'Machines: tendril node remove, tendril cluster remove. Tokens: tendril token revoke.',
    )
    .argument('[kind]', 'service, or service/NAME')
    .argument('[names...]', 'which')
    .option('-f, --filename <file>', 'those that this file declares; may be repeated', fileOption)
    .option('--ignore-not-found', 'what is not there counts as done');
  addWaitOptions(command, 'return when they are gone')
    .addHelpText(
      'after',
      `
Examples:
  $ tendril delete service web api
  $ tendril delete svc/web --wait
  $ tendril delete -f services/ --ignore-not-found`,
    )
    .action(async (kind: string | undefined, names: string[], flags: DeleteFlags, called: Command) => {
      const references = await referencesOf(shell, kind, names, flags.filename);
      await withClient(shell, called, async (client) => {
        for (const { name } of references) await deleteOne(shell, client, name, flags.ignoreNotFound === true);
        if (!flags.wait) return;
        const { waitForServices } = await import('../wait-running.ts');
        await waitForServices(
          client,
          shell,
          references.map(({ name }) => name),
          { timeoutMs: flags.timeout, until: 'gone' },
        );
      });
    });
}

async function referencesOf(
  shell: Shell,
  kind: string | undefined,
  names: readonly string[],
  files: readonly string[] | undefined,
): Promise<readonly Reference[]> {
  if (files === undefined) {
    const references = kind === undefined ? [] : parseReferences([kind, ...names], DELETABLE);
    if (references.length === 0)
      throw new CodedError('invalid_request', 'name what to delete: tendril delete service NAME, or -f FILE');
    return references;
  }
  if (kind !== undefined) throw new CodedError('invalid_request', 'give names or -f, not both');
  const { readManifests } = await import('../manifest/read-manifests.ts');
  const manifests = await readManifests(shell, files);
  return manifests.map(({ resource }) => ({ kind: 'service', name: resource.metadata.name }));
}

async function deleteOne(shell: Shell, client: ApiClient, name: string, ignoreNotFound: boolean): Promise<void> {
  try {
    await client.deleteService(name);
    shell.stdout.write(`service/${name} deleted\n`);
  } catch (error) {
    if (!(ignoreNotFound && error instanceof CodedError && error.code === 'not_found')) throw error;
  }
}
