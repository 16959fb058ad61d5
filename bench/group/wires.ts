/**
 * Links with a delay, where the kernel offers none: TCP connections that pass through a process which holds every
 * chunk for as long as the link is long (sleeper.ts). What the link is in the end is measured through it (round-trip.ts).
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { machineMs } from '../parts/machine-clock.ts';
import { serveParent } from '../parts/serve-parent.ts';
import { Sleeper } from './sleeper.ts';

export interface WireRequest {
  readonly targetPort: number;
  /** One way. */
  readonly delayMs: number;
}

export function wires(): void {
  const lines = new Map<number, DelayLine>();
  const lineOf = (delayMs: number): DelayLine => {
    const line = lines.get(delayMs) ?? new DelayLine(delayMs);
    lines.set(delayMs, line);
    return line;
  };
  serveParent({
    open: ({ targetPort, delayMs }: WireRequest) =>
      listen(createServer((near) => join(near, connect(targetPort, '127.0.0.1'), lineOf(delayMs)))),
    /** A server that says everything back. */
    echo: () => listen(createServer({ noDelay: true }, (socket) => void socket.on('error', () => undefined).pipe(socket))),
  });
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** All that is held by one is held equally long, so what enters first leaves first. */
class DelayLine {
  readonly #delayMs: number;
  readonly #sleeper = new Sleeper(() => this.#release());
  #held: { readonly dueMs: number; readonly pass: () => void }[] = [];

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  hold(pass: () => void): void {
    this.#held.push({ dueMs: machineMs() + this.#delayMs, pass });
    this.#sleep();
  }

  #release(): void {
    const now = machineMs();
    const waiting = this.#held.findIndex(({ dueMs }) => dueMs > now);
    for (const { pass } of this.#held.splice(0, waiting < 0 ? this.#held.length : waiting)) pass();
    this.#sleep();
  }

  #sleep(): void {
    const [first] = this.#held;
    if (first) this.#sleeper.sleepUntil(first.dueMs);
  }
}

function join(near: Socket, far: Socket, line: DelayLine): void {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.setNoDelay();
    from.on('data', (chunk) => line.hold(() => void to.write(chunk)));
    from.on('error', () => undefined);
    from.on('close', () => line.hold(() => void to.destroy()));
  }
}
