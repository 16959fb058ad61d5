/** Puts the replicated log together: Raft on LevelDB, links to the other replicas, and what keeps the group as wanted. */
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { LevelRaftStorage } from '../adapters/level/raft-storage.ts';
import { decodeFrame, encodeFrame } from '../adapters/peer/frames.ts';
import { WebSocketPeerLink } from '../adapters/peer/web-socket-peer-link.ts';
import { type ChildIdentity, dialReplicaOptions } from '../adapters/tls/dial.ts';
import type { Leader } from '../adapters/tls/leader-forwarding.ts';
import { refuseUpgrade, replicaPeerOf, type SecureServer } from '../adapters/tls/secure-server.ts';
import { limits } from '../core/base/limits.ts';
import { type PeerReport, peerReportSchema } from '../core/model/peer-report.ts';
import type { GroupView, ReplicaRecord } from '../core/model/replicas.ts';
import type { Membership } from '../core/raft/membership.ts';
import { quorumOf, votersOf } from '../core/raft/membership.ts';
import { RaftLog } from '../node/raft-log.ts';
import { ReplicaKeeper } from '../node/replica-keeper.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { systemRandom } from './random.ts';
import type { Replicated } from './replicated.ts';

/** The shortest election timeout; it grows with the measured round trip, up to the longest (ADR 0010). */
const ELECTION_TIMEOUT_MIN_MS = 150;
const ELECTION_TIMEOUT_MAX_MS = 3_000;
/** On demand: with nothing to decide for this long the group pauses. */
const QUIET_MS = 1_000;

export interface ReplicationInit {
  readonly id: string;
  readonly directory: string;
  /** As long as the log names none. */
  readonly membership: Membership;
  readonly leadership: GroupView['leadership'];
}

export interface ReplicationComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly identity: () => ChildIdentity;
  readonly wanted: () => Iterable<ReplicaRecord>;
  /** The group, or who is connected, has changed. */
  readonly groupChanged: () => void;
  /** On demand: what this replica sees of its children, and what another one, of this name, does. */
  readonly report: () => PeerReport;
  readonly told: (name: string, report: PeerReport) => void;
}

export class Replication implements Replicated {
  readonly log: RaftLog;
  readonly #link: WebSocketPeerLink;
  readonly #keeper: ReplicaKeeper;
  readonly #components: ReplicationComponents;
  readonly #init: ReplicationInit;

