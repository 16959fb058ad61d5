/** Free ports, as the kernel gives them out; remembered for a while, since the instance has yet to take its own. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { HostPorts } from '../../ports/host-ports.ts';

const REMEMBERED = 256;
const ATTEMPTS = 50;

export class OsHostPorts implements HostPorts {
  readonly #recent: number[] = [];

  async pick(protocol: 'tcp' | 'udp'): Promise<number> {
    let port = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      port = await (protocol === 'tcp' ? freeTcpPort() : freeUdpPort());
      if (!this.#recent.includes(port)) break;
    }
    this.#recent.push(port);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
    return port;
  }
}

function freeTcpPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function freeUdpPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
