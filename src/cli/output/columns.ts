/** What a table of each kind shows. `wide` columns come with `-o wide`; the others are stable for scripts. */
import type { ReplicaView } from '../../core/model/replicas.ts';
import type { ChildView, EventView, InstanceView, ServiceView, TokenView } from '../../core/model/views.ts';
import { printable } from '../shell.ts';
import { formatAge } from './age.ts';
import { readableBytes, readableCpu, readablePercent } from './amounts.ts';
import { type Painter, type Tone, toneOf } from './painter.ts';

export interface CellContext {
  readonly nowMs: number;
  readonly paint: Painter;
  readonly wide: boolean;
}

export interface Column<V> {
  readonly head: string;
  readonly wide?: true;
  readonly cell: (view: V, context: CellContext) => string | Toned;
}

export interface Toned {
  readonly text: string;
  readonly tone: Tone;
}

function toned(state: string): Toned {
  return { text: state, tone: toneOf(state) };
}

/** A reason in a narrow table; `-o wide` and `describe` show it whole. */
const REASON_SHOWN = 60;

function reason(text: string, { wide }: CellContext): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return wide || line.length <= REASON_SHOWN ? line : `${line.slice(0, REASON_SHOWN - 1)}…`;
}

const age = (sinceMs: number, { nowMs }: CellContext) => formatAge(nowMs - sinceMs);

export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

export const serviceColumns: readonly Column<ServiceView>[] = [
  { head: 'NAME', cell: (view) => view.name },
  { head: 'STATE', cell: (view) => toned(view.phase) },
  { head: 'RUNNING', cell: (view) => `${view.running}/${view.wanted}` },
  { head: 'RUNTIME', cell: (view) => view.spec.runtime },
  { head: 'CPU', wide: true, cell: (view) => readableCpu(view.spec.resources.cpu * 1000) },
  { head: 'MEMORY', wide: true, cell: (view) => readableBytes(view.spec.resources.memory) },
  { head: 'GENERATION', wide: true, cell: (view) => String(view.generation) },
  { head: 'OWNER', wide: true, cell: (view) => view.owner },
  { head: 'LABELS', wide: true, cell: (view) => formatLabels(view.labels) },
  { head: 'AGE', cell: (view, context) => age(view.createdAtMs, context) },
  { head: 'REASON', cell: (view, context) => reason(view.reason, context) },
];

export const instanceColumns: readonly Column<InstanceView>[] = [
  { head: 'NAME', cell: (view) => view.id },
  { head: 'STATE', cell: (view) => toned(view.state) },
  { head: 'NODE', cell: (view) => view.node || view.child || '' },
  { head: 'ADDRESS', cell: (view, { wide }) => endpoints(view, wide) },
  { head: 'RESTARTS', cell: (view) => String(view.restarts) },
  { head: 'EXIT', wide: true, cell: (view) => (view.exitCode === null ? '' : String(view.exitCode)) },
  { head: 'GENERATION', wide: true, cell: (view) => String(view.generation) },
  { head: 'REPLACES', wide: true, cell: (view) => view.replaces ?? '' },
  { head: 'SINCE', wide: true, cell: (view, context) => age(view.sinceMs, context) },
  { head: 'AGE', cell: (view, context) => age(view.createdAtMs, context) },
  { head: 'REASON', cell: (view, context) => reason(view.reason, context) },
];

/** `10.0.0.5:31000`, `10.0.0.5:31000 +1`; wide: all, by name. */
export function endpoints(view: InstanceView, wide: boolean): string {
  const at = ({ address, port }: { address: string; port: number }) =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  if (wide) return view.endpoints.map((endpoint) => `${endpoint.name}=${at(endpoint)}`).join(',');
  const [first, ...rest] = view.endpoints;
  return first ? `${at(first)}${rest.length > 0 ? ` +${rest.length}` : ''}` : '';
}

const used = (view: ChildView, of: 'cpuMilli' | 'memoryBytes' | 'diskBytes', format: (amount: number) => string) =>
  view.summary ? `${format(view.summary.free[of])}/${format(view.summary.total[of])}` : '';

function distinct(
  view: ChildView,
  of: (group: NonNullable<ChildView['summary']>['groups'][number]) => readonly string[],
): string {
  return [...new Set(view.summary?.groups.flatMap(of) ?? [])].join(',');
}

