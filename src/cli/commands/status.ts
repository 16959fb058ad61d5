/** `tendril status` */
import type { Command } from 'commander';
import type { StatusView } from '../../core/model/views.ts';
import { withClient } from '../connect.ts';
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
        const status = await client.status();
        shell.stdout.write(
          flags.output === 'json'
            ? `${JSON.stringify(status, null, 2)}\n`
            : formatStatus(status, client.transport.server, shell.nowMs(), painter(wantsColour(shell))),
        );
      }),
    );
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
    ['Parent', parent === null ? 'none' : `${parent.url}, ${parentState(parent, nowMs, paint)}`],
    ['Nodes', connected(nodes)],
    ['Clusters', connected(clusters)],
    ['Services', String(status.services)],
    ['Instances', `${instances.running}/${instances.wanted} running${waiting}`],
    ['Log', `entry ${status.log.index}, snapshot at ${status.log.snapshotIndex}`],
  ]);
}

function parentState(parent: NonNullable<StatusView['parent']>, nowMs: number, paint: Painter): string {
  const since = `for ${formatAge(nowMs - parent.sinceMs)}`;
  if (parent.connected) return `${paint.good('connected')} ${since}`;
  return `${paint.bad('not connected')} ${since}${parent.problem ? `: ${parent.problem}` : ''}`;
}
