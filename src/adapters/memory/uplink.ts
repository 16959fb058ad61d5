/**
 * The uplink without a network: for an orchestrator and an engine in one process, and for simulation. Messages
 * are handed over as they are, so neither side may change one afterwards.
 */
import type { DownMessage, UpMessage } from '../../core/model/messages.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Downlink, DownlinkListener, Uplink, UplinkListener } from '../../ports/uplink.ts';

/** A child that was cut off or refused comes back after this long. */
const REDIAL_MS = 200;

export interface MemoryUplinkComponents {
  readonly clock: Clock;
  /** Calls back later, never at once: `setImmediate` in a process, a delay in a simulation. Links keep their order even if it does not. */
  readonly schedule: (callback: () => void) => void;
}

/** One life of a link. */
interface Session {
  readonly child: string;
  readonly listener: UplinkListener;
  readonly toParent: UpMessage[];
  readonly toChild: DownMessage[];
  open: boolean;
  /** The child has hung up: it hears nothing more. */
  closing: boolean;
  /** The parent has had the hello. */
  greeted: boolean;
}

/** The parent's end, and the maker of the children's ends. */
export class MemoryDownlink implements Downlink {
  readonly #components: MemoryUplinkComponents;
  readonly #sessions = new Map<string, Session>();
  readonly #waiting = new Map<string, UplinkListener>();
  readonly #cut = new Set<string>();
  #listener: DownlinkListener | null = null;

  constructor(components: MemoryUplinkComponents) {
    this.#components = components;
  }

  /** The child's end; one at a time for each child. */
  uplink(child: string): Uplink {
    return {
      open: (listener) => this.#dial(child, listener),
      send: (message) => this.#sendUp(child, message),
      reopen: (reason) => this.#later(child, reason),
      close: async () => this.#hangUp(child),
    };
  }

  async open(listener: DownlinkListener): Promise<void> {
    this.#listener = listener;
    for (const child of [...this.#waiting.keys()]) this.#dialAgain(child);
  }

  send(child: string, message: DownMessage): void {
    const session = this.#sessions.get(child);
    if (session === undefined || !session.greeted) return;
    session.toChild.push(message);
    this.#components.schedule(() => {
      const next = session.toChild.shift();
      if (session.open && !session.closing && next) session.listener.received(next);
    });
  }

  disconnect(child: string): void {
    this.#later(child, 'the parent ended the session');
  }

  async close(): Promise<void> {
    this.#listener = null;
    for (const child of [...this.#sessions.keys()]) this.#later(child, 'the parent has stopped');
  }

  /** Breaks the child's link, what is under way included, until `mend`. */
  cut(child: string, reason = 'the network is cut'): void {
    this.#cut.add(child);
    this.#end(child, reason);
  }

  mend(child: string): void {
    this.#cut.delete(child);
    this.#dialAgain(child);
  }

  #dial(child: string, listener: UplinkListener): void {
    this.#waiting.set(child, listener);
    this.#components.schedule(() => {
      if (this.#waiting.get(child) !== listener) return;
      if (this.#listener === null || this.#cut.has(child)) return;
      this.#waiting.delete(child);
      this.#sessions.set(child, { child, listener, toParent: [], toChild: [], open: true, closing: false, greeted: false });
      listener.opened();
    });
  }

  #dialAgain(child: string): void {
    const listener = this.#waiting.get(child);
    if (listener) this.#dial(child, listener);
  }

  #sendUp(child: string, message: UpMessage): void {
    const session = this.#sessions.get(child);
    if (session === undefined) return;
    session.toParent.push(message);
    this.#components.schedule(() => {
      const next = session.toParent.shift();
      if (!session.open || !next) return;
      if (next.type === 'hello') session.greeted = true;
      this.#listener?.received(child, next);
    });
  }

  #later(child: string, reason: string): void {
    const session = this.#sessions.get(child);
    this.#components.schedule(() => {
      if (session?.open && !session.closing) this.#end(child, reason);
    });
  }

  #end(child: string, reason: string): void {
    const session = this.#sessions.get(child);
    if (session === undefined) return;
    this.#drop(session);
    this.#waiting.set(child, session.listener);
    this.#components.clock.startTimer(REDIAL_MS, () => this.#dialAgain(child));
    session.listener.closed(reason);
  }

  /** In good order: what was sent before still arrives, then the parent learns of the end. */
  async #hangUp(child: string): Promise<void> {
    this.#waiting.delete(child);
    const session = this.#sessions.get(child);
    if (session === undefined) return;
    session.closing = true;
    await new Promise<void>((resolve) => {
      this.#components.schedule(() => {
        if (session.open) this.#drop(session);
        resolve();
      });
    });
  }

  #drop(session: Session): void {
    session.open = false;
    this.#sessions.delete(session.child);
    if (session.greeted) this.#listener?.closed(session.child);
  }
}
