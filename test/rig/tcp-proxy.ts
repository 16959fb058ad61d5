/** A wire that a test can cut or make silent, in front of any TCP server. Loopback, free port. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #silenced = new WeakSet<Socket>();
  /** Of each connection whose answers are heard, the end that has dialled and the one that was dialled. */
  readonly #pairs = new Map<Socket, Socket>();
  readonly #targetPort: () => number;
  #state: 'whole' | 'stalled' | 'refusing' = 'whole';
  /** Taken while stalled: connected to the other side once the wire is whole again. */
  readonly #waiting = new Set<Socket>();
  readonly port: number;
  /** Through it since the start, both directions, TLS and all. */
  bytes = 0;

  private constructor(server: Server, targetPort: () => number) {
    this.#server = server;
    this.#targetPort = targetPort;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => {
      if (this.#state === 'refusing') near.resetAndDestroy();
      else if (this.#state === 'stalled') {
        this.#waiting.add(near);
        near.on('error', () => undefined).on('close', () => this.#waiting.delete(near));
      } else this.#join(near);
    });
  }

  static async open(targetPort: () => number): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, targetPort);
  }

  #join(near: Socket): void {
    const far = connect(this.#targetPort(), '127.0.0.1');
    this.#pairs.set(near, far);
    near.once('close', () => this.#pairs.delete(near));
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay();
      from.on('data', (chunk) => {
        this.bytes += chunk.length;
      });
      from.pipe(to);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        if (!this.#silenced.has(from)) to.destroy();
      });
    }
  }

  /** What was asked arrives; the connections end with the first word of an answer, which nobody hears. New ones are whole. */
  loseAnswers(): void {
    for (const [near, far] of this.#pairs) {
      far.unpipe(near);
      far.once('data', () => near.resetAndDestroy()).resume();
    }
    this.#pairs.clear();
  }

  /** Resets all connections; new ones are taken. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Nothing passes any more on the connections that are open, not even their end. */
  silence(): void {
    for (const socket of this.#sockets) {
      this.#silenced.add(socket);
      socket.unpipe();
      socket.removeAllListeners('data').resume();
    }
  }

  /** Whatever comes waits, on connections that are open, until `release`: a link or a reader that is slow beyond measure. */
  hold(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  release(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  /** Connections that were taken while it was stalled. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Connections that pass through it now. */
  get open(): number {
    return this.#sockets.size / 2;
  }

  /** A link that loses every packet, until `heal`: nothing passes and nobody is told, on new connections too. */
  stall(): void {
    this.#state = 'stalled';
    this.silence();
  }

  /** A link that is down and says so, until `heal`: connections are reset, and new ones as well. */
  refuse(): void {
    this.#state = 'refusing';
    this.cut();
    for (const socket of this.#waiting) socket.resetAndDestroy();
  }

  /** New connections pass again; those that were open when it stalled have lost bytes and end. */
  heal(): void {
    if (this.#state === 'stalled') this.cut();
    this.#state = 'whole';
    for (const socket of this.#waiting) this.#join(socket);
    this.#waiting.clear();
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of [...this.#sockets, ...this.#waiting]) socket.destroy();
    await once(this.#server, 'close');
  }
}
