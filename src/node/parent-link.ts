/**
 * The child's end of its link to the parent, as both drivers use it: opens it, names each session, and makes
 * a new link when the old one can no longer be trusted.
 */
import type { DownMessage, UpMessage } from '../core/model/messages.ts';
import type { Uplink } from '../ports/uplink.ts';

export interface ParentLinkComponents {
  /** A fresh link, not opened yet. */
  readonly dial: () => Uplink;
  /** Names a session; never the same twice, not even over restarts. */
  readonly newSessionId: () => string;
}

export interface ParentLinkListener {
  opened(session: string): void;
  desiredReceived(message: Extract<DownMessage, { type: 'desired' }>): void;
  streamRequested(id: string): void;
  closed(reason: string): void;
}

export class ParentLink {
  readonly #components: ParentLinkComponents;
  readonly #listener: ParentLinkListener;
  #uplink: Uplink | null = null;
  #open = false;

  constructor(components: ParentLinkComponents, listener: ParentLinkListener) {
    this.#components = components;
    this.#listener = listener;
  }

  open(): void {
    const uplink = this.#components.dial();
    this.#uplink = uplink;
    const current = () => this.#uplink === uplink;
    uplink.open({
      opened: () => {
        if (!current()) return;
        this.#open = true;
        this.#listener.opened(this.#components.newSessionId());
      },
      received: (message) => {
        if (!current()) return;
        if (message.type === 'stream') this.#listener.streamRequested(message.id);
        else this.#listener.desiredReceived(message);
      },
      closed: (reason) => {
        if (!current()) return;
        this.#open = false;
        this.#listener.closed(reason);
      },
    });
  }

  send(message: UpMessage): void {
    this.#uplink?.send(message);
  }

  /** Gives this link up and dials anew: the next session starts with a hello. */
  async reopen(reason: string): Promise<void> {
    const old = this.#uplink;
    this.#uplink = null;
    if (this.#open) {
      this.#open = false;
      this.#listener.closed(reason);
    }
    await old?.close();
    if (this.#uplink === null) this.open();
  }

  async close(): Promise<void> {
    const old = this.#uplink;
    this.#uplink = null;
    this.#open = false;
    await old?.close();
  }
}
