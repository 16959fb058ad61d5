/** Wires of one length, from a process that does nothing else, and what their round trip is in the end. */
import { median } from '../bench.ts';
import { Part } from '../parts/part.ts';
import { roundTripsMs } from './round-trip.ts';
import type { WireRequest } from './wires.ts';

const TRIPS = 500;

export class WireShop {
  /** Measured, through such a wire. */
  readonly roundTripMs: number;
  readonly #part: Part;
  readonly #delayMs: number;

  private constructor(part: Part, delayMs: number, roundTripMs: number) {
    this.#part = part;
    this.#delayMs = delayMs;
    this.roundTripMs = roundTripMs;
  }

  /** The delay is chosen so that a whole round trip takes as long as was asked for: TCP and waking up take their share of it. */
  static async open(roundTripMs: number): Promise<WireShop> {
    const part = new Part('wires');
    const echo = await part.ask<number>('echo');
    const measure = async (delayMs: number): Promise<number> => {
      const port = await part.ask<number>('open', { targetPort: echo, delayMs } satisfies WireRequest);
      return median(await roundTripsMs(port, TRIPS));
    };
    const plainMs = roundTripMs / 2;
    const delayMs = Math.max(0, plainMs - ((await measure(plainMs)) - roundTripMs) / 2);
    return new WireShop(part, delayMs, await measure(delayMs));
  }

  wireTo(port: number): Promise<number> {
    return this.#part.ask('open', { targetPort: port, delayMs: this.#delayMs } satisfies WireRequest);
  }

  close(): Promise<void> {
    return this.#part.kill();
  }
}
