/**
 * What may come next on a command line, for the shells' completion scripts: lines of a word, a tab and what it
 * is. Names come from the orchestrator, if it answers at once.
 */
import type { Argument, Command, Option } from 'commander';
import { ApiClient } from './api/api-client.ts';
import { Transport } from './api/transport.ts';
import { loadConfig } from './context/config-file.ts';
import { chooseTarget } from './context/target.ts';
import { DESCRIBABLE, KINDS, type Kind, parseKind } from './kinds.ts';
import type { Shell } from './shell.ts';
import { viewSource } from './view-source.ts';

/** A person waits for the completion with a finger on the key. */
const PATIENCE_MS = 1_000;

/** `words`: those after the program's name; the last is the one being written, perhaps empty. */
export async function complete(program: Command, shell: Shell, words: readonly string[]): Promise<string[]> {
  const written = words.at(-1) ?? '';
  let command = program;
  const values: string[] = [];
  let open: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (open) {
      open = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      const option = optionsOf(command).find((known) => known.short === word || known.long === word);
      open = option?.required ? option : undefined;
      continue;
    }
    const sub = command.commands.find((known) => known.name() === word);
    if (sub && values.length === 0) command = sub;
    else values.push(word);
  }
  const candidates = open ? await ofOption(shell, open) : await ofPosition(shell, command, values, written);
  return candidates.filter((candidate) => candidate.startsWith(written));
}

function optionsOf(command: Command): readonly Option[] {
  return command.parent ? [...command.options, ...optionsOf(command.parent)] : command.options;
}

async function ofOption(shell: Shell, option: Option): Promise<string[]> {
  if (option.argChoices) return option.argChoices;
  if (option.long === '--context') return (await loadConfig(shell)).contexts.map((context) => context.name);
  if (option.long === '--service') return names(shell, 'service');
  if (option.long === '--to') return [...(await names(shell, 'node')), ...(await names(shell, 'cluster'))];
  return [];
}

async function ofPosition(shell: Shell, command: Command, values: readonly string[], written: string): Promise<string[]> {
  if (written.startsWith('-'))
    return optionsOf(command)
      .filter((option) => option.long && !option.hidden)
      .map((option) => `${option.long}\t${option.description}`);
  const visible = command.commands.filter((sub) => !sub.name().startsWith('_'));
  if (visible.length > 0)
    return values.length > 0 ? [] : visible.map((sub) => `${sub.name()}\t${sub.summary() || sub.description()}`);
  const argument = command.registeredArguments[values.length] ?? command.registeredArguments.at(-1);
  return argument ? ofArgument(shell, command, argument, values) : [];
}

async function ofArgument(shell: Shell, command: Command, argument: Argument, values: readonly string[]): Promise<string[]> {
  if (argument.argChoices) return argument.argChoices;
  const group = command.parent?.name();
  if (group === 'node' || group === 'cluster' || group === 'token') return names(shell, group);
  if (group === 'context') return (await loadConfig(shell)).contexts.map((context) => context.name);
  switch (argument.name()) {
    case 'kind':
      if (command.name() === 'delete') return ['service'];
      return (command.name() === 'describe' ? DESCRIBABLE : KINDS).map((kind) => `${kind}s`);
    case 'names':
      return names(shell, parseKind(values[0] ?? ''));
    case 'service':
      return names(shell, 'service');
    case 'instance':
      return names(shell, 'instance');
    case 'name':
      return [...(await names(shell, 'service')), ...(await names(shell, 'instance'))];
    default:
      return [];
  }
}

async function names(shell: Shell, kind: Kind): Promise<string[]> {
  // Not AbortSignal.any with AbortSignal.timeout: Node 20 may collect the timeout before it fires.
  const hurry = new AbortController();
  const timer = setTimeout(() => hurry.abort(), PATIENCE_MS);
  try {
    const client = new ApiClient(new Transport(await chooseTarget(shell, {}), hurry.signal));
    try {
      return (await viewSource(kind).load(client, [], undefined, [])).map((entry) => entry.name);
    } finally {
      await client.close();
    }
  } catch {
    // No orchestrator, no names: a completion is no place for an error.
    return [];
  } finally {
    clearTimeout(timer);
  }
}
