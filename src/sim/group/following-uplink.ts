/**
 * A child's way to whichever replica serves it: the addresses are chosen as in earnest (core/base/addresses.ts), the
 * connections are those of the simulated network. A replica that does not serve says who does, as its TLS port would.
 */
import type { Addresses } from '../../core/base/addresses.ts';
import type { UpMessage } from '../../core/model/messages.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Uplink, UplinkListener } from '../../ports/uplink.ts';

/** A link that lasted longer than this had served (src/adapters/mqtt/broker-link.ts). */
const SERVED_MS = 10_000;

export interface FollowingUplinkComponents {
  readonly clock: Clock;
  readonly addresses: Addresses;
  /** null: nobody serves there. */
  readonly dial: (address: string) => Uplink | null;
  /** Who serves, in the opinion of the replica there. */
  readonly hint: (address: string) => string | null;
}

export class FollowingUplink implements Uplink {
  readonly #components: FollowingUplinkComponents;
  #listener: UplinkListener | null = null;
  #current: Uplink | null = null;
  #openedMs: number | null = null;

  constructor(components: FollowingUplinkComponents) {
    this.#components = components;
  }

  open(listener: UplinkListener): void {
    this.#listener = listener;
    this.#dialAfter(0);
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

  #dialAfter(pauseMs: number): void {
    const listener = this.#listener;
    this.#components.clock.startTimer(pauseMs, () => {
      if (listener !== null && listener === this.#listener) this.#dial(listener);
    });
  }

  #dial(listener: UplinkListener): void {
    const { addresses, dial, clock } = this.#components;
    const uplink = dial(addresses.present);
    this.#current = uplink;
    const isCurrent = (): boolean => this.#current === uplink && this.#listener === listener;
    if (uplink === null) {
      this.#ended('not served here');
      return;
    }
    uplink.open({
      opened: () => {
        if (!isCurrent()) return;
        this.#openedMs = clock.elapsedMs();
        listener.opened();
      },
      received: (message) => {
        if (!isCurrent()) return;
        addresses.serves();
        listener.received(message);
      },
      closed: (reason) => {
        if (!isCurrent()) return;
        void uplink.close();
        this.#current = null;
        this.#ended(reason);
      },
    });
  }

  #ended(reason: string): void {
    const { addresses, clock, hint } = this.#components;
    const opened = this.#openedMs;
    this.#openedMs = null;
    const hasServed = opened !== null && clock.elapsedMs() - opened > SERVED_MS;
    const step = hasServed
      ? addresses.broke()
      : opened === null
        ? addresses.failed(hint(addresses.present))
        : addresses.relapsed();
    this.#listener?.closed(reason);
    this.#dialAfter(step.pauseMs);
  }
}
