/** Several ways to reach children as one: the node inside this process, and all others. */
import type { DownMessage } from '../core/model/messages.ts';
import type { Downlink, DownlinkListener } from '../ports/uplink.ts';

export class JoinedDownlink implements Downlink {
  readonly #downlinks: readonly Downlink[];

  constructor(downlinks: readonly Downlink[]) {
    this.#downlinks = downlinks;
  }

  async open(listener: DownlinkListener): Promise<void> {
    for (const downlink of this.#downlinks) await downlink.open(listener);
  }

  /** A child has a link with one of them; the others drop what is for it. */
  send(child: string, message: DownMessage): void {
    for (const downlink of this.#downlinks) downlink.send(child, message);
  }

  disconnect(child: string): void {
    for (const downlink of this.#downlinks) downlink.disconnect(child);
  }

  async close(): Promise<void> {
    for (const downlink of this.#downlinks) await downlink.close();
  }
}
