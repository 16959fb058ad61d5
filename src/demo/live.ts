/** The demo as a newcomer watches it: a table that lives on a terminal, lines of what happens anywhere else. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Painter } from '../cli/output/painter.ts';
import { printable } from '../cli/shell.ts';
import type { ChildView, EventView, InstanceView } from '../core/model/views.ts';
import { dataDirectoryOf, type Edge } from './edge.ts';
import { drawFrame, hintsOf, type Scene, type Size } from './frame.ts';
import { ROOT, SITES } from './plan.ts';
import { findNodes } from './processes.ts';
import { Screen } from './screen.ts';

const LOOK_MS = 300;

/** A terminal, or what stands in for one. */
export type Terminal = NodeJS.WriteStream;

interface News {
  readonly children: ReadonlyMap<string, ChildView>;
  readonly instances: readonly InstanceView[];
  readonly events: readonly EventView[];
}

/** Resolves when `signal` aborts. */
export async function showLive(
  edge: Edge,
  notes: readonly string[],
  { output, paint, signal }: { readonly output: Terminal; readonly paint: Painter; readonly signal: AbortSignal },
): Promise<void> {
  const startedAtMs = Date.now();
  let answeredAtMs = startedAtMs;
  let news: News = await look(edge);
  const sceneNow = (): Scene => ({
    ...news,
    url: edge.url,
    directory: edge.directory,
    clusters: SITES.map(({ cluster, nodes }) => ({ name: cluster, nodes })),
    pids: pidsOf(edge.directory),
    notes,
    startedAtMs,
    nowMs: Date.now(),
    answeredAtMs,
  });
  const view = output.isTTY ? new TableView(output, paint) : new LineView(output);
  // Looking may take long when the root is dead; drawing does not wait for it.
  const looking = (async () => {
    while (!signal.aborted) {
      try {
        news = await look(edge);
        answeredAtMs = Date.now();
      } catch {
        // The picture says how old it is.
      }
      await pause(signal);
    }
  })();
  try {
    while (!signal.aborted) {
      view.show(sceneNow());
      await pause(signal);
    }
  } finally {
    view.end();
  }
  await looking;
}

function pause(signal: AbortSignal): Promise<void> {
  return delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
}

async function look({ client }: Edge): Promise<News> {
  const [nodes, clusters, instances, events] = await Promise.all([
    client.nodes(),
    client.clusters(),
    client.instances(),
    client.events(),
  ]);
  return { children: new Map([...nodes.items, ...clusters].map((child) => [child.name, child])), instances, events };
}

function pidsOf(directory: string): ReadonlyMap<string, number> {
  const running = findNodes(directory);
  const names = [ROOT, ...SITES.flatMap(({ cluster, nodes }) => [cluster, ...nodes.map((node) => `${cluster}/${node}`)])];
  return new Map(
    names.flatMap((name) => {
      const pid = running.get(dataDirectoryOf(directory, name));
      return pid === undefined ? [] : [[name, pid] as const];
    }),
  );
}

class TableView {
  readonly #output: Terminal;
  readonly #paint: Painter;
  readonly #screen: Screen;
  #size: Size = { columns: 80, rows: 24 };

  constructor(output: Terminal, paint: Painter) {
    this.#output = output;
    this.#paint = paint;
    this.#screen = new Screen(output);
  }

  show(scene: Scene): void {
    const { columns, rows } = this.#output;
    if (columns !== this.#size.columns || rows !== this.#size.rows) this.#screen.clear();
    this.#size = { columns, rows };
    this.#screen.draw(drawFrame(scene, this.#size, this.#paint));
  }

  end(): void {
    this.#screen.leave();
  }
}

class LineView {
  readonly #output: Terminal;
  readonly #said = new Map<string, string>();
  #first = true;

  constructor(output: Terminal) {
    this.#output = output;
  }

  show(scene: Scene): void {
    if (this.#first) this.#introduce(scene);
    this.#first = false;
    for (const [name, { state }] of scene.children) this.#say(name, state);
    for (const { id, state, node, endpoints, reason } of scene.instances) {
      const at = endpoints.map(({ address, port }) => ` at ${address}:${port}`).join('');
      this.#say(
        id,
        `${state}${node ? ` on ${node}` : ''}${state === 'RUNNING' ? at : ''}${reason ? `: ${printable(reason)}` : ''}`,
      );
    }
  }

  end(): void {}

  #introduce(scene: Scene): void {
    const lines = [`API ${scene.url}`, ...scene.notes, 'In another terminal:'];
    for (const { command, effect } of hintsOf(scene)) lines.push(`  ${command}${effect ? `    # ${effect}` : ''}`);
    this.#output.write(`${lines.join('\n')}\n`);
  }

  #say(name: string, state: string): void {
    if (this.#said.get(name) === state) return;
    this.#said.set(name, state);
    this.#output.write(`${new Date().toISOString().slice(11, 19)} ${name} ${state}\n`);
  }
}
