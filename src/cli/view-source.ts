/** For each kind: where its views come from, and how one shows as a row, a document and a name. */

import { CodedError } from '../core/model/errors.ts';
import type { ReplicaView } from '../core/model/replicas.ts';
import type { Change, ChildView, EventView, InstanceView, ServiceView, TokenView } from '../core/model/views.ts';
import type { ApiClient, WatchKind } from './api/api-client.ts';
import type { Kind } from './kinds.ts';
import {
  type CellContext,
  type Column,
  clusterColumns,
  eventColumns,
  type Grid,
  gridOf,
  instanceColumns,
  nodeColumns,
  replicaColumns,
  serviceColumns,
  tokenColumns,
} from './output/columns.ts';
import type { Labels } from './selector.ts';
import { writtenService } from './written-service.ts';

/** One thing, ready to be shown in whatever form. */
export interface Entry {
  readonly name: string;
  readonly view: unknown;
  /** What a selector looks at: any of these may match (a cluster has many nodes). */
  readonly labels: readonly Labels[];
  /** The service whose labels count as its own. */
  readonly service: string | null;
  /** What YAML shows: of a service the manifest that would make it. */
  document(): unknown;
  grid(context: CellContext): Grid;
}

export interface ViewSource {
  readonly watchKind: WatchKind | null;
  head(context: CellContext): Grid;
  /** All, or those of these names; a name that is not there throws `not_found`. `notes` gets what the answer lacks. */
  load(client: ApiClient, names: readonly string[], service: string | undefined, notes: string[]): Promise<Entry[]>;
  /** null when the change is about another kind; a view of null means that it is gone. */
  fromChange(change: Change): { readonly name: string; readonly entry: Entry | null } | null;
}

interface Definition<V> {
  readonly columns: readonly Column<V>[];
  readonly name: (view: V) => string;
  readonly labels?: (view: V) => readonly Labels[];
  readonly service?: (view: V) => string;
  readonly document?: (view: V) => unknown;
  readonly all: (client: ApiClient, service: string | undefined, notes: string[]) => Promise<readonly V[]>;
  readonly one: (client: ApiClient, name: string) => Promise<V>;
  readonly watchKind: WatchKind | null;
  readonly ofChange: (change: Change) => V | 'gone' | null;
}

function sourceOf<V>(definition: Definition<V>): ViewSource {
  const entry = (view: V): Entry => ({
    name: definition.name(view),
    view,
    labels: definition.labels?.(view) ?? [],
    service: definition.service?.(view) ?? null,
    document: () => definition.document?.(view) ?? view,
    grid: (context) => gridOf(definition.columns, [view], context),
  });
  return {
    watchKind: definition.watchKind,
    head: (context) => gridOf(definition.columns, [], context),
    load: async (client, names, service, notes) => {
      const views =
        names.length === 0
          ? await definition.all(client, service, notes)
          : await Promise.all(names.map((name) => definition.one(client, name)));
      return views.map(entry);
    },
    fromChange: (change) => {
      const view = definition.ofChange(change);
      if (view === null) return null;
      return { name: change.name, entry: view === 'gone' ? null : entry(view) };
    },
  };
}

function childLabels(view: ChildView): readonly Labels[] {
  return view.summary?.groups.map((group) => group.labels) ?? [];
}

function childOfChange(kind: ChildView['kind']) {
  return (change: Change) => {
    if (change.kind !== 'child') return null;
    if (change.view === null) return 'gone';
    return change.view.kind === kind ? change.view : null;
  };
}

async function only<V>(views: Promise<readonly V[]>, matches: (view: V) => boolean, what: string): Promise<V> {
  const found = (await views).find(matches);
  if (!found) throw new CodedError('not_found', what);
  return found;
}

const SOURCES: Readonly<Record<Kind, ViewSource>> = {
  service: sourceOf<ServiceView>({
    columns: serviceColumns,
    name: (view) => view.name,
    labels: (view) => [view.labels],
    document: (view) => writtenService(view.name, view),
    all: (client) => client.services(),
    one: (client, name) => client.service(name),
    watchKind: 'service',
    ofChange: (change) => (change.kind === 'service' ? (change.view ?? 'gone') : null),
  }),
  instance: sourceOf<InstanceView>({
    columns: instanceColumns,
    name: (view) => view.id,
    service: (view) => view.service,
    all: (client, service) => client.instances(service),
    one: (client, name) => client.instance(name),
    watchKind: 'instance',
    ofChange: (change) => (change.kind === 'instance' ? (change.view ?? 'gone') : null),
  }),
  node: sourceOf<ChildView>({
    columns: nodeColumns,
    name: (view) => view.name,
    labels: childLabels,
    all: async (client, _service, notes) => {
      const { items, unanswered } = await client.nodes();
      for (const { cluster, reason } of unanswered) notes.push(`the nodes of ${cluster} are missing: ${reason}`);
      return items;
    },
    one: (client, name) => client.child('node', name),
    watchKind: 'child',
    ofChange: childOfChange('node'),
  }),
  cluster: sourceOf<ChildView>({
    columns: clusterColumns,
    name: (view) => view.name,
    labels: childLabels,
    all: (client) => client.clusters(),
    one: (client, name) => client.child('cluster', name),
    watchKind: 'child',
    ofChange: childOfChange('cluster'),
  }),
  replica: sourceOf<ReplicaView>({
    columns: replicaColumns,
    name: (view) => view.name,
    all: async (client) => (await client.group()).replicas,
    one: (client, name) =>
      only(
        client.group().then(({ replicas }) => replicas),
        (view) => view.name === name,
        `replica ${name}`,
      ),
    watchKind: null,
    ofChange: () => null,
  }),
  token: sourceOf<TokenView>({
    columns: tokenColumns,
    name: (view) => view.id,
    all: (client) => client.tokens(),
    one: (client, name) => only(client.tokens(), (view) => view.id === name, `token ${name}`),
    watchKind: null,
    ofChange: () => null,
  }),
  event: sourceOf<EventView>({
    columns: eventColumns,
    name: (view) => String(view.sequence),
    all: (client) => client.events(),
    one: (client, name) => only(client.events(), (view) => String(view.sequence) === name, `event ${name}`),
    watchKind: 'event',
    ofChange: (change) => (change.kind === 'event' ? change.view : null),
  }),
};

export function viewSource(kind: Kind): ViewSource {
  return SOURCES[kind];
}
