/** The child's end of its link to the parent, as both drivers use it: it names each session and tells what comes for whom. */
import type { DownMessage, UpMessage } from '../core/model/messages.ts';
import type { Uplink } from '../ports/uplink.ts';

export interface ParentLinkComponents {
  /** Not opened yet. */
  readonly uplink: Uplink;
  /** Names a session; never the same twice, not even over restarts. */
  readonly newSessionId: () => string;
  /** The parent says where its replicas are, the leader first. */
  readonly told?: (orchestrators: readonly string[]) => void;
}

export interface ParentLinkListener {
  opened(session: string): void;
  desiredReceived(message: Extract<DownMessage, { type: 'desired' }>): void;
  streamRequested(id: string): void;
  closed(reason: string, silentMs: number): void;
}

export class ParentLink {
  readonly #components: ParentLinkComponents;
  readonly #listener: ParentLinkListener;

  constructor(components: ParentLinkComponents, listener: ParentLinkListener) {
    this.#components = components;
    this.#listener = listener;
  }

  open(): void {
    this.#components.uplink.open({
      opened: () => {
        this.#listener.opened(this.#components.newSessionId());
      },
      received: (message) => {
        if (message.type === 'stream') {
          this.#listener.streamRequested(message.id);
          return;
        }
        if (message.orchestrators) this.#components.told?.(message.orchestrators);
        this.#listener.desiredReceived(message);
      },
      closed: (reason, silentMs = 0) => {
        this.#listener.closed(reason, silentMs);
      },
    });
  }

  send(message: UpMessage): void {
    this.#components.uplink.send(message);
  }

  /** Ends the session; the next one starts with a hello. */
  reopen(reason: string): void {
    this.#components.uplink.reopen(reason);
  }

  close(): Promise<void> {
    return this.#components.uplink.close();
  }
}
