/** `tendril describe KIND NAME` */
import type { Command } from 'commander';
import { CodedError } from '../../core/model/errors.ts';
import { withClient } from '../connect.ts';
import { describeChild, describeInstance, describeService } from '../describe.ts';
import { DESCRIBABLE, type Kind, kindNames, parseReferences } from '../kinds.ts';
import type { Shell } from '../shell.ts';
import { cellContext } from './get.ts';

export function register(program: Command, shell: Shell): void {
  program
    .command('describe')
    .description(
      `Shows all about one thing: what was declared, what is, why it is so, and what happened to it.\n\nKinds: ${kindNames(DESCRIBABLE)}.`,
    )
    .argument('<kind>', 'kind, or KIND/NAME')
    .argument('[names...]', 'which')
    .addHelpText(
      'after',
      '\nExamples:\n  $ tendril describe service web     spec, instances, and what each candidate lacks\n  $ tendril describe node garching/n2',
    )
    .action(async (kind: string, names: string[], _flags: unknown, command: Command) => {
      const references = parseReferences([kind, ...names], DESCRIBABLE);
      if (references.length === 0) throw new CodedError('invalid_request', `name the ${kind} to describe`);
      await withClient(shell, command, async (client) => {
        const context = cellContext(shell, 'wide');
        for (const [index, reference] of references.entries()) {
          if (index > 0) shell.stdout.write('\n');
          shell.stdout.write(await describeOne(reference));
        }

        function describeOne({ kind: of, name }: { kind: Kind; name: string }): Promise<string> {
          if (of === 'service') return describeService(client, name, context);
          if (of === 'instance') return describeInstance(client, name, context);
          return describeChild(client, of === 'node' ? 'node' : 'cluster', name, context);
        }
      });
    });
}
