/** Replicas of one log, each a process of its own, with their certificates, disks and the wires between them. Loopback. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildIdentity } from '../../src/adapters/tls/dial.ts';
import { must } from '../../src/core/base/assert.ts';
import type { Membership } from '../../src/core/raft/membership.ts';
import type { RaftLog } from '../../src/node/raft-log.ts';
import { Certificates } from '../../test/rig/certificates.ts';
import { freePort } from '../../test/rig/free-port.ts';
import { until } from '../../test/rig/until.ts';
import { Part } from '../parts/part.ts';
import { type MemberConfig, startMember } from './member.ts';

export interface GroupOptions {
  readonly voters: number;
  /** The part that each replica is. */
  readonly program: string;
  readonly leadership?: MemberConfig['leadership'];
  readonly quietMs?: number;
  /** Where the others reach a port: through a wire, or as it is. */
  readonly wireTo?: (port: number) => Promise<number>;
  readonly nodeFlags?: readonly string[];
  /** The first replica is opened by whoever calls, in this process. */
  readonly isFirstHere?: boolean;
}

/** What the parts of a group tell of themselves, among other things. */
export interface ReplicaStatus {
  readonly leads: boolean;
  readonly leader: string | null;
  readonly isPaused: boolean;
  readonly commit: number;
  readonly lastIndex: number;
}

/** What they are told. */
export interface ReplicaConfig extends MemberConfig {
  /** Where clients put values. */
  readonly putPort: number;
  /** Where this replica reaches that port of the others. */
  readonly forwardPorts: Readonly<Record<string, number>>;
}

export interface GroupReplica {
  readonly id: string;
  readonly putPort: number;
  readonly peerPort: number;
  part: Part | null;
}

const ELECTION_LIMIT_MS = 20_000;

export class Group {
  readonly replicas: readonly GroupReplica[];
  readonly #options: GroupOptions;
  readonly #directory: string;
  readonly #identities: ReadonlyMap<string, ChildIdentity>;
  readonly #membership: Membership;
  readonly #forwardPorts: Readonly<Record<string, number>>;
  #closeHere: () => Promise<void> = () => Promise.resolve();

  private constructor(
    options: GroupOptions,
    directory: string,
    replicas: readonly GroupReplica[],
    identities: ReadonlyMap<string, ChildIdentity>,
    membership: Membership,
    forwardPorts: Readonly<Record<string, number>>,
  ) {
    this.#options = options;
    this.#directory = directory;
    this.replicas = replicas;
    this.#identities = identities;
    this.#membership = membership;
    this.#forwardPorts = forwardPorts;
  }

  static async open(options: GroupOptions): Promise<Group> {
    const certificates = await Certificates.make();
    const wireTo = options.wireTo ?? ((port) => Promise.resolve(port));
    const replicas: GroupReplica[] = [];
    const identities = new Map<string, ChildIdentity>();
    const membership: Membership[number][] = [];
    const forwardPorts: Record<string, number> = {};
    for (let at = 1; at <= options.voters; at += 1) {
      const id = `r${at}`;
      const replica = { id, putPort: await freePort(), peerPort: await freePort(), part: null };
      replicas.push(replica);
      identities.set(id, await certificates.replicaIdentity(id, id));
      membership.push({ id, name: id, url: `https://127.0.0.1:${await wireTo(replica.peerPort)}`, role: 'voter' });
      forwardPorts[id] = await wireTo(replica.putPort);
    }
    const directory = await mkdtemp(join(tmpdir(), 'tendril-bench-'));
    const group = new Group(options, directory, replicas, identities, membership, forwardPorts);
    try {
      await Promise.all(replicas.slice(options.isFirstHere ? 1 : 0).map((replica) => group.start(replica)));
      return group;
    } catch (error) {
      await group.close();
      throw error;
    }
  }

  /** A new life of the replica, on what it had written. */
  async start(replica: GroupReplica): Promise<void> {
    const part = new Part(this.#options.program, this.#options.nodeFlags);
    replica.part = part;
    await part.ask('start', this.#configOf(replica));
  }

  #configOf(replica: GroupReplica): ReplicaConfig {
    const { leadership = 'standing', quietMs = 1_000 } = this.#options;
    return {
      id: replica.id,
      directory: join(this.#directory, replica.id),
      membership: this.#membership,
      identity: must(this.#identities.get(replica.id), 'a certificate'),
      peerPort: replica.peerPort,
      putPort: replica.putPort,
      forwardPorts: this.#forwardPorts,
      leadership,
      quietMs,
    };
  }

  /** The log of the first replica, in this process, to be opened, led and closed; `leads` resolves when it leads. */
  async logHere(): Promise<{ readonly log: RaftLog; readonly leads: () => Promise<unknown> }> {
    const [first, ...others] = this.replicas;
    const { id, ...config } = this.#configOf(must(first, 'a first replica'));
    const { log, closePort } = await startMember({ id, ...config });
    this.#closeHere = closePort;
    const leads = () =>
      until(
        'the replica of this process leads',
        async () => {
          // Whoever was elected first hands over.
          if (log.status?.role !== 'leader') await Promise.all(others.map((other) => this.partOf(other).ask('handOver', id)));
          return log.status?.role === 'leader';
        },
        ELECTION_LIMIT_MS,
      );
    return { log, leads };
  }

  partOf(replica: GroupReplica): Part {
    return must(replica.part, `a process of ${replica.id}`);
  }

  status(replica: GroupReplica): Promise<ReplicaStatus> {
    return this.partOf(replica).ask('status');
  }

  /** Resolves when one leads and all have all of its log. */
  async settled(): Promise<GroupReplica> {
    let statuses: readonly ReplicaStatus[] = [];
    return until(
      'one leads, and all have its log',
      async () => {
        statuses = await Promise.all(this.replicas.map((replica) => this.status(replica)));
        const leading = statuses.findIndex(({ leads }) => leads);
        const { lastIndex = 0 } = statuses[leading] ?? {};
        const isSettled = statuses.every(({ commit, leader }) => commit === lastIndex && leader === this.replicas[leading]?.id);
        return leading >= 0 && isSettled && this.replicas[leading];
      },
      ELECTION_LIMIT_MS,
      () => statuses.map((status, at) => `${this.replicas[at]?.id}: ${JSON.stringify(status)}`).join('\n'),
    );
  }

  /** On demand: resolves when all have the same log and keep quiet. */
  async paused(): Promise<void> {
    await until(
      'all have the same log and are paused',
      async () => {
        const statuses = await Promise.all(this.replicas.map((replica) => this.status(replica)));
        const [first] = statuses;
        return statuses.every(({ isPaused, commit, lastIndex }) => isPaused && commit === lastIndex && commit === first?.commit);
      },
      ELECTION_LIMIT_MS,
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.replicas.map(({ part }) => part?.kill()));
    await this.#closeHere();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
