/**
 * A watch that outlives its connection. When the orchestrator restarts, the watch is opened again and only
 * what became different meanwhile is told: changes, and what is gone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError } from '../../core/model/errors.ts';
import type { Change } from '../../core/model/views.ts';
import { Exit } from '../exit-codes.ts';
import type { ApiClient, WatchKind, WatchMessage } from './api-client.ts';

export interface FollowOptions {
  /** Told once each time the connection is gone. */
  readonly lost: () => void;
}

const RECONNECT_MS = 500;
/** Connections that fail one after the other before the watch gives up: half a minute of an orchestrator that is away. */
const FAILURES_MAX = 60;

export async function* follow(
  client: ApiClient,
  kinds: readonly WatchKind[],
  options: FollowOptions,
): AsyncGenerator<WatchMessage> {
  const known = new Map<string, { readonly change: Change; readonly text: string }>();
  let failures = 0;
  let synced = false;
  for (;;) {
    const seen = new Set<string>();
    let catchingUp = true;
    try {
      for await (const message of client.watch(kinds)) {
        failures = 0;
        if (message.kind === 'synced') {
          for (const [key, { change }] of known)
            if (!seen.has(key) && change.kind !== 'event') {
              known.delete(key);
              yield { ...change, view: null };
            }
          catchingUp = false;
          if (!synced) yield message;
          synced = true;
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
      if (!(error instanceof CodedError) || error.code !== 'unreachable' || !synced || ++failures > FAILURES_MAX) throw error;
    }
    if (client.transport.ended.aborted) throw new Exit('interrupted');
    if (failures <= 1) options.lost();
    await delay(RECONNECT_MS, undefined, { signal: client.transport.ended }).catch(() => {
      throw new Exit('interrupted');
    });
  }
}
