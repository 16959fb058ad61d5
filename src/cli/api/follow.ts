/**
 * A watch that outlives its connection. When the orchestrator restarts, or another of its replicas goes on, the watch is
 * opened again and only what became different meanwhile is told: changes, and what is gone. What came and went between
 * the two is not told, except for events, which the orchestrator remembers.
 */
import type { Change } from '../../core/model/views.ts';
import type { ApiClient, WatchKind, WatchMessage } from './api-client.ts';
import { Reopening } from './reopening.ts';
import { ShownEvents } from './shown-events.ts';

export interface FollowOptions {
  /** Told once each time the connection is gone. */
  readonly lost: () => void;
}

export async function* follow(
  client: ApiClient,
  kinds: readonly WatchKind[],
  options: FollowOptions,
): AsyncGenerator<WatchMessage> {
  const known = new Map<string, { readonly change: Exclude<Change, { kind: 'event' }>; readonly text: string }>();
  const events = new ShownEvents();
  const reopening = new Reopening(client.transport.ended, options.lost);
  let synced = false;
  for (let again = false; ; again = true) {
    const seen = new Set<string>();
    let catchingUp = true;
    let end: unknown = null;
    events.beginAgain();
    try {
      for await (const message of client.watch(kinds, { again })) {
        reopening.alive();
        if (message.kind === 'synced') {
          for (const [key, { change }] of known)
            if (!seen.has(key)) {
              known.delete(key);
              yield { ...change, view: null };
            }
          catchingUp = false;
          if (!synced) yield message;
          synced = true;
          continue;
        }
        if (message.kind === 'event') {
          if (catchingUp && events.isToldAgain(message.view)) continue;
          events.add(message.view);
          yield message;
          continue;
        }
        const key = `${message.kind} ${message.name}`;
        seen.add(key);
        const text = JSON.stringify(message.view);
        if (catchingUp && known.get(key)?.text === text) continue;
        if (message.view === null) known.delete(key);
        else known.set(key, { change: message, text });
        yield message;
      }
    } catch (error) {
      end = error;
    }
    await reopening.pause(end);
  }
}
