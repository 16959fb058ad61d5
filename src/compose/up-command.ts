/** The words of `tendril up`, and what it shows. */
import type { Command } from 'commander';
import { chooseDataDirectory } from '../adapters/file-store/data-directory.ts';
import { jsonLogger, LOG_LEVELS, type LogLevel, textLogger } from '../adapters/log-lines/logger.ts';
import { saveContext } from '../cli/context/config-file.ts';
import { Exit } from '../cli/exit-codes.ts';
import type { Shell } from '../cli/shell.ts';
import { parseDurationMs } from '../core/base/duration.ts';
import { parseBytes, parseCores } from '../core/base/quantity.ts';
import { CodedError } from '../core/model/errors.ts';
import { LEADERSHIPS, type Leadership, parseReplicaRole, REPLICA_ROLES, type ReplicaRole } from '../core/model/replicas.ts';
import { PLACEMENT_POLICIES, type PlacementPolicyName, type Position } from '../core/model/service.ts';
import type { Logger } from '../ports/logger.ts';
import { parsePublicUrl } from './listen.ts';
import { type LogFlags, parseLogFlags } from './log-settings.ts';
import { DEFAULT_LISTEN, type RunningNode, up } from './up.ts';

interface Flags extends LogFlags {
  readonly dataDir?: string;
  readonly name?: string;
  readonly join?: string;
  readonly role?: string;
  readonly leadership?: string;
  readonly parent?: string;
  readonly worker: boolean;
  readonly listen?: string;
  readonly advertise?: string[];
  readonly publicUrl?: string;
  readonly broker?: string;
  readonly policy?: string;
  readonly label?: string[];
  readonly position?: string;
  readonly address?: string;
  readonly load?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly certificateLifetime?: string;
  readonly saveContext: string | boolean;
  readonly logFormat?: string;
  readonly logLevel: string;
}

export function register(program: Command, shell: Shell): void {
  program
    .command('up')
    .description('Starts a node. Without flags it is root, cluster and worker at once, and makes what it needs.')
    .option(
      '--data-dir <DIR>',
      'where it keeps everything; TENDRIL_DATA_DIR (default /var/lib/tendril, or ~/.local/share/tendril)',
    )
    .option('--name <NAME>', "its name (default: the machine's)")
    .option('--join <URL>', 'join this orchestrator, as a worker unless --role says more: https://HOST:7443, with --token')
    .option('--role <ROLE>', '... as one of its replicas: voter or learner (RODS: candidate, replica)')
    .option('--parent <URL>', 'be a cluster of this orchestrator: https://HOST:7443, with --token')
    .option('--leadership <MODE>', `of a new orchestrator: ${LEADERSHIPS.join(' or ')} (default standing; docs/replicas.md)`)
    .option('--no-worker', 'orchestrate only: run nothing on this node itself')
    .option('--listen <HOST:PORT>', `where the API listens (default ${DEFAULT_LISTEN}; port 0 picks one)`)
    .option('--advertise <NAMES...>', 'names and addresses by which others reach the API, the best first')
    .option('--public-url <URL>', 'where children and other replicas reach it, behind a forwarded port: https://HOST:PORT')
    .option('--broker <URL>', 'let children take their links to your own MQTT broker: mqtts://HOST:8883')
    .option('--log <URL>', 'keep the log in etcd: etcd://HOST:PORT[,HOST:PORT]/NAME, or etcds:// (docs/etcd.md)')
    .option('--log-ca <FILE>', 'with etcds://: the authority of its certificate (default: those of the system)')
    .option('--log-cert <FILE>', '... and the certificate to show it, with --log-key')
    .option('--log-key <FILE>', "... and that certificate's key")
    .option('--log-user <NAME>', 'as whom to speak to etcd, with --log-password-file')
    .option('--log-password-file <FILE>', "the file with that user's password")
    .option('--policy <POLICY>', `where a service names none: ${PLACEMENT_POLICIES.join(', ')} (default spread)`)
    .option('--label <KEY=VALUE...>', 'labels that placement can ask for')
    .option('--position <LAT,LON>', 'where the machine stands, in degrees')
    .option('--address <ADDRESS>', 'where instances on this node are reached (default: found out)')
    .option('--load <WEIGHTS>', 'what its load is: cpu, memory, or a mean such as cpu=2,memory=1 (default cpu)')
    .option('--cpu <CORES>', 'how much of it work may use (default: all)')
    .option('--memory <SIZE>', 'how much of it work may use (default: all)')
    .option('--certificate-lifetime <TIME>', 'of the certificates that this orchestrator signs (default 90d)')
    .option('--save-context <NAME>', 'name of the context that is written for the CLI (default: its name)')
    .option('--no-save-context', 'write no context')
    .option('--log-format <FORMAT>', 'json or text (default: text at a terminal)')
    .option('--log-level <LEVEL>', LOG_LEVELS.join(', '), 'info')
    .addHelpText(
      'after',
      `
Examples:
  $ tendril up                                             everything on this machine
  $ tendril token create --role worker                     ... then, on another machine:
  $ tendril up --join https://10.0.0.5:7443 --token T      a worker more
  $ tendril up --join https://10.0.0.5:7443 --role voter --token V   a replica more, which can lead
  $ tendril up --parent https://root:7443 --token T        a cluster of that root, also from behind NAT`,
    )
    .action(async (flags: Flags, command: Command) => {
      await runUp(flags, command.optsWithGlobals<{ token?: string }>().token, shell);
    });
}

