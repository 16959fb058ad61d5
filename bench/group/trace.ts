/**
 * What happens inside a replica, and when, seen from around its log: every message as it leaves for the link or comes
 * from it, and every write from its order until it is durable. Nothing of what is measured is changed for it.
 */
import type { PeerMessage } from '../../src/core/raft/messages.ts';
import type { RaftLogComponents } from '../../src/node/raft-log-components.ts';
import type { PeerLink } from '../../src/ports/peer-link.ts';
import type { RaftStorage } from '../../src/ports/raft-storage.ts';
import { machineMs } from '../parts/machine-clock.ts';

/** Of a request, or of one that was forwarded, by its id. */
export type RequestStep = 'received' | 'parsed' | 'wanted' | 'forwarded' | 'choosing' | 'chosen' | 'committed' | 'deployed';

export type TraceEvent =
  | { readonly atMs: number; readonly what: RequestStep; readonly id: string; readonly term: number; readonly index: number }
  | {
      readonly atMs: number;
      readonly what: 'sent' | 'heard';
      readonly peer: string;
      readonly type: PeerMessage['type'];
      readonly term: number;
      /** The last entry that an append carries or that an answer agrees to; null without. */
      readonly index: number | null;
    }
  | { readonly atMs: number; readonly what: 'written'; readonly beganAtMs: number; readonly from: number; readonly to: number };

export class Trace {
  #events: TraceEvent[] = [];
  isOn = false;

  add(event: TraceEvent): void {
    if (this.isOn) this.#events.push(event);
  }

  step(what: RequestStep, id: string, term = 0, index = 0): void {
    this.add({ atMs: machineMs(), what, id, term, index });
  }

  take(): readonly TraceEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  around(components: RaftLogComponents): RaftLogComponents {
    const messages = new WeakMap<Uint8Array, PeerMessage>();
    let from = '';
    const { frames, link, storage } = components;
    return {
      ...components,
      frames: {
        encode: (message) => {
          const frame = frames.encode(message);
          messages.set(frame, message);
          return frame;
        },
        decode: (frame) => {
          const message = frames.decode(frame);
          if (message) this.#message('heard', from, message);
          return message;
        },
      },
      link: this.#aroundLink(link, messages, (peer) => {
        from = peer;
      }),
      storage: this.#aroundStorage(storage),
    };
  }

  #aroundLink(link: PeerLink, messages: WeakMap<Uint8Array, PeerMessage>, hear: (peer: string) => void): PeerLink {
    return {
      open: (listener) =>
        link.open({
          connected: (peer) => listener.connected(peer),
          disconnected: (peer) => listener.disconnected(peer),
          received: (peer, frame) => {
            hear(peer);
            listener.received(peer, frame);
          },
        }),
      setPeers: (membership) => link.setPeers(membership),
      send: (peer, frame) => {
        const message = messages.get(frame);
        if (message) this.#message('sent', peer, message);
        link.send(peer, frame);
      },
      refuse: (peer) => link.refuse(peer),
      close: () => link.close(),
    };
  }

  #aroundStorage(storage: RaftStorage): RaftStorage {
    return {
      load: () => storage.load(),
      persist: async (hard, entries) => {
        const beganAtMs = machineMs();
        await storage.persist(hard, entries);
        const [from = 0, to = 0] = [entries[0]?.index, entries.at(-1)?.index];
        this.add({ atMs: machineMs(), what: 'written', beganAtMs, from, to });
      },
      readEntries: (fromIndex, toIndex, bytes) => storage.readEntries(fromIndex, toIndex, bytes),
      takeSnapshot: (head, content, keepFromIndex) => storage.takeSnapshot(head, content, keepFromIndex),
      readPiece: (index, piece) => storage.readPiece(index, piece),
      readSnapshot: () => storage.readSnapshot(),
      keepPiece: (head, piece, data) => storage.keepPiece(head, piece, data),
      adoptSnapshot: (head) => storage.adoptSnapshot(head),
      close: () => storage.close(),
    };
  }

  #message(what: 'sent' | 'heard', peer: string, message: PeerMessage): void {
    if (!this.isOn) return;
    this.add({ atMs: machineMs(), what, peer, type: message.type, term: message.term, index: indexOf(message) });
  }
}

function indexOf(message: PeerMessage): number | null {
  if (message.type === 'append') return message.entries.length === 0 ? null : message.previousIndex + message.entries.length;
  if (message.type === 'appended') return message.success ? message.index : null;
  return null;
}
