/** `tendril decisions list | show | verify` */
import { type Command, Option } from 'commander';
import { limits } from '../../core/base/limits.ts';
import type { ChainVerdict, DecisionRecord } from '../../core/model/decisions.ts';
import { CodedError } from '../../core/model/errors.ts';
import { withClient } from '../connect.ts';
import { formatDecision, formatDecisions, formatVerdict } from '../decisions.ts';
import { Exit } from '../exit-codes.ts';
import { addOutputOption, type OutputFormat, wholeNumber } from '../options.ts';
import type { Shell } from '../shell.ts';
import { cellContext } from './get.ts';

interface Flags {
  readonly output: OutputFormat | 'text';
  readonly dataDir?: string;
}

/** An orchestrator that answers, or the data directory of one that does not run. */
interface Source {
  list(limit: number, after?: number): Promise<readonly DecisionRecord[]>;
  record(number: number): Promise<DecisionRecord>;
  verify(): Promise<ChainVerdict>;
}

export function register(program: Command, shell: Shell): void {
  const group = program
    .command('decisions')
    .description('Shows how places were chosen: each placement leaves a record that builds on the one before by its hash.');

  addSourceOption(addOutputOption(group.command('list'), ['table', 'wide', 'json']))
    .description('Lists the newest records, oldest first.')
    .option('--limit <n>', 'how many at most', wholeNumber, 50)
    .option('--after <number>', 'those after this one, instead of the newest', wholeNumber)
    .addHelpText('after', '\nExamples:\n  $ tendril decisions list\n  $ tendril decisions list --data-dir ./copy -o wide')
    .action(async (flags: Flags & { limit: number; after?: number }, command: Command) => {
      const limit = Math.max(1, Math.min(flags.limit, limits.decisionRecords));
      const records = await from(shell, command, flags, (source) => source.list(limit, flags.after));
      if (flags.output === 'json') writeJson(shell, { items: records });
      else if (records.length > 0) shell.stdout.write(formatDecisions(records, cellContext(shell, tableOf(flags))));
      else shell.stderr.write('There are no decisions.\n');
    });

  addSourceOption(addTextOption(group.command('show')))
    .description('Shows one decision: the candidates that were seen, and why this one.')
    .argument('<number>', 'the NUMBER of `tendril decisions list`', wholeNumber)
    .action(async (number: number, flags: Flags, command: Command) => {
      const record = await from(shell, command, flags, (source) => source.record(number));
      if (flags.output === 'json') writeJson(shell, record);
      else shell.stdout.write(formatDecision(record, cellContext(shell, 'wide')));
    });

  addSourceOption(addTextOption(group.command('verify')))
    .description('Recomputes the hashes of all records that are kept; exit code 1 when one is not as it was made.')
    .action(async (flags: Flags, command: Command) => {
      const verdict = await from(shell, command, flags, (source) => source.verify());
      if (flags.output === 'json') writeJson(shell, verdict);
      else shell.stdout.write(formatVerdict(verdict, cellContext(shell, 'table')));
      if (!verdict.ok) throw new Exit('failed');
    });
}

function addSourceOption(command: Command): Command {
  return command.option('--data-dir <dir>', 'read the data directory of an orchestrator that does not run, or a copy of one');
}

function addTextOption(command: Command): Command {
  return command.addOption(new Option('-o, --output <format>', 'how to show it').choices(['text', 'json']).default('text'));
}

function tableOf({ output }: Flags): OutputFormat {
  return output === 'wide' ? 'wide' : 'table';
}

function writeJson(shell: Shell, value: unknown): void {
  shell.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

async function from<T>(shell: Shell, command: Command, { dataDir }: Flags, read: (source: Source) => Promise<T>): Promise<T> {
  if (dataDir === undefined)
    return withClient(shell, command, (client) =>
      read({
        list: (limit, after) => client.decisions(limit, after),
        record: (number) => client.decision(number),
        verify: () => client.verifyDecisions(),
      }),
    );
  const stored = await shell.storedDecisions(await shell.dataDirectory(dataDir));
  return read({
    list: async (limit, after) => stored.list(limit, after),
    record: async (number) => {
      const record = stored.record(number);
      if (record === null) throw new CodedError('not_found', `decision ${number}`);
      return record;
    },
    verify: async () => stored.verify(),
  });
}
