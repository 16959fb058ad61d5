/** Free ports, as the kernel gives them out; remembered for a while, since the instance has yet to take its own. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { Latest } from '../../core/base/latest.ts';
import type { HostPorts } from '../../ports/host-ports.ts';

const REMEMBERED = 256;
const ATTEMPTS = 50;

export class OsHostPorts implements HostPorts {
  readonly #recent = new Latest<number>(REMEMBERED);

  async pick(protocol: 'tcp' | 'udp', preferred?: number): Promise<number> {
    const listenOn = protocol === 'tcp' ? listenTcp : listenUdp;
    if (preferred !== undefined && (await listenOn(preferred)) !== null) return preferred;
    let port = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      port = (await listenOn(0)) ?? 0;
      if (port !== 0 && !this.#recent.all().includes(port)) break;
    }
    this.#recent.push(port);
    return port;
  }
}

/** Listens for a moment; the port, or null when it is taken. 0 lets the kernel choose. */
function listenTcp(wanted: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(wanted, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null));
    });
  });
}

function listenUdp(wanted: number): Promise<number | null> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(null));
    socket.bind(wanted, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
