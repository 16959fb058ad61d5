/**
 * What the TLS port takes besides requests: the uplinks of children, streams that they dial back, and, on demand, other
 * replicas that want to reach a child whose link is here.
 */
import type { IncomingMessage } from 'node:http';
import { type Duplex, pipeline } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { EmbeddedBroker } from '../adapters/mqtt/embedded-broker.ts';
import { REPLICA_STREAMS_PATH, STREAMS_PATH } from '../adapters/streams/dial-back.ts';
import { peerOf, refuseUpgrade, replicaPeerOf, type SecureServer } from '../adapters/tls/secure-server.ts';
import { limits } from '../core/base/limits.ts';
import { LEADER_HEADER } from '../core/model/leadership.ts';
import { isMember, type Peer } from '../core/model/membership.ts';
import type { Leadership } from '../core/model/replicas.ts';
import type { ChildStreams } from '../node/child-streams.ts';
import type { OrchestratorDriver } from '../node/orchestrator-driver.ts';
import type { LocalNode } from './local-node.ts';
import type { Replicated } from './replicated.ts';

export interface UpgradeComponents {
  readonly driver: OrchestratorDriver;
  readonly replication: Replicated;
  /** null: children have their links with a broker of their own. */
  readonly broker: EmbeddedBroker | null;
  readonly streams: ChildStreams;
  /** The node of this replica's own process. */
  readonly local: { readonly name: string; readonly node: LocalNode } | null;
  readonly turnedAway: (reason: string, who: string) => void;
}

export function serveUpgrades(server: SecureServer, components: UpgradeComponents, leadership: Leadership): void {
  const { driver, replication, broker, streams, local, turnedAway } = components;
  const isOnDemand = leadership === 'on-demand';

  /** null, and the upgrade is refused, for whoever is no member, and where another replica leads. */
  const member = (incoming: IncomingMessage, socket: Duplex): Peer | null => {
    const peer = peerOf(incoming.socket);
    const isValid = peer !== null && !('refused' in peer);
    if (isValid && !driver.core.leads && !(driver.core.serves && replication.isVoter)) {
      const leader = replication.leader ?? (isOnDemand ? replication.otherVoters[0] : null);
      refuseUpgrade(socket, 'not_leading', leader ? { [LEADER_HEADER]: leader.url } : {});
      return null;
    }
    if (isValid && isMember(driver.core.state.members.get(peer.name)?.record, peer)) return peer;
    const reason = isValid ? 'not a member' : `certificate refused: ${peer ? peer.refused : 'none was shown'}`;
    turnedAway(reason, isValid ? peer.name : (incoming.socket.remoteAddress ?? 'unknown'));
    refuseUpgrade(socket, isValid ? 'not_a_member' : 'certificate_refused');
    return null;
  };

  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: limits.uplinkMessageBytes });
  const accept = (incoming: IncomingMessage, socket: Duplex, head: Buffer, accepted: (connection: Duplex) => void): void =>
    webSockets.handleUpgrade(incoming, socket, head, (webSocket) => {
      const connection = createWebSocketStream(webSocket);
      webSocket.once('close', () => connection.destroy());
      accepted(connection);
    });

  replication.serve(server, turnedAway);

  server.onUpgrade('/mqtt', (incoming, socket, head) => {
    const peer = member(incoming, socket);
    if (!peer) return;
    if (broker) broker.accept(incoming, socket, head, peer);
    else refuseUpgrade(socket, 'not_found');
  });

  server.onUpgrade(STREAMS_PATH, (incoming, socket, head) => {
    const peer = member(incoming, socket);
    const stream = below(STREAMS_PATH, incoming);
    if (!peer) return;
    if (!streams.expects(stream, peer.name)) refuseUpgrade(socket, 'not_found');
    else accept(incoming, socket, head, (connection) => streams.arrived(stream, connection));
  });

  if (!isOnDemand) return; // the leader has all links
  server.onUpgrade(REPLICA_STREAMS_PATH, (incoming, socket, head) => {
    const peer = replicaPeerOf(incoming.socket);
    const child = below(REPLICA_STREAMS_PATH, incoming);
    if (peer === null || 'refused' in peer) refuseUpgrade(socket, 'certificate_refused');
    else if (!replication.membership.some(({ id }) => id === peer.id)) refuseUpgrade(socket, 'not_a_member');
    else if (!driver.core.state.members.has(child) || driver.core.viaOf(child) !== null) refuseUpgrade(socket, 'not_found');
    else
      accept(incoming, socket, head, (connection) => {
        connection.on('error', () => connection.destroy());
        if (child === local?.name) local.node.serve(connection);
        else
          streams.dial(child).then(
            (far) => join(connection, far),
            () => connection.destroy(),
          );
      });
  });
}

function below(path: string, incoming: IncomingMessage): string {
  return (incoming.url ?? '').slice(path.length);
}

/** What comes from one goes to the other, and they end together. */
function join(one: Duplex, other: Duplex): void {
  pipeline(one, other, one, () => {
    one.destroy();
    other.destroy();
  });
}
