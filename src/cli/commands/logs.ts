/** `tendril logs INSTANCE | SERVICE` */
import { once } from 'node:events';
import type { Command } from 'commander';
import { CodedError } from '../../core/model/errors.ts';
import type { ApiClient } from '../api/api-client.ts';
import { followLogs } from '../api/follow-logs.ts';
import { withClient } from '../connect.ts';
import { nameOf } from '../kinds.ts';
import { wholeNumber } from '../options.ts';
import { painter } from '../output/painter.ts';
import { type Output, type Shell, wantsColour } from '../shell.ts';

interface LogFlags {
  readonly follow?: boolean;
  readonly tail?: number;
}

export function register(program: Command, shell: Shell): void {
  program
    .command('logs')
    .description('Shows what an instance wrote, wherever it runs, or all instances of a service, line by line with their names.')
    .argument('<name>', 'instance or service; instance/NAME or service/NAME where both exist')
    .option('-f, --follow', 'go on with what it writes from now, until Ctrl-C')
    .option('--tail <n>', 'begin with the last N lines', wholeNumber)
    .addHelpText('after', '\nExamples:\n  $ tendril logs web-3 --tail 100\n  $ tendril logs web -f')
    .action((name: string, flags: LogFlags, command: Command) =>
      withClient(shell, command, async (client) => {
        const ids = await instancesBehind(client, name);
        const output = (id: string) => {
          if (!flags.follow) return client.logs(id, { follow: false, tail: flags.tail });
          const warn = (text: string) => void shell.stderr.write(`warning: ${id}: ${text}\n`);
          return followLogs(client, id, {
            tail: flags.tail,
            lost: () => warn('the connection broke off; trying again'),
            missing: () => warn('some output is missing here: it is not kept any more'),
          });
        };
        const [only, ...others] = ids;
        if (only !== undefined && others.length === 0) {
          let silent = true;
          for await (const bytes of output(only)) {
            silent = false;
            await write(shell.stdout, bytes);
          }
          if (silent && flags.tail !== 0) shell.stderr.write(`${only} has written nothing yet.\n`);
          return;
        }
        const { place } = painter(wantsColour(shell));
        const width = Math.max(...ids.map((id) => id.length));
        const copy = async (id: string) => {
          const prefix = `${place(id.padEnd(width))} | `;
          for await (const line of linesOf(output(id))) await write(shell.stdout, `${prefix}${line}\n`);
        };
        // One after the other keeps each together; to follow, all at once.
        if (flags.follow) await all(shell, ids, copy);
        else for (const id of ids) await all(shell, [id], copy);
      }),
    );
}

/** An instance that cannot be read (its node is gone, say) does not silence the others. */
async function all(shell: Shell, ids: readonly string[], copy: (id: string) => Promise<void>): Promise<void> {
  await Promise.all(
    ids.map((id) =>
      copy(id).catch((error: unknown) => {
        if (!(error instanceof CodedError)) throw error;
        shell.stderr.write(`warning: ${id}: ${error.message}\n`);
      }),
    ),
  );
}

async function instancesBehind(client: ApiClient, written: string): Promise<string[]> {
  const service = nameOf('service', written);
  if (service === written) {
    const id = nameOf('instance', written);
    try {
      return [(await client.instance(id)).id];
    } catch (error) {
      if (id !== written || !(error instanceof CodedError) || error.code !== 'not_found') throw error;
    }
  }
  const [instances] = await Promise.all([client.instances(service), client.service(service)]);
  const placed = instances.filter((instance) => instance.child !== null);
  if (placed.length === 0) throw new CodedError('not_found', `no instance of ${service} has a place yet`);
  return placed.map((instance) => instance.id);
}

/** A line that never ends is cut into pieces: memory stays bounded. */
const LINE_CHARACTERS_MAX = 64 * 1024;

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > LINE_CHARACTERS_MAX) {
      yield rest;
      rest = '';
    }
  }
  if (rest !== '') yield rest;
}

/** At the reader's pace: a pager that waits holds the stream, not memory. */
async function write(output: Output, data: string | Uint8Array): Promise<void> {
  if (!output.write(data)) await once(output, 'drain');
}
