/** One replica in a process of its own: the log with its disk, its TLS port and its links, as an orchestrator has them. */

import { LevelRaftStorage } from '../../src/adapters/level/raft-storage.ts';
import { decodeFrame, encodeFrame } from '../../src/adapters/peer/frames.ts';
import { WebSocketPeerLink } from '../../src/adapters/peer/web-socket-peer-link.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { type ChildIdentity, dialReplicaOptions } from '../../src/adapters/tls/dial.ts';
import { refuseUpgrade, replicaPeerOf, SecureServer } from '../../src/adapters/tls/secure-server.ts';
import { Prng } from '../../src/core/base/prng.ts';
import type { RaftInit } from '../../src/core/raft/contract.ts';
import type { Membership, ReplicaId } from '../../src/core/raft/membership.ts';
import { RaftLog } from '../../src/node/raft-log.ts';
import type { RaftLogComponents } from '../../src/node/raft-log-components.ts';

export interface MemberConfig {
  readonly id: ReplicaId;
  readonly directory: string;
  /** The addresses are those of the wires to the others. */
  readonly membership: Membership;
  readonly identity: ChildIdentity;
  readonly peerPort: number;
  readonly leadership: RaftInit['leadership'];
  /** On demand. */
  readonly quietMs: number;
}

export interface Member {
  readonly log: RaftLog;
  /** Where it has no process of its own, which ends with it. */
  readonly closePort: () => Promise<void>;
}

/** As the program itself has them. */
const ELECTION_TIMEOUT_MIN_MS = 150;
const ELECTION_TIMEOUT_MAX_MS = 3_000;

/** `watch` puts what looks on around the parts of the log. */
export async function startMember(
  config: MemberConfig,
  watch: (components: RaftLogComponents) => RaftLogComponents = (components) => components,
): Promise<Member> {
  const { id, identity, membership } = config;
  const random = new Prng(process.pid);
  const link = new WebSocketPeerLink(
    { clock: systemClock, random, warn: () => undefined },
    { id, tls: (peer) => dialReplicaOptions(identity, peer) },
  );
  const server = new SecureServer({
    host: '127.0.0.1',
    port: config.peerPort,
    identity,
    request: (_, response) => response.writeHead(404).end(),
    turnedAway: () => undefined,
  });
  server.onUpgrade('/peer', (request, socket, head) => {
    const peer = replicaPeerOf(socket);
    if (peer === null || 'refused' in peer) refuseUpgrade(socket, 'certificate_refused');
    else link.accept(request, socket, head, peer.id);
  });
  await server.open();
  const log = new RaftLog(
    watch({
      clock: systemClock,
      random,
      storage: new LevelRaftStorage(config.directory),
      link,
      frames: { encode: encodeFrame, decode: decodeFrame },
      attachment: () => null,
      membershipChanged: () => undefined,
    }),
    {
      id,
      membership,
      leadership: config.leadership,
      electionTimeoutMinMs: ELECTION_TIMEOUT_MIN_MS,
      electionTimeoutMaxMs: ELECTION_TIMEOUT_MAX_MS,
      quietMs: config.quietMs,
    },
  );
  return { log, closePort: () => server.close() };
}
