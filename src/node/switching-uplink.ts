/**
 * One uplink whose parent moves: the node inside a replica's process has its link within the process while that replica
 * leads, and dials the leader while another one does. To its user, each move is the end of a session (U2).
 */
import type { UpMessage } from '../core/model/messages.ts';
import type { Uplink, UplinkListener } from '../ports/uplink.ts';

export class SwitchingUplink implements Uplink {
  #current: Uplink | null = null;
  #isOpen = false;
  #listener: UplinkListener | null = null;

  /** null: there is no parent to turn to. */
  turnTo(next: Uplink | null, reason: string): void {
    const before = this.#current;
    if (before === next) return;
    this.#current = next;
    void before?.close();
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#listener?.closed(reason);
    }
    if (this.#listener && next) this.#openCurrent(next, this.#listener);
  }

  open(listener: UplinkListener): void {
    this.#listener = listener;
    if (this.#current) this.#openCurrent(this.#current, listener);
  }

  send(message: UpMessage): void {
    this.#current?.send(message);
  }

  reopen(reason: string): void {
    this.#current?.reopen(reason);
  }

  async close(): Promise<void> {
    this.#listener = null;
    await this.#current?.close();
  }

  #openCurrent(uplink: Uplink, listener: UplinkListener): void {
    const isCurrent = () => this.#current === uplink && this.#listener === listener;
    uplink.open({
      opened: () => {
        if (!isCurrent()) return;
        this.#isOpen = true;
        listener.opened();
      },
      received: (message) => {
        if (isCurrent()) listener.received(message);
      },
      closed: (reason, silentMs) => {
        if (!isCurrent()) return;
        this.#isOpen = false;
        listener.closed(reason, silentMs);
      },
    });
  }
}
