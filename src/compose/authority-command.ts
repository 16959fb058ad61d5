/** `tendril authority key` */
import { join } from 'node:path';
import type { Command } from 'commander';
import { FileStore } from '../adapters/file-store/store.ts';
import type { Shell } from '../cli/shell.ts';
import { CodedError } from '../core/model/errors.ts';
import { readText } from './documents.ts';
import { CA, readCaKey, readReplicaKey } from './replica-identity.ts';

export function register(program: Command, shell: Shell): void {
  const group = program.command('authority').description("The orchestrator's certificate authority, as a voter's disk has it.");
  group
    .command('key')
    .description(
      'Writes the private key of the authority, in PEM, for signing what Tendril does not sign itself: the certificate of a ' +
        'broker of your own. Whoever has it can be anybody in this cluster.',
    )
    .option('--data-dir <DIR>', 'of a voter, as with `tendril up`')
    .addHelpText('after', '\nExample:\n  $ openssl x509 -req -in broker.csr -CA ca.pem -CAkey <(tendril authority key) ...')
    .action(async ({ dataDir }: { readonly dataDir?: string }) => {
      const directory = await shell.dataDirectory(dataDir);
      const store = new FileStore(join(directory, 'documents'));
      const key = (await readText(store, CA)) === null ? null : await readCaKey(store, await readReplicaKey(store));
      if (key === null) throw new CodedError('not_found', `an authority's key in ${directory}: only voters hold it`);
      shell.stdout.write(key);
    });
}
