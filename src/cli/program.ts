/**
 * The command line as a whole: which commands there are, and how one run goes from words to an exit code.
 * Only the command that is called is loaded; the others are known by name and summary, which is all that the
 * help of the whole needs.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { CodedError } from '../core/model/errors.ts';
import { EXIT_CODES, Exit, exitCodeOf } from './exit-codes.ts';
import { durationOption } from './options.ts';
import { reportError } from './report-error.ts';
import type { Shell } from './shell.ts';

/** Adds the command to the program; `shell` is all that its action may touch. */
export type RegisterCommand = (program: Command, shell: Shell) => void;

export interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly group: (typeof GROUPS)[number];
  readonly summary: string;
  readonly load: () => Promise<{ readonly register: RegisterCommand }>;
}

const GROUPS = ['Run:', 'Declare:', 'Look:', 'Change:', 'Machines:', 'This command line:'] as const;

const HELP_GROUP = GROUPS[5];

const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'status',
    group: 'Run:',
    summary: 'show the orchestrator, its parent and what it runs',
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'doctor',
    group: 'Run:',
    summary: 'check the connection and this machine',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'apply',
    group: 'Declare:',
    summary: 'create or change what files declare',
    load: () => import('./commands/apply.ts'),
  },
  {
    name: 'diff',
    group: 'Declare:',
    summary: 'show what apply would change',
    load: () => import('./commands/diff.ts'),
  },
  {
    name: 'delete',
    group: 'Declare:',
    summary: 'stop and forget services',
    load: () => import('./commands/delete.ts'),
  },
  { name: 'get', group: 'Look:', summary: 'list things, or show one', load: () => import('./commands/get.ts') },
  {
    name: 'describe',
    group: 'Look:',
    summary: 'show one thing with all about it, and why it is so',
    load: () => import('./commands/describe.ts'),
  },
  { name: 'logs', group: 'Look:', summary: 'show what instances write', load: () => import('./commands/logs.ts') },
  { name: 'events', group: 'Look:', summary: 'show what happened', load: () => import('./commands/events.ts') },
  {
    name: 'decisions',
    group: 'Look:',
    summary: 'show how places were chosen, and verify the records',
    load: () => import('./commands/decisions.ts'),
  },
  {
    name: 'scale',
    group: 'Change:',
    summary: 'run more or fewer copies of a service',
    load: () => import('./commands/scale.ts'),
  },
  {
    name: 'migrate',
    group: 'Change:',
    summary: 'move an instance to another node or cluster',
    load: () => import('./commands/migrate.ts'),
  },
  {
    name: 'node',
    group: 'Machines:',
    summary: 'list, cordon, drain, promote, demote and remove nodes',
    load: () => import('./commands/node.ts'),
  },
  {
    name: 'cluster',
    group: 'Machines:',
    summary: 'list, cordon, drain and remove clusters',
    load: () => import('./commands/cluster.ts'),
  },
  {
    name: 'token',
    group: 'Machines:',
    summary: 'make, list and revoke tokens',
    load: () => import('./commands/token.ts'),
  },
  {
    name: 'context',
    group: 'This command line:',
    summary: 'list and choose orchestrators to speak to',
    load: () => import('./commands/context.ts'),
  },
  {
    name: 'completion',
    group: 'This command line:',
    summary: 'print a script that completes commands in your shell',
    load: () => import('./commands/completion.ts'),
  },
  {
    name: 'version',
    group: 'This command line:',
    summary: 'print the version',
    load: () => import('./commands/version.ts'),
  },
];

/** What other tools call it, and what does the same or the nearest here. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['ps', 'tendril get instances'],
  ['ls', 'tendril get services'],
  ['pods', 'tendril get instances'],
  ['services', 'tendril get services'],
  ['nodes', 'tendril get nodes'],
  ['top', 'tendril get nodes -o wide'],
  ['run', 'tendril apply -f FILE --wait'],
  ['create', 'tendril apply -f FILE'],
  ['stop', 'tendril scale NAME 0, or tendril delete service NAME'],
  ['rm', 'tendril delete service NAME'],
  ['rollout', 'tendril apply -f FILE --wait, and tendril describe service NAME'],
  ['exec', 'nothing runs in an instance from outside; what it writes: tendril logs NAME'],
]);

/** Flags with a value that may stand before the command's name. */
const GLOBAL_VALUE_FLAGS = new Set(['--context', '--server', '--token', '--ca', '--request-timeout']);

export interface ProgramOptions {
  /** Commands from outside this folder, such as `up`: the composition root adds what needs a whole node. */
  readonly more?: readonly CommandEntry[];
  /** Loads them all: shell completion walks the whole tree. */
  readonly whole?: boolean;
}

