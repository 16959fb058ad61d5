/** Replicas on this machine: each with its certificate, its TLS port, and a wire of its own to each of the others. Loopback, free ports. */

import { WebSocketPeerLink } from '../../src/adapters/peer/web-socket-peer-link.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { type ChildIdentity, dialReplicaOptions } from '../../src/adapters/tls/dial.ts';
import { refuseUpgrade, replicaPeerOf, SecureServer } from '../../src/adapters/tls/secure-server.ts';
import { must } from '../../src/core/base/assert.ts';
import { Prng } from '../../src/core/base/prng.ts';
import type { Membership, ReplicaId } from '../../src/core/raft/membership.ts';
import { Heard } from './heard.ts';
import { TcpProxy } from './tcp-proxy.ts';

export type Identities = ReadonlyMap<ReplicaId, ChildIdentity>;

interface Port {
  readonly server: SecureServer;
  link: WebSocketPeerLink | null;
}

export class PeerSite {
  readonly #identities: Identities;
  readonly #patienceMs: number | undefined;
  readonly #ports = new Map<ReplicaId, Port>();
  readonly #wires = new Map<string, TcpProxy>();
  readonly #unreachable = new Set<ReplicaId>();
  /** What all links would log. */
  readonly warnings = new Heard<string>();

  private constructor(identities: Identities, patienceMs: number | undefined) {
    this.#identities = identities;
    this.#patienceMs = patienceMs;
  }

  static async open(identities: Identities, patienceMs?: number): Promise<PeerSite> {
    const site = new PeerSite(identities, patienceMs);
    const ids = [...identities.keys()];
    for (const id of ids) await site.#openPort(id);
    for (const from of ids)
      for (const to of ids) if (from !== to) site.#wires.set(`${from} ${to}`, await TcpProxy.open(() => site.portOf(to)));
    return site;
  }

  async #openPort(id: ReplicaId): Promise<void> {
    const server = new SecureServer({
      host: '127.0.0.1',
      port: 0,
      identity: this.identityOf(id),
      request: (_, response) => response.writeHead(404).end(),
      turnedAway: () => undefined,
    });
    const port: Port = { server, link: null };
    server.onUpgrade('/peer', (request, socket, head) => {
      const peer = replicaPeerOf(socket);
      if (peer === null || 'refused' in peer) refuseUpgrade(socket, 'certificate_refused');
      else if (port.link === null) refuseUpgrade(socket, 'not_found');
      else port.link.accept(request, socket, head, peer.id);
    });
    await server.open();
    this.#ports.set(id, port);
  }

  identityOf(id: ReplicaId): ChildIdentity {
    return must(this.#identities.get(id), `a certificate for ${id}`);
  }

  portOf(id: ReplicaId): number {
    return must(this.#ports.get(id), `a port of ${id}`).server.port;
  }

  /** From the one to the other, as far as it has dialled. */
  wire(from: ReplicaId, to: ReplicaId): TcpProxy {
    return must(this.#wires.get(`${from} ${to}`), `a wire from ${from} to ${to}`);
  }

  between(a: ReplicaId, b: ReplicaId): readonly TcpProxy[] {
    return [this.wire(a, b), this.wire(b, a)];
  }

  /** A new life of this replica, in place of the one before. */
  link(id: ReplicaId, { isReachable = true } = {}): WebSocketPeerLink {
    if (!isReachable) this.#unreachable.add(id);
    const identity = this.identityOf(id);
    const link = new WebSocketPeerLink(
      {
        clock: systemClock,
        random: new Prng(this.portOf(id)),
        warn: (message, details) => this.warnings.push(`${id}: ${message} ${JSON.stringify(details)}`),
      },
      {
        id,
        tls: (peer) => dialReplicaOptions(identity, peer),
        ...(this.#patienceMs === undefined ? {} : { patienceMs: this.#patienceMs }),
      },
    );
    must(this.#ports.get(id), `a port of ${id}`).link = link;
    return link;
  }

  /** As one of them knows it: the others are where its wires lead. */
  membership(of: ReplicaId, ids: readonly ReplicaId[]): Membership {
    return ids.map((id) => ({
      id,
      name: `node-${id}`,
      url: `https://127.0.0.1:${id === of || this.#unreachable.has(id) ? 1 : this.wire(of, id).port}`,
      role: 'voter',
    }));
  }

  async close(): Promise<void> {
    for (const wire of this.#wires.values()) await wire.close();
    for (const { server } of this.#ports.values()) await server.close();
  }
}
