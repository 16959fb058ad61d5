/** `tendril get KIND [NAME...]` */
import type { Command } from 'commander';
import { CodedError } from '../../core/model/errors.ts';
import type { ApiClient } from '../api/api-client.ts';
import { follow } from '../api/follow.ts';
import { withClient } from '../connect.ts';
import { KINDS, type Kind, kindNames, nameOf, parseKind, parseReferences } from '../kinds.ts';
import { addOutputOption, type OutputFormat } from '../options.ts';
import type { CellContext, Grid } from '../output/columns.ts';
import { painter } from '../output/painter.ts';
import { formatTable, widthsOf } from '../output/table.ts';
import { type Labels, parseSelector, type Selector } from '../selector.ts';
import { printable, type Shell, wantsColour } from '../shell.ts';
import { type Entry, type ViewSource, viewSource } from '../view-source.ts';

export interface GetFlags {
  readonly output: OutputFormat;
  readonly selector?: Selector;
  readonly service?: string;
  readonly watch?: boolean;
}

export function register(program: Command, shell: Shell): void {
  addOutputOption(program.command('get'))
    .description(`Lists things, or shows those of the given names.\n\nKinds: ${kindNames()}.`)
    .argument('<kind>', 'kind, or KIND/NAME')
    .argument('[names...]', 'only these')
    .option('-l, --selector <labels>', 'only those with these labels: app=web,site in (a,b),!old', parseSelector)
    .option('--service <name>', 'only instances of this service')
    .option('-w, --watch', 'show changes as they happen, until Ctrl-C')
    .addHelpText(
      'after',
      `
Examples:
  $ tendril get services
  $ tendril get inst --service web -w        its instances, and each change
  $ tendril get nodes -o wide -l site=north
  $ tendril get service web -o yaml > web.yaml
                                             a file that \`tendril apply\` takes
  $ tendril get inst -o json | jq -r '.items[].node'`,
    )
    .action(async (kind: string, names: string[], flags: GetFlags, command: Command) => {
      const references = parseReferences([kind, ...names], KINDS);
      const kinds = new Set(references.map((reference) => reference.kind));
      const chosen = references[0]?.kind ?? parseKind(kind);
      if (kinds.size > 1) throw new CodedError('invalid_request', 'one kind at a time');
      await withClient(shell, command, (client) =>
        show(
          shell,
          client,
          chosen,
          references.map((reference) => reference.name),
          flags,
        ),
      );
    });
}

/** What `tendril get` does once the words are read; `node list` and the like are the same. */
export async function show(
  shell: Shell,
  client: ApiClient,
  kind: Kind,
  names: readonly string[],
  flags: GetFlags,
): Promise<void> {
  const source = viewSource(kind);
  const service = flags.service === undefined ? undefined : nameOf('service', flags.service);
  if (service !== undefined && kind !== 'instance') throw new CodedError('invalid_request', '--service is for instances');
  if (flags.selector && (kind === 'token' || kind === 'event'))
    throw new CodedError('invalid_request', `a ${kind} has no labels`);
  const matches = await filterOf(client, kind, names, service, flags.selector);
  if (flags.watch) return watch(shell, client, source, matches, flags.output, kind);

  const notes: string[] = [];
  const entries = (await source.load(client, names, service, notes)).filter(matches);
  shell.stdout.write(await formatEntries(shell, source, kind, entries, names.length === 1, flags.output));
  if (entries.length === 0 && isTable(flags.output))
    shell.stderr.write(`There are no ${kind}s${flags.selector ? ' with these labels' : ''}.\n`);
  for (const note of notes) shell.stderr.write(`warning: ${printable(note)}\n`);
}

type Matches = (entry: Entry) => boolean;

async function filterOf(
  client: ApiClient,
  kind: Kind,
  names: readonly string[],
  service: string | undefined,
  selector: Selector | undefined,
): Promise<Matches> {
  // An instance has its service's labels.
  const ofServices = new Map<string, Labels>();
  if (selector && kind === 'instance') for (const view of await client.services()) ofServices.set(view.name, view.labels);
  return (entry) => {
    if (names.length > 0 && !names.includes(entry.name)) return false;
    if (service !== undefined && entry.service !== service) return false;
    if (!selector) return true;
    const labels = entry.service === null ? entry.labels : [ofServices.get(entry.service) ?? {}];
    return labels.some(selector);
  };
}

function isTable(output: OutputFormat): boolean {
  return output === 'table' || output === 'wide';
}

export function cellContext(shell: Shell, output: OutputFormat): CellContext {
  return { nowMs: shell.nowMs(), paint: painter(wantsColour(shell)), wide: output === 'wide' };
}

async function formatEntries(
  shell: Shell,
  source: ViewSource,
  kind: Kind,
  entries: readonly Entry[],
  single: boolean,
  output: OutputFormat,
): Promise<string> {
  if (output === 'name') return entries.map((entry) => `${kind}/${entry.name}\n`).join('');
  if (output === 'json')
    return `${JSON.stringify(single ? entries[0]?.view : { items: entries.map((entry) => entry.view) }, null, 2)}\n`;
  if (output === 'yaml') {
    const { formatYamlDocuments } = await import('../output/document.ts');
    return formatYamlDocuments(entries.map((entry) => entry.document()));
  }
  if (entries.length === 0) return '';
  return formatTable(gridOfEntries(source, entries, cellContext(shell, output)));
}

function gridOfEntries(source: ViewSource, entries: readonly Entry[], context: CellContext): Grid {
  return { head: source.head(context).head, rows: entries.flatMap((entry) => entry.grid(context).rows) };
}

/** First what is there, then a row (JSON: a line, YAML: a document) for each change. */
async function watch(
  shell: Shell,
  client: ApiClient,
  source: ViewSource,
  matches: Matches,
  output: OutputFormat,
  kind: Kind,
): Promise<void> {
  if (source.watchKind === null) throw new CodedError('invalid_request', `${kind}s cannot be watched`);
  const known = new Map<string, Entry>();
  let widths: number[] | null = null;
  const lost = () => void shell.stderr.write('warning: the connection broke off; trying again\n');
  for await (const message of follow(client, [source.watchKind], { lost })) {
    const context = cellContext(shell, output);
    if (message.kind === 'synced') {
      const grid = gridOfEntries(source, [...known.values()], context);
      widths = widthsOf(grid);
      if (isTable(output)) shell.stdout.write(formatTable(grid));
      else for (const entry of known.values()) shell.stdout.write(await formatChange(kind, entry, output));
      continue;
    }
    const change = source.fromChange(message);
    if (change === null) continue;
    const before = known.get(change.name);
    const entry = change.entry ?? before;
    if (!entry || !matches(entry)) continue;
    if (change.entry) known.set(change.name, change.entry);
    else known.delete(change.name);
    if (widths === null) continue;
    if (!isTable(output)) {
      if (change.entry) shell.stdout.write(await formatChange(kind, entry, output));
      continue;
    }
    const [row = []] = entry.grid(context).rows;
    const cells = change.entry ? row : row.map((cell, index) => (index === STATE_COLUMN ? 'GONE' : cell));
    shell.stdout.write(formatTable({ head: [], rows: [cells] }, widths));
  }
}

/** The second column of all kinds that go away. */
const STATE_COLUMN = 1;

async function formatChange(kind: Kind, entry: Entry, output: OutputFormat): Promise<string> {
  if (output === 'name') return `${kind}/${entry.name}\n`;
  if (output === 'json') return `${JSON.stringify(entry.view)}\n`;
  const { formatYaml } = await import('../output/document.ts');
  return `---\n${formatYaml(entry.document())}`;
}