/** The program with the command that `words` call loaded and the others named. */
export async function buildProgram(shell: Shell, words: readonly string[], options: ProgramOptions = {}): Promise<Command> {
  const program = new Command('tendril')
    .description('Runs services on machines at the edge: places them, keeps them alive, moves them.')
    .usage('COMMAND [flags]')
    .version(shell.software, '-V, --version', 'print the version')
    .option('--context <name>', 'speak to the orchestrator of this context; TENDRIL_CONTEXT')
    .option('--server <url>', 'speak to this one: https://HOST:PORT; TENDRIL_SERVER')
    .option('--token <token>', 'with this token; TENDRIL_TOKEN')
    .option('--ca <file>', 'whose certificate comes from this CA (PEM); TENDRIL_CA. A token pins its CA without it')
    .addOption(
      new Option('--request-timeout <duration>', 'give a request up after this (default 10s; 30s for an answer)').argParser(
        durationOption,
      ),
    )
    .helpOption('-h, --help', 'show help')
    .addHelpCommand(
      new Command('help').argument('[command]').helpOption(false).helpGroup(HELP_GROUP).summary('show help of a command'),
    )
    .configureHelp({ sortSubcommands: false, helpWidth: Math.min(shell.stdout.columns ?? 100, 100) })
    .configureOutput({
      writeOut: (text) => void shell.stdout.write(text),
      writeErr: (text) => void shell.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text, write) => write(text.replace(/\n+$/, '\n')),
    })
    .exitOverride()
    .addHelpText('after', afterHelp);

  const called = calledCommand(words);
  const entries = [...(options.more ?? []), ...COMMANDS];
  for (const entry of entries.sort((a, b) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group))) {
    if (options.whole || entry.name === called || entry.aliases?.includes(called ?? '')) {
      const { register } = await entry.load();
      register(program, shell);
      program.commands.at(-1)?.helpGroup(entry.group).summary(entry.summary);
    } else {
      program.command(entry.name).summary(entry.summary).helpGroup(entry.group);
    }
  }
  teachErrors(program);
  return program;
}

/** Runs the words after the program's name; resolves to the exit code and never rejects. */
export async function runProgram(words: readonly string[], shell: Shell, options: ProgramOptions = {}): Promise<number> {
  try {
    // Completion asks with words that are not yet a command: it needs the tree, not a parse.
    if (words[0] === '__complete') {
      const { complete } = await import('./complete.ts');
      const program = await buildProgram(shell, words, { ...options, whole: true });
      shell.stdout.write((await complete(program, shell, words.slice(1))).map((line) => `${line}\n`).join(''));
      return EXIT_CODES.ok.code;
    }
    const program = await buildProgram(shell, words, options);
    if (words.length === 0) {
      program.outputHelp();
      return EXIT_CODES.ok.code;
    }
    const elsewhere = ELSEWHERE.get(calledCommand(words) ?? '');
    if (elsewhere !== undefined) {
      shell.stderr.write(`error: unknown command '${calledCommand(words)}'\n  hint: ${elsewhere}\n`);
      return EXIT_CODES.usage.code;
    }
    await program.parseAsync([...words], { from: 'user' });
    return EXIT_CODES.ok.code;
  } catch (error) {
    if (error instanceof Exit) return error.exitCode;
    // Found by an action, so commander has not written it yet.
    if (error instanceof InvalidArgumentError) shell.stderr.write(`error: ${error.message}\n  hint: tendril help\n`);
    // Commander has written what there is to say; help and version come as errors with code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.ok.code : EXIT_CODES.usage.code;
    reportError(shell, error);
    return error instanceof CodedError ? exitCodeOf(error.code) : EXIT_CODES.failed.code;
  }
}

/** A wrong word says where help is. */
function teachErrors(command: Command): void {
  for (const sub of command.commands) teachErrors(sub);
  if (command.parent && command.commands.length === 0)
    command.addHelpText('after', '\nFlags of all commands, such as --context: tendril --help');
  else if (command.parent) command.helpCommand(false);
  command.showHelpAfterError(`  hint: ${fullName(command)} --help`);
}

function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();
}

function calledCommand(words: readonly string[]): string | undefined {
  const plain: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (GLOBAL_VALUE_FLAGS.has(word)) i++;
    else if (!word.startsWith('-')) plain.push(word);
  }
  return plain[0] === 'help' ? plain[1] : plain[0];
}

function afterHelp(): string {
  const codes = Object.values(EXIT_CODES).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
  return `
Exit codes:
${codes.join('\n')}

Environment:
  TENDRIL_CONFIG     file of contexts (default ~/.config/tendril/config.yaml)
  TENDRIL_CONTEXT, TENDRIL_SERVER, TENDRIL_TOKEN, TENDRIL_CA
                     what the flags of these names say; a flag wins over them, they win over the file
  NO_COLOR           no colours

Start here:
  $ tendril up                        a node that is root, cluster and worker at once
  $ tendril apply -f web.yaml --wait  run what the file declares
  $ tendril get services              what runs
  $ tendril describe service web      and why it does not, if so`;
}
