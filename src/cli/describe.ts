/** The texts of `tendril describe`. */
import type { EventView, InstanceView } from '../core/model/views.ts';
import type { ApiClient, ChildKind } from './api/api-client.ts';
import { formatAge, formatTime } from './output/age.ts';
import { readableBytes, readableCpu, readablePercent } from './output/amounts.ts';
import { type CellContext, endpoints, eventColumns, formatLabels, gridOf, instanceColumns } from './output/columns.ts';
import { formatYaml } from './output/document.ts';
import { type Field, formatFields, indent } from './output/fields.ts';
import { toneOf } from './output/painter.ts';
import { formatTable } from './output/table.ts';
import { printable } from './shell.ts';
import { writtenSpec } from './written-service.ts';

const EVENTS_SHOWN = 10;

export async function describeService(client: ApiClient, name: string, context: CellContext): Promise<string> {
  const [service, instances, events] = await Promise.all([client.service(name), client.instances(name), client.events()]);
  const { nowMs } = context;
  const subjects = new Set([`service/${name}`, ...instances.map((instance) => `instance/${instance.id}`)]);
  return [
    formatFields([
      ['Name', service.name],
      ['State', `${state(service.phase, context)}, ${service.running} of ${service.wanted} running`],
      ...optional('Reason', service.reason),
      ...optional('Labels', formatLabels(service.labels)),
      ...(service.owner === 'parent' ? [['Owner', 'the parent: it declares and deletes it'] as const] : []),
      ['Generation', `${service.generation}, since ${formatAge(nowMs - service.updatedAtMs)}`],
      ['Created', `${formatTime(service.createdAtMs)}, ${formatAge(nowMs - service.createdAtMs)} ago`],
    ]),
    section('Spec', printable(formatYaml(writtenSpec(service.spec)))),
    section(
      'Instances',
      instances.length === 0 ? 'none\n' : formatTable(gridOf(instanceColumns, instances, { ...context, wide: false })),
    ),
    ...instances.filter((instance) => instance.refusals.length > 0).map((instance) => refusals(instance, context)),
    eventSection(events, subjects, context),
  ].join('');
}

export async function describeInstance(client: ApiClient, id: string, context: CellContext): Promise<string> {
  const [instance, events] = await Promise.all([client.instance(id), client.events()]);
  const { nowMs } = context;
  return [
    formatFields([
      ['Name', instance.id],
      ['Service', `${instance.service}, generation ${instance.generation}`],
      ['State', `${state(instance.state, context)} for ${formatAge(nowMs - instance.sinceMs)}`],
      ...optional('Reason', instance.reason),
      ['Node', instance.node || instance.child || 'none yet'],
      ...optional('Addresses', endpoints(instance, true)),
      ['Restarts', String(instance.restarts)],
      ...optional('Exit code', instance.exitCode === null ? '' : String(instance.exitCode)),
      ...optional('Replaces', instance.replaces ?? ''),
      ['Created', `${formatTime(instance.createdAtMs)}, ${formatAge(nowMs - instance.createdAtMs)} ago`],
    ]),
    ...(instance.refusals.length > 0 ? [refusals(instance, context)] : []),
    eventSection(events, new Set([`instance/${id}`]), context),
  ].join('');
}

export async function describeChild(client: ApiClient, kind: ChildKind, name: string, context: CellContext): Promise<string> {
  const [child, events, instances] = await Promise.all([client.child(kind, name), client.events(), client.instances()]);
  const { nowMs } = context;
  const { summary } = child;
  const heard =
    child.lastHeardMs === null ? 'never since the orchestrator started' : `${formatAge(nowMs - child.lastHeardMs)} ago`;
  const here = instances.filter(
    (instance) => instance.child === name || instance.node === name || instance.node.startsWith(`${name}/`),
  );
  const fields: Field[] = [
    ['Name', child.name],
    ['Kind', child.kind],
    ['State', `${state(child.state, context)}, heard ${heard}`],
    ['Version', child.software || 'not known yet'],
    ['Joined', `${formatTime(child.registeredAtMs)}, ${formatAge(nowMs - child.registeredAtMs)} ago`],
  ];
  if (summary) {
    if (kind === 'cluster') fields.push(['Nodes', String(summary.nodes)]);
    fields.push(
      [
        'CPU',
        `${readableCpu(summary.free.cpuMilli)} free of ${readableCpu(summary.total.cpuMilli)}, ${readablePercent(summary.load)} in use`,
      ],
      ['Memory', `${readableBytes(summary.free.memoryBytes)} free of ${readableBytes(summary.total.memoryBytes)}`],
      ['Disk', `${readableBytes(summary.free.diskBytes)} free of ${readableBytes(summary.total.diskBytes)}`],
    );
  }
  return [
    formatFields(fields.map(([field, value]) => [field, value])),
    ...(summary?.groups ?? []).map((group, index, { length }) =>
      section(
        length > 1 ? `Group ${index + 1} of ${length} (nodes alike)` : 'Has',
        formatFields([
          ['Architecture', group.architecture],
          ['Runtimes', group.runtimes.join(', ') || 'none'],
          ...optional('Labels', formatLabels(group.labels)),
          ...optional('Position', group.position ? position(group.position, group.radiusKm) : ''),
          [
            'Fits',
            group.points
              .map(({ free, count }) => `${count} x ${readableCpu(free.cpuMilli)}, ${readableBytes(free.memoryBytes)}`)
              .join('\n'),
          ],
        ]),
      ),
    ),
    section('Instances', here.length === 0 ? 'none\n' : formatTable(gridOf(instanceColumns, here, { ...context, wide: false }))),
    eventSection(events, new Set([`${kind}/${name}`]), context),
  ].join('');
}

function position({ latitude, longitude }: { latitude: number; longitude: number }, radiusKm: number): string {
  return `${latitude}, ${longitude}${radiusKm > 0 ? `, within ${Math.ceil(radiusKm)} km` : ''}`;
}

function state(text: string, { paint }: CellContext): string {
  return paint[toneOf(text)](text);
}

/** Fields from elsewhere are made printable here, once. */
function optional(name: string, value: string): Field[] {
  return value === '' ? [] : [[name, printable(value)]];
}

function section(title: string, text: string): string {
  return `\n${title}:\n${indent(text)}`;
}

function refusals(instance: InstanceView, context: CellContext): string {
  const rows = instance.refusals.map(({ child, kind, detail }) => [child, kind, printable(detail)]);
  const waits = formatAge(context.nowMs - instance.sinceMs);
  return section(`Why ${instance.id} waits (${waits})`, formatTable({ head: ['CANDIDATE', 'LACKS', 'DETAIL'], rows }));
}

function eventSection(events: readonly EventView[], subjects: ReadonlySet<string>, context: CellContext): string {
  const own = events.filter((event) => subjects.has(event.subject));
  if (own.length === 0) return section('Events', 'none remembered\n');
  const shown = own.slice(-EVENTS_SHOWN);
  const title = own.length > shown.length ? `Events (last ${shown.length} of ${own.length})` : 'Events';
  return section(title, formatTable(gridOf(eventColumns, shown, context)));
}