const childColumns: readonly Column<ChildView>[] = [
  { head: 'CPU FREE', cell: (view) => used(view, 'cpuMilli', readableCpu) },
  { head: 'MEMORY FREE', cell: (view) => used(view, 'memoryBytes', readableBytes) },
  { head: 'DISK FREE', wide: true, cell: (view) => used(view, 'diskBytes', readableBytes) },
  { head: 'LOAD', cell: (view) => (view.summary ? readablePercent(view.summary.load) : '') },
  { head: 'INSTANCES', cell: (view) => String(view.instances) },
  { head: 'ARCH', wide: true, cell: (view) => distinct(view, (group) => [group.architecture]) },
  { head: 'RUNTIMES', wide: true, cell: (view) => distinct(view, (group) => group.runtimes) },
  { head: 'LABELS', wide: true, cell: (view) => distinct(view, (group) => [formatLabels(group.labels)].filter(Boolean)) },
  { head: 'VERSION', wide: true, cell: (view) => view.software },
  { head: 'HEARD', cell: (view, context) => (view.lastHeardMs === null ? 'never' : age(view.lastHeardMs, context)) },
  { head: 'AGE', cell: (view, context) => age(view.registeredAtMs, context) },
];

const childName: readonly Column<ChildView>[] = [
  { head: 'NAME', cell: (view) => view.name },
  { head: 'STATE', cell: (view) => toned(view.state) },
];

export const nodeColumns: readonly Column<ChildView>[] = [...childName, ...childColumns];

export const clusterColumns: readonly Column<ChildView>[] = [
  ...childName,
  { head: 'NODES', cell: (view) => (view.summary ? String(view.summary.nodes) : '') },
  ...childColumns,
];

export const replicaColumns: readonly Column<ReplicaView>[] = [
  { head: 'NAME', cell: (view) => view.name },
  { head: 'ROLE', cell: replicaRole },
  {
    head: 'STATE',
    cell: ({ connected }) =>
      connected === null ? '' : connected ? { text: 'connected', tone: 'good' } : { text: 'unreachable', tone: 'bad' },
  },
  { head: 'BEHIND', cell: (view) => (view.behind === null ? '' : String(view.behind)) },
  { head: 'ADDRESS', cell: (view) => view.url },
  // RODS's words (chapter 3), for those who come from there.
  { head: 'RODS', wide: true, cell: (view) => (view.leads ? 'leader' : view.role === 'voter' ? 'candidate' : 'replica') },
  { head: 'ID', wide: true, cell: (view) => view.id },
];

function replicaRole({ leads, role, wanted }: ReplicaView): string {
  if (leads) return role === 'voter' && wanted === 'voter' ? 'leader' : 'leader, leaving';
  if (role === wanted) return role ?? 'leaving';
  return `${role ?? 'joining'}, to be ${wanted ?? 'removed'}`;
}

export const tokenColumns: readonly Column<TokenView>[] = [
  { head: 'ID', cell: (view) => view.id },
  { head: 'ROLE', cell: (view) => view.role },
  { head: 'USES LEFT', cell: (view) => (view.usesLeft === null ? 'any' : String(view.usesLeft)) },
  {
    head: 'EXPIRES',
    cell: (view, { nowMs }) => {
      if (view.expiresAtMs === null) return 'never';
      return view.expiresAtMs <= nowMs ? { text: 'expired', tone: 'bad' } : `in ${formatAge(view.expiresAtMs - nowMs)}`;
    },
  },
  { head: 'AGE', cell: (view, context) => age(view.createdAtMs, context) },
];

export const eventColumns: readonly Column<EventView>[] = [
  { head: 'AGE', cell: (view, context) => age(view.atMs, context) },
  { head: 'LEVEL', cell: (view) => (view.level === 'warning' ? { text: view.level, tone: 'warn' } : view.level) },
  { head: 'SUBJECT', cell: (view) => view.subject },
  { head: 'MESSAGE', cell: (view) => view.message.replace(/\s+/g, ' ') },
];

export interface Grid {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function gridOf<V>(columns: readonly Column<V>[], views: readonly V[], context: CellContext): Grid {
  const shown = columns.filter((column) => context.wide || !column.wide);
  return {
    head: shown.map((column) => column.head),
    rows: views.map((view) => shown.map((column) => painted(column.cell(view, context), context))),
  };
}

function painted(cell: string | Toned, { paint }: CellContext): string {
  return typeof cell === 'string' ? printable(cell) : paint[cell.tone](printable(cell.text));
}
