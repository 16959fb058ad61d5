/** One picture of the demo's edge as lines of a terminal: what there is, what runs, what to try. Pure, for any size. */
import { formatAge } from '../cli/output/age.ts';
import { type Painter, toneOf } from '../cli/output/painter.ts';
import { printable } from '../cli/shell.ts';
import type { ChildView, EventView, InstanceView } from '../core/model/views.ts';

export interface Scene {
  readonly url: string;
  readonly directory: string;
  /** Clusters and nodes as the plan names them; a node is `garching/n1`. */
  readonly clusters: readonly { readonly name: string; readonly nodes: readonly string[] }[];
  /** By name, those that run. */
  readonly pids: ReadonlyMap<string, number>;
  readonly children: ReadonlyMap<string, ChildView>;
  readonly instances: readonly InstanceView[];
  readonly events: readonly EventView[];
  readonly notes: readonly string[];
  readonly startedAtMs: number;
  readonly nowMs: number;
  /** How old the news is. */
  readonly answeredAtMs: number;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A little more than the pause between two looks. */
const OLD_NEWS_MS = 2_000;
/** Lines that the advice keeps even when there are very many instances. */
const HINTS_KEPT = 7;

/** No more than `rows` lines, each no longer than `columns`, colours aside. */
export function drawFrame(scene: Scene, size: Size, paint: Painter): string[] {
  const fixed = [...drawHead(scene, size, paint), '', ...drawTree(scene, size, paint), ''];
  const hints = drawHints(scene, size, paint);
  const room = size.rows - fixed.length;
  const instances = drawInstances(scene, size, paint, Math.max(3, room - Math.min(hints.length, HINTS_KEPT) - 1));
  const lines = [...fixed, ...instances, ''];
  lines.push(...hints.slice(0, Math.max(0, size.rows - lines.length)));
  const left = size.rows - lines.length - 2;
  if (left >= 2) lines.push('', ...drawEvents(scene, size, paint, left + 1));
  return lines.slice(0, size.rows).map((line) => cut(line, size.columns));
}

function drawHead({ startedAtMs, nowMs, answeredAtMs, clusters, notes }: Scene, size: Size, paint: Painter): string[] {
  const nodes = clusters.flatMap((cluster) => cluster.nodes).length;
  const title = `An edge on this machine: a root, ${clusters.length} clusters, ${nodes} nodes`;
  const right = `${formatAge(nowMs - startedAtMs)}   Ctrl-C ends it`;
  const gap = Math.max(1, size.columns - title.length - right.length);
  const lines = [`${paint.strong(title)}${' '.repeat(gap)}${paint.dim(right)}`];
  if (nowMs - answeredAtMs > OLD_NEWS_MS)
    lines.push(paint.bad(`The root has not answered for ${formatAge(nowMs - answeredAtMs)}; this is what it said last.`));
  for (const note of notes) lines.push(paint.warn(cut(note, size.columns)));
  return lines;
}

/** The root, and below it the clusters side by side: the tree takes few lines. */
function drawTree(scene: Scene, size: Size, paint: Painter): string[] {
  const { clusters, pids, url } = scene;
  const width = Math.floor(size.columns / clusters.length);
  const lines = [`${paint.strong('root')}  ${pidOf(pids, 'root', paint)}  API ${paint.place(url)}`];
  const height = 1 + Math.max(...clusters.map(({ nodes }) => nodes.length));
  for (let row = 0; row < height; row++)
    lines.push(
      clusters
        .map(({ name, nodes }) => {
          if (row === 0) return pad(`${paint.strong(name)}  ${pidOf(pids, name, paint)}  ${stateOf(scene, name, paint)}`, width);
          const node = nodes[row - 1];
          return pad(node === undefined ? '' : drawNode(scene, `${name}/${node}`, width - 2, paint), width);
        })
        .join('')
        .trimEnd(),
    );
  return lines;
}

function drawNode(scene: Scene, name: string, width: number, paint: Painter): string {
  const pid = scene.pids.get(name);
  const left = `  ${name.slice(name.indexOf('/') + 1)}  ${pad(pid === undefined ? paint.bad('dead') : paint.dim(String(pid)), 7)}  ${pad(stateOf(scene, name, paint), 8)} `;
  const runs = scene.instances
    .filter(({ node, state }) => node === name && state !== 'TERMINATED' && state !== 'LOST')
    .map(({ id }) => id);
  return left + cut(runs.join(' '), width - lengthOf(left));
}

function pidOf(pids: ReadonlyMap<string, number>, name: string, paint: Painter): string {
  const pid = pids.get(name);
  return pid === undefined ? paint.bad('dead') : paint.dim(`pid ${pid}`);
}

function stateOf({ children }: Scene, name: string, paint: Painter): string {
  const state = children.get(name)?.state ?? 'unknown';
  return paint[toneOf(state)](state);
}

const INSTANCE_HEAD = ['INSTANCE', 'STATE', 'NODE', 'ADDRESS', 'AGE'];

function drawInstances({ instances, nowMs }: Scene, size: Size, paint: Painter, rows: number): string[] {
  const nameWidth = 2 + Math.min(26, Math.max(14, ...instances.map(({ id }) => id.length)));
  const widths = [nameWidth, 19, 14, Math.max(12, size.columns - nameWidth - 19 - 14 - 6), 6];
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => pad(cell, widths[index] ?? 0))
      .join('')
      .trimEnd();
  const sorted = instances.toSorted((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
  // What is on its way somewhere comes first where not all have room.
  const shown = sorted.length < rows ? sorted : sorted.toSorted(byUrgency).slice(0, rows - 2);
  const lines = [paint.dim(line(INSTANCE_HEAD))];
  for (const { id, state, node, endpoints, reason, sinceMs } of shown) {
    const address = endpoints.map((endpoint) => `${endpoint.address}:${endpoint.port}`).join(' ');
    const told = state === 'RUNNING' || reason === '' ? address : printable(reason).replaceAll('\n', ' ');
    const cells = [
      cut(id, nameWidth - 2),
      paint[toneOf(state)](state),
      cut(node || '-', 13),
      cut(told || '-', (widths[3] ?? 0) - 2),
    ];
    lines.push(line([...cells, formatAge(nowMs - sinceMs)]));
  }
  if (shown.length < sorted.length) lines.push(paint.dim(`and ${sorted.length - shown.length} more`));
  if (sorted.length === 0) lines.push(paint.dim('none'));
  return lines;
}

function byUrgency(a: InstanceView, b: InstanceView): number {
  return Number(a.state === 'RUNNING') - Number(b.state === 'RUNNING');
}

export interface Hint {
  readonly command: string;
  readonly effect: string;
}

/** What to try, the most telling first. */
export function hintsOf({ url, directory, clusters, pids, instances }: Scene): Hint[] {
  const hints: Hint[] = [{ command: `. ${directory}/env`, effect: 'first: the tendril command, for this edge' }];
  const host = instances.find(({ service, state, node }) => service === 'web' && state === 'RUNNING' && pids.has(node));
  if (host) hints.push({ command: `kill -9 ${pids.get(host.node)}`, effect: `${host.node} falls silent: watch ${host.id} move` });
  const names = ['root', ...clusters.flatMap(({ name, nodes }) => [name, ...nodes.map((node) => `${name}/${node}`)])];
  const dead = names.find((name) => !pids.has(name));
  if (dead) hints.push({ command: `tendril up --data-dir $DEMO/${dead.replace('/', '-')}`, effect: `${dead} comes back` });
  hints.push({ command: 'tendril scale web 5', effect: 'more copies' });
  if (host) {
    const elsewhere = clusters.find(({ name }) => !host.node.startsWith(`${name}/`))?.name ?? '';
    hints.push({ command: `tendril migrate ${host.id} --to ${elsewhere}`, effect: 'start there, then stop here' });
  }
  hints.push(
    { command: 'tendril logs web -f', effect: 'what its copies write' },
    { command: `curl -K ${directory}/curl ${url}/v1/services`, effect: '' },
    { command: 'tendril get nodes', effect: 'the machines' },
    { command: 'tendril describe service web', effect: 'all about it, and why' },
  );
  return hints;
}

function drawHints(scene: Scene, size: Size, paint: Painter): string[] {
  const hints = hintsOf(scene);
  const width = Math.min(44, Math.max(...hints.filter(({ effect }) => effect !== '').map(({ command }) => command.length)) + 2);
  return [
    paint.dim('IN ANOTHER TERMINAL'),
    ...hints.map(({ command, effect }) => {
      const room = size.columns - Math.max(width, command.length + 2);
      return effect === '' || room < 8
        ? command
        : `${pad(command, width)}${command.length >= width ? '  ' : ''}${paint.dim(cut(effect, room))}`;
    }),
  ];
}

function drawEvents({ events, nowMs }: Scene, size: Size, paint: Painter, rows: number): string[] {
  const lines = events.slice(-(rows - 1)).map(({ atMs, subject, message, level }) => {
    const text = cut(`${pad(subject, 26)}${printable(message).replaceAll('\n', ' ')}`, size.columns - 8);
    return `${paint.dim(pad(formatAge(nowMs - atMs), 8))}${level === 'warning' ? paint.warn(text) : text}`;
  });
  return lines.length === 0 ? [] : [paint.dim('WHAT HAPPENED'), ...lines];
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour starts with one
const COLOUR = /\u001b\[\d+m/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same
const COLOUR_OR_CHARACTER = /\u001b\[\d+m|./gsu;

/** Colours are of no width. */
function lengthOf(text: string): number {
  return text.replace(COLOUR, '').length;
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - lengthOf(text)));
}

function cut(text: string, width: number): string {
  if (lengthOf(text) <= width) return text;
  let length = 0;
  let kept = '';
  for (const [part] of text.matchAll(COLOUR_OR_CHARACTER)) {
    if (part.length > 1 && part.startsWith('\u001b')) kept += part;
    else if (++length < width) kept += part;
    else if (length === width) kept += '…';
  }
  return kept;
}