async function runUp(flags: Flags, tokenFlag: string | undefined, shell: Shell): Promise<void> {
  const directory = await chooseDataDirectory({ option: flags.dataDir, environment: shell.env });
  const level = oneOf(LOG_LEVELS, flags.logLevel, '--log-level') as LogLevel;
  const format = flags.logFormat ?? (shell.stderr.isTTY ? 'text' : 'json');
  const loggerOf = (node: string) =>
    format === 'text' ? textLogger(level, (line) => void shell.stderr.write(line)) : jsonLogger(level, { node });
  let failure: Error | null = null;
  const stopped = new AbortController();
  const node = await up(
    {
      directory,
      name: flags.name,
      join: flags.join,
      role: flags.role === undefined ? undefined : replicaRole(flags.role),
      leadership:
        flags.leadership === undefined ? undefined : (oneOf(LEADERSHIPS, flags.leadership, '--leadership') as Leadership),
      parent: flags.parent,
      token: tokenFlag,
      environmentToken: shell.env.TENDRIL_TOKEN,
      works: flags.worker ? undefined : false,
      listen: flags.listen,
      advertise: flags.advertise,
      publicUrl: flags.publicUrl === undefined ? undefined : parsePublicUrl(flags.publicUrl),
      broker: flags.broker,
      log: parseLogFlags(flags),
      policy:
        flags.policy === undefined ? undefined : (oneOf(PLACEMENT_POLICIES, flags.policy, '--policy') as PlacementPolicyName),
      labels: flags.label && parseLabels(flags.label),
      position: flags.position === undefined ? undefined : parsePosition(flags.position),
      address: flags.address,
      load: flags.load === undefined ? undefined : parseLoad(flags.load),
      cpu: flags.cpu === undefined ? undefined : amount(parseCores, flags.cpu, '--cpu'),
      memory: flags.memory === undefined ? undefined : amount(parseBytes, flags.memory, '--memory'),
      certificateLifetimeMs:
        flags.certificateLifetime === undefined
          ? undefined
          : amount(parseDurationMs, flags.certificateLifetime, '--certificate-lifetime'),
      dockerHost: shell.env.DOCKER_HOST,
    },
    {
      loggerOf,
      software: shell.software,
      onFailure: (error) => {
        failure ??= error;
        stopped.abort();
      },
    },
  );
  const logger = loggerOf(node.profile.name);
  shell.interrupted.addEventListener('abort', () => stopped.abort(), { once: true });
  const context = await announce(node, flags, shell, logger);
  logger.info({ name: node.profile.name, api: node.api?.url ?? '', context }, 'up');
  await ended(stopped.signal);
  if (failure !== null) {
    // What failed (a disk, as a rule) may fail again while closing: say it first.
    logger.error({ problem: (failure as Error).message }, 'cannot go on; instances keep running');
    await node.close().catch(() => undefined);
    throw failure;
  }
  logger.info({}, 'going down; instances keep running');
  await node.close();
  throw new Exit('ok');
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Writes the context and says, to a person, what runs now and what to do next. */
async function announce(node: RunningNode, flags: Flags, shell: Shell, logger: Logger): Promise<string> {
  const { profile, api } = node;
  const has = node.runtimes.filter(({ available }) => available).map(({ name }) => name);
  const lacks = node.runtimes.filter(({ available }) => !available);
  const lines: string[] = [''];
  if (api) {
    if (profile.group)
      lines.push(`  ${profile.name} is up: a replica of ${profile.group.name}${profile.works ? ' and worker' : ''}.`);
    else
      lines.push(
        `  ${profile.name} is up: ${profile.parent ? `a cluster of ${profile.parent.name}` : 'root'}${profile.works ? ' and worker' : ''}.`,
      );
    lines.push(`  API         ${api.url}`);
  } else lines.push(`  ${profile.name} is up: a worker of ${profile.parent?.name} at ${profile.parent?.url}.`);
  lines.push(`  data        ${node.directory}`);
  if (has.length > 0)
    lines.push(
      `  runs        ${has.join(', ')}${lacks.map(({ name, detail }) => `\n  without     ${name}: ${detail}`).join('')}`,
    );
  let contextName = '';
  if (api && api.token !== null && flags.saveContext !== false) {
    contextName = typeof flags.saveContext === 'string' ? flags.saveContext : profile.name;
    const context = { name: contextName, server: api.url, token: api.token, caPem: api.caPem };
    // A cluster on its root's machine must not take the root's place.
    const makeCurrent = node.firstStart && profile.parent === null;
    try {
      await saveContext(context, { makeCurrent }, { env: shell.env, home: shell.home });
    } catch (error) {
      // Whoever has no home that can be written to, or no room there, has an orchestrator that runs all the same.
      const details = error instanceof CodedError ? error.details.map(({ message }) => message) : [];
      logger.warn({ problem: (error as Error).message, details }, 'the context for the CLI could not be written');
      contextName = '';
    }
    lines.push(
      contextName === '' ? '  context     could not be written: see the log' : `  context     ${contextName}, for the CLI`,
      '',
      '  Next:',
      '    tendril status',
      '    tendril apply -f SERVICE.yaml --wait',
      '    tendril token create --role worker    to join another machine; --role voter for one that can lead, too',
    );
  }
  if (shell.stdout.isTTY) shell.stdout.write(`${lines.join('\n')}\n\n`);
  return contextName;
}

function replicaRole(word: string): ReplicaRole {
  const role = parseReplicaRole(word);
  if (role === null) throw new CodedError('invalid_request', `--role ${word}: expected one of ${REPLICA_ROLES.join(', ')}`);
  return role;
}

function oneOf(allowed: readonly string[], value: string, flag: string): string {
  if (allowed.includes(value)) return value;
  throw new CodedError('invalid_request', `${flag} ${value}: expected one of ${allowed.join(', ')}`);
}

function amount(parse: (text: string) => number | null, text: string, flag: string): number {
  const value = parse(text);
  if (value === null || value <= 0)
    throw new CodedError('invalid_request', `${flag} ${text}: expected an amount such as 2, 512Mi or 90d`);
  return value;
}

function parseLoad(text: string): { cpu: number; memory: number } {
  const weights = { cpu: 0, memory: 0 };
  for (const part of text.split(',')) {
    const [, name, weight = '1'] = /^(cpu|memory)(?:=(\d+(?:\.\d+)?))?$/.exec(part) ?? [];
    if (name !== 'cpu' && name !== 'memory') throw badLoad(text);
    weights[name] = Number(weight);
  }
  if (weights.cpu + weights.memory <= 0) throw badLoad(text);
  return weights;
}

function badLoad(text: string): CodedError {
  return new CodedError('invalid_request', `--load ${text}: expected cpu, memory, or weights such as cpu=2,memory=1`);
}

function parseLabels(words: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw new CodedError('invalid_request', `--label ${word}: expected KEY=VALUE`);
    labels[word.slice(0, at)] = word.slice(at + 1);
  }
  return labels;
}

function parsePosition(text: string): Position {
  const [latitude = Number.NaN, longitude = Number.NaN] = text.split(',').map(Number);
  if (Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180) return { latitude, longitude };
  throw new CodedError('invalid_request', `--position ${text}: expected LATITUDE,LONGITUDE such as 48.25,11.65`);
}