  constructor(components: ReplicationComponents, init: ReplicationInit) {
    const { clock, logger, identity } = components;
    this.#components = components;
    this.#init = init;
    this.#link = new WebSocketPeerLink(
      { clock, random: systemRandom, warn: (message, details) => logger.warn(details, message) },
      { id: init.id, tls: (peer) => dialReplicaOptions(identity(), peer) },
    );
    const changed = () => {
      this.#keeper.changed();
      components.groupChanged();
    };
    this.log = new RaftLog(
      {
        clock,
        random: systemRandom,
        storage: new LevelRaftStorage(join(init.directory, 'log')),
        link: this.#link,
        frames: { encode: encodeFrame, decode: decodeFrame },
        attachment: () => (init.leadership === 'on-demand' ? encodeReport(components.report()) : null),
        told: (name, attachment) => {
          const report = decodeReport(attachment);
          if (report) components.told(name, report);
          else logger.warn({ replica: name }, 'what a replica tells of its children is not valid');
        },
        membershipChanged: changed,
        connectionsChanged: components.groupChanged,
      },
      {
        id: init.id,
        membership: init.membership,
        leadership: init.leadership,
        electionTimeoutMinMs: ELECTION_TIMEOUT_MIN_MS,
        electionTimeoutMaxMs: ELECTION_TIMEOUT_MAX_MS,
        quietMs: QUIET_MS,
      },
    );
    this.#keeper = new ReplicaKeeper(
      { clock, log: this.log, wanted: components.wanted, told: (message, details) => logger.info(details, message) },
      init.id,
    );
  }

  /** `/peer` of the TLS port. */
  serve(server: SecureServer, turnedAway: (reason: string, who: string) => void): void {
    server.onUpgrade('/peer', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const peer = replicaPeerOf(request.socket);
      if (peer !== null && !('refused' in peer)) {
        this.#link.accept(request, socket, head, peer.id);
        return;
      }
      turnedAway(`certificate refused: ${peer ? peer.refused : 'none was shown'}`, request.socket.remoteAddress ?? 'unknown');
      refuseUpgrade(socket, 'certificate_refused');
    });
  }

  /** What is wanted may have changed. */
  wantedChanged(): void {
    this.#keeper.changed();
  }

  get membership(): Membership {
    return this.log.status?.membership ?? this.#init.membership;
  }

  /** null: none is known, or it is this replica. */
  get leader(): Leader | null {
    const { leader } = this.log.status ?? { leader: null };
    if (leader === null || leader === this.#init.id) return null;
    return this.membership.find(({ id }) => id === leader) ?? null;
  }

  /** Voters other than this one, the leader first: whom a replica asks for what voters hold. */
  get otherVoters(): readonly Leader[] {
    const { leader } = this.log.status ?? { leader: null };
    const voters = this.membership.filter(({ id, role }) => role === 'voter' && id !== this.#init.id);
    return [...voters].sort((a, b) => Number(b.id === leader) - Number(a.id === leader));
  }

  get isVoter(): boolean {
    return this.membership.some(({ id, role }) => id === this.#init.id && role === 'voter');
  }

  /** Names of the replicas that there is a connection with. */
  get connected(): readonly string[] {
    return this.membership.filter(({ id }) => this.log.connected.has(id)).map(({ name }) => name);
  }

  replicaNamed(name: string): Leader | null {
    return this.membership.find((replica) => replica.name === name) ?? null;
  }

  view(): GroupView {
    const { log } = this;
    const { id: self } = this.#init;
    const status = log.status;
    const { membership } = this;
    const leads = status?.role === 'leader';
    const isThere = (id: string) => id === self || (log.connected.has(id) && !status?.silent.has(id));
    const reachable = votersOf(membership).filter(isThere);
    const wanted = [...this.#components.wanted()];
    const known = membership.map(({ id, name, url, role }) => ({
      id,
      name,
      url,
      role,
      wanted: wanted.find((record) => record.id === id)?.role ?? null,
      leads: id === status?.leader,
      self: id === self,
      connected: isThere(id),
      behind: leads ? Math.max(0, status.lastIndex - (id === self ? status.lastIndex : (status.matched.get(id) ?? 0))) : null,
    }));
    const awaited = wanted
      .filter(({ id }) => !membership.some((replica) => replica.id === id))
      .map(({ id, name, url, role }) => ({
        ...{ id, name, url, role: null, wanted: role },
        ...{ leads: false, self: id === self, connected: false, behind: null },
      }));
    return {
      leadership: this.#init.leadership,
      term: status?.term ?? 0,
      leader: membership.find(({ id }) => id === status?.leader)?.name ?? null,
      paused: status?.isPaused ?? false,
      quorum: reachable.length >= quorumOf(votersOf(membership).length),
      commit: status?.commit ?? 0,
      replicas: [...known, ...awaited],
    };
  }

  /** Before this replica goes: whoever takes over need not wait for an election. */
  handOver(): Promise<void> {
    return this.#keeper.handOver();
  }

  close(): void {
    this.#keeper.close();
  }
}

/** As many children as fit; the leader places on those it knows of. */
function encodeReport(report: PeerReport): Uint8Array {
  for (let { children } = report; ; children = children.slice(0, Math.floor(children.length / 2))) {
    const bytes = Buffer.from(JSON.stringify({ ...report, children }));
    if (bytes.length <= limits.peerAttachmentBytes) return bytes;
  }
}

function decodeReport(attachment: Uint8Array): PeerReport | null {
  try {
    const parsed = peerReportSchema.safeParse(JSON.parse(new TextDecoder().decode(attachment)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
