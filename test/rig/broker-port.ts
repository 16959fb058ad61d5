/** An orchestrator's TLS port with nothing behind it but `/mqtt`. Loopback, free port. */
import type { EmbeddedBroker } from '../../src/adapters/mqtt/embedded-broker.ts';
import { peerOf, refuseUpgrade, SecureServer } from '../../src/adapters/tls/secure-server.ts';
import { LEADER_HEADER } from '../../src/core/model/leadership.ts';
import type { Certificates } from './certificates.ts';

export class BrokerPort {
  readonly #server: SecureServer;
  readonly number: number;
  /** Links that were asked for. */
  dials = 0;
  /** While it does not lead: who does, in its opinion; null: it does not know. */
  follows: { readonly leader: string | null } | null = null;

  private constructor(server: SecureServer) {
    this.#server = server;
    this.number = server.port;
  }

  /** `port`: the same as before, to come back. */
  static async open(broker: EmbeddedBroker, certificates: Certificates, port = 0): Promise<BrokerPort> {
    const server = new SecureServer({
      host: '127.0.0.1',
      port,
      identity: await certificates.serverIdentity(),
      request: (_, response) => response.writeHead(404).end(),
      turnedAway: () => undefined,
    });
    await server.open();
    const opened = new BrokerPort(server);
    server.onUpgrade('/mqtt', (request, socket, head) => {
      const peer = peerOf(socket);
      opened.dials += 1;
      if (peer === null || 'refused' in peer) refuseUpgrade(socket, 'certificate_refused');
      else if (opened.follows === null) broker.accept(request, socket, head, peer);
      else refuseUpgrade(socket, 'not_leading', opened.follows.leader === null ? {} : { [LEADER_HEADER]: opened.follows.leader });
    });
    return opened;
  }

  /** As its orchestrator tells it to others. */
  get url(): string {
    return `https://localhost:${this.number}`;
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
