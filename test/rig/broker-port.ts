/** An orchestrator's TLS port with nothing behind it but `/mqtt`. Loopback, free port. */
import type { EmbeddedBroker } from '../../src/adapters/mqtt/embedded-broker.ts';
import { peerOf, refuseUpgrade, SecureServer } from '../../src/adapters/tls/secure-server.ts';
import type { Certificates } from './certificates.ts';

export class BrokerPort {
  readonly #server: SecureServer;

  private constructor(server: SecureServer) {
    this.#server = server;
  }

  static async open(broker: EmbeddedBroker, certificates: Certificates): Promise<BrokerPort> {
    const server = new SecureServer({
      host: '127.0.0.1',
      port: 0,
      identity: await certificates.serverIdentity(),
      request: (_, response) => response.writeHead(404).end(),
      turnedAway: () => undefined,
    });
    server.onUpgrade('/mqtt', (request, socket, head) => {
      const peer = peerOf(socket);
      if (peer === null || 'refused' in peer) refuseUpgrade(socket, 'certificate_refused');
      else broker.accept(request, socket, head, peer);
    });
    await server.open();
    return new BrokerPort(server);
  }

  get number(): number {
    return this.#server.port;
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
