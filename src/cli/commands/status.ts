/** `tendril status` */
import type { Command } from 'commander';
import { CodedError } from '../../core/model/errors.ts';
import type { GroupView } from '../../core/model/replicas.ts';
import type { StatusView } from '../../core/model/views.ts';
import { withClient } from '../connect.ts';
import { Exit } from '../exit-codes.ts';
import { formatAge } from '../output/age.ts';
import { formatFields } from '../output/fields.ts';
import { type Painter, painter } from '../output/painter.ts';
import { type Shell, wantsColour } from '../shell.ts';

export function register(program: Command, shell: Shell): void {
  const command = program
    .command('status')
    .description('Shows the orchestrator: its parent, its machines and what it runs.')
    .addHelpText('after', '\nExamples:\n  $ tendril status\n  $ tendril --context garching status -o json');
  command
    .addOption(command.createOption('-o, --output <format>', 'how to show it').choices(['text', 'json']).default('text'))
    .action((flags: { output: string }, called: Command) =>
      withClient(shell, called, async (client) => {
        // Where no quorum is, there is nothing to be patient for; during an election there is.
        const first = await client.group().catch(withoutReplicas);
        const isHopeless = first !== null && first.leader === null && !first.paused && !first.quorum;
        const status = isHopeless ? null : await client.status().catch(leaderless);
        if (status === null) {
          const group = isHopeless ? first : await client.group();
          shell.stdout.write(
            flags.output === 'json'
              ? `${JSON.stringify({ group }, null, 2)}\n`
              : formatLeaderless(group, client.transport.server, painter(wantsColour(shell))),
          );
          throw new Exit('failed');
        }
        shell.stdout.write(
          flags.output === 'json'
            ? `${JSON.stringify(status, null, 2)}\n`
            : formatStatus(status, client.transport.server, shell.nowMs(), painter(wantsColour(shell))),
        );
      }),
    );
}

/** An orchestrator whose log is elsewhere has none of its own. */
export function withoutReplicas(error: unknown): null {
  if (error instanceof CodedError && error.code === 'not_found') return null;
  throw error;
}

/** null: the replica answers, and knows of no leader that could. */
function leaderless(error: unknown): null {
  if (error instanceof CodedError && (error.code === 'no_quorum' || error.code === 'not_leading')) return null;
  throw error;
}

export function formatStatus(status: StatusView, server: string, nowMs: number, paint: Painter): string {
  const { parent, nodes, clusters, instances } = status;
  const connected = ({ known, connected: up }: { known: number; connected: number }) => {
    const text = `${known}${known > 0 ? `, ${up} connected` : ''}`;
    return up < known ? paint.warn(text) : text;
  };
  const waiting = instances.waiting > 0 ? `, ${paint.warn(`${instances.waiting} waiting for a place`)}` : '';
  return formatFields([
    ['Orchestrator', `${paint.strong(status.name)} (${status.level}), ${server}`],
    ['Version', `${status.software}, up ${formatAge(nowMs - status.startedAtMs)}`],
    ...(status.group ? [['Replicas', groupText(status.group, paint)] as const] : []),
    ['Parent', parent === null ? 'none' : `${parent.url}, ${parentState(parent, nowMs, paint)}`],
    ['Nodes', connected(nodes)],
    ['Clusters', connected(clusters)],
    ['Services', String(status.services)],
    ['Instances', `${instances.running}/${instances.wanted} running${waiting}`],
    ['Log', `entry ${status.log.index}, snapshot at ${status.log.snapshotIndex}`],
  ]);
}

/** Nobody leads: what can be said then. */
export function formatLeaderless(group: GroupView, server: string, paint: Painter): string {
  const why = group.quorum
    ? 'an election is under way'
    : 'no quorum of the voters can be reached: nothing can be decided; instances keep running';
  return formatFields([
    ['Orchestrator', server],
    ['Leader', paint.bad(`none: ${why}`)],
    ['Replicas', groupText({ ...group, leader: null }, paint)], // a learner may still take one for it
  ]);
}

function groupText({ replicas, leader, leadership, paused }: GroupView, paint: Painter): string {
  const voters = replicas.filter(({ role }) => role === 'voter').length;
  const learners = replicas.filter(({ role }) => role === 'learner').length;
  const away = replicas.filter(({ connected }) => connected === false).map(({ name }) => name);
  const parts = [
    `${voters} ${voters === 1 ? 'voter' : 'voters'}`,
    ...(learners > 0 ? [`${learners} ${learners === 1 ? 'learner' : 'learners'}`] : []),
    ...(leader === null ? [] : [`${leader} leads`]),
    ...(leadership === 'on-demand' ? [paused ? 'on demand, paused' : 'on demand'] : []),
    ...(away.length > 0 ? [paint.warn(`unreachable: ${away.join(', ')}`)] : []),
  ];
  return parts.join(', ');
}

function parentState(parent: NonNullable<StatusView['parent']>, nowMs: number, paint: Painter): string {
  const since = `for ${formatAge(nowMs - parent.sinceMs)}`;
  if (parent.connected) return `${paint.good('connected')} ${since}`;
  return `${paint.bad('not connected')} ${since}${parent.problem ? `: ${parent.problem}` : ''}`;
}
