/** TCP ports on loopback that stay free: below those that the kernel gives to outgoing connections (from 32768 on). */
import { once } from 'node:events';
import { createServer } from 'node:net';

const FIRST = 18_000;
const COUNT = 14_000;
const given = new Set<number>();

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (!given.has(port) && (await canListen(port))) {
      given.add(port);
      return port;
    }
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  const [outcome] = await Promise.race([
    once(server, 'listening').then(() => [true]),
    new Promise<[boolean]>((resolve) => server.once('error', () => resolve([false]))),
  ]);
  server.close();
  return outcome === true;
}
