/**
 * Connections to children that cannot be dialled: the parent asks over the uplink, the child dials back to
 * `/v1/streams/<id>` with its certificate, and what was asked for meets what arrives here.
 */
import type { Duplex } from 'node:stream';
import { limits } from '../core/base/limits.ts';
import { CodedError } from '../core/model/errors.ts';
import type { Clock } from '../ports/clock.ts';

/** A link to the far side of a country and a TLS handshake fit in this several times. */
const DIAL_BACK_TIMEOUT_MS = 15_000;

interface Awaited {
  readonly child: string;
  readonly arrived: (stream: Duplex) => void;
}

export interface ChildStreamsComponents {
  readonly clock: Clock;
  /** Unguessable. */
  readonly newId: () => string;
  readonly ask: (child: string, id: string) => void;
}

export class ChildStreams {
  readonly #components: ChildStreamsComponents;
  readonly #awaited = new Map<string, Awaited>();

  constructor(components: ChildStreamsComponents) {
    this.#components = components;
  }

  /** Rejects with `unavailable` when the child does not dial back. */
  dial(child: string): Promise<Duplex> {
    const { clock, newId, ask } = this.#components;
    if (this.#awaited.size >= limits.openStreams)
      return Promise.reject(new CodedError('limit_reached', `${limits.openStreams} streams asked for at once`));
    return new Promise((resolve, reject) => {
      const id = newId();
      const cancelTimer = clock.startTimer(DIAL_BACK_TIMEOUT_MS, () => {
        this.#awaited.delete(id);
        reject(new CodedError('unavailable', `${child} did not answer within ${DIAL_BACK_TIMEOUT_MS / 1000} s`));
      });
      this.#awaited.set(id, {
        child,
        arrived: (stream) => {
          cancelTimer();
          resolve(stream);
        },
      });
      ask(child, id);
    });
  }

  /** Whether such a stream is awaited of this child: checked before the upgrade is granted. */
  expects(id: string, child: string): boolean {
    return this.#awaited.get(id)?.child === child;
  }

  arrived(id: string, stream: Duplex): void {
    // It may break before anybody listens, and an error without a listener would end the process.
    stream.on('error', () => stream.destroy());
    const awaited = this.#awaited.get(id);
    this.#awaited.delete(id);
    if (awaited) awaited.arrived(stream);
    else stream.destroy();
  }
}
