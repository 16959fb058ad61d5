/** What happens: events, and changes of everything else. */
import type { Change, EventView } from '../../core/model/views.ts';
import type { Api, RouteContext } from '../context.ts';
import { EventStream, type ServerSentEvent } from '../event-stream.ts';
import { eventListSchema, eventsQuerySchema, watchQuerySchema } from '../schemas.ts';

const tags = ['watching'];

export function watchRoutes(api: Api, context: RouteContext): void {
  const { backend, streams } = context;

  api.get(
    '/v1/events',
    {
      schema: {
        operationId: 'listEvents',
        summary: 'Events after a sequence number, oldest first, as far as they are kept',
        description:
          'With `Accept: text/event-stream` the answer goes on with what happens, as server-sent events whose id is the sequence number; Last-Event-ID resumes.',
        tags,
        querystring: eventsQuerySchema,
        response: { 200: eventListSchema },
      },
    },
    (request, reply) => {
      const after = request.query.after ?? 0;
      if (!request.headers.accept?.includes('text/event-stream')) {
        void reply.send({ items: [...backend.events(after)] });
        return;
      }
      const resumed = Number(request.headers['last-event-id'] ?? after);
      const signal = streams.enter(reply);
      const told = backend.events(Number.isSafeInteger(resumed) ? resumed : after);
      const stream = new EventStream(reply, signal, map(told, eventMessage), context);
      follow(context, signal, (change) => {
        if (change.kind === 'event') stream.put(change.name, eventMessage(change.view));
      });
      stream.open();
    },
  );

  api.get(
    '/v1/watch',
    {
      schema: {
        operationId: 'watch',
        summary: 'The present state, then its changes, as server-sent events',
        description:
          'First `put` for each thing there is, then `synced`, then `put` and `delete` as they happen. The data is {kind, name, view}. ' +
          'A slow reader may miss states between, never the last one; one that falls far behind gets a last event `error` and is cut off.',
        tags,
        querystring: watchQuerySchema,
        produces: ['text/event-stream'],
      },
    },
    (request, reply) => {
      const kinds = request.query.kind ?? new Set(['service', 'instance', 'child']);
      const signal = streams.enter(reply);
      const stream = new EventStream(reply, signal, presentState(context, kinds), context);
      follow(context, signal, (change) => {
        if (kinds.has(change.kind)) stream.put(`${change.kind}/${change.name}`, changeMessage(change));
      });
      stream.open();
    },
  );
}

function follow(context: RouteContext, signal: AbortSignal, listener: (change: Change) => void): void {
  const unsubscribe = context.backend.subscribe(listener);
  signal.addEventListener('abort', unsubscribe, { once: true });
}

/** The lists are taken at once, before anything can change; the messages are made as the reader takes them. */
function presentState(context: RouteContext, kinds: ReadonlySet<string>): Iterable<ServerSentEvent> {
  const { backend } = context;
  const services = kinds.has('service') ? backend.services() : [];
  const instances = kinds.has('instance') ? backend.instances() : [];
  const children = kinds.has('child') ? backend.children() : [];
  const events = kinds.has('event') ? backend.events(0) : [];
  return (function* () {
    for (const view of services) yield changeMessage({ kind: 'service', name: view.name, view });
    for (const view of instances) yield changeMessage({ kind: 'instance', name: view.id, view });
    for (const view of children) yield changeMessage({ kind: 'child', name: view.name, view });
    for (const view of events) yield changeMessage({ kind: 'event', name: String(view.sequence), view });
    yield { event: 'synced', data: {} };
  })();
}

function changeMessage(change: Change): ServerSentEvent {
  if (change.view !== null) return { event: 'put', data: change };
  return { event: 'delete', data: { kind: change.kind, name: change.name } };
}

function eventMessage(view: EventView): ServerSentEvent {
  return { event: 'event', id: view.sequence, data: view };
}

function* map<T, U>(items: Iterable<T>, change: (item: T) => U): Iterable<U> {
  for (const item of items) yield change(item);
}
