/**
 * Replicas whose log lies in etcd (ADR 0011): they are whom the log itself names, they have no links with each other,
 * and etcd says which of them leads.
 */
import { randomUUID } from 'node:crypto';
import type { EtcdAccess } from '../adapters/etcd/gateway.ts';
import { EtcdLog } from '../adapters/etcd/log.ts';
import type { Leader } from '../adapters/tls/leader-forwarding.ts';
import type { Leadership } from '../core/model/leadership.ts';
import type { GroupView, ReplicaRecord } from '../core/model/replicas.ts';
import type { Membership, ReplicaId } from '../core/raft/membership.ts';
import type { Clock } from '../ports/clock.ts';
import type { LogListener } from '../ports/log.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { readText, writeText } from './documents.ts';
import type { Replicated, ReplicatedLog } from './replicated.ts';

/** Which log has fed this replica: another one must never. */
const LOG_ID = 'etcd-log';

export interface EtcdReplicationComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly wanted: () => Iterable<ReplicaRecord>;
  /** Whether this replica has what it takes to lead: the authority. */
  readonly canLead: () => boolean;
  /** Who leads, or who is a replica, has changed. */
  readonly groupChanged: () => void;
}

export interface EtcdReplicationInit {
  readonly id: ReplicaId;
  readonly name: string;
  /** As long as the log names none. */
  readonly membership: Membership;
  readonly access: EtcdAccess;
  readonly logName: string;
}

export class EtcdReplication implements Replicated {
  readonly log: ReplicatedLog;
  readonly #etcd: EtcdLog;
  readonly #components: EtcdReplicationComponents;
  readonly #init: EtcdReplicationInit;
  #leadership: Leadership | null = null;
  #known = '';

  constructor(components: EtcdReplicationComponents, init: EtcdReplicationInit) {
    const { clock, logger, store } = components;
    this.#components = components;
    this.#init = init;
    this.#etcd = new EtcdLog(
      {
        clock,
        newId: randomUUID,
        warn: (message, details) => logger.warn(details, message),
        memory: {
          read: async () => (await readText(store, LOG_ID))?.trim() ?? null,
          write: (text) => writeText(store, LOG_ID, `${text}\n`),
        },
        mayLead: () => this.isVoter && components.canLead(),
      },
      { access: init.access, name: init.logName, replica: { id: init.id, name: init.name } },
    );
    this.log = this.#makeLog();
  }

  get membership(): Membership {
    const wanted = [...this.#components.wanted()].map(({ id, name, url, role }) => ({ id, name, url, role }));
    return wanted.length > 0 ? wanted : this.#init.membership;
  }

  get leader(): Leader | null {
    const name = this.#leadership?.leader ?? null;
    return name === null || name === this.#init.name ? null : this.replicaNamed(name);
  }

  get otherVoters(): readonly Leader[] {
    const name = this.#leadership?.leader;
    const voters = this.membership.filter(({ id, role }) => role === 'voter' && id !== this.#init.id);
    return [...voters].sort((a, b) => Number(b.name === name) - Number(a.name === name));
  }

  get isVoter(): boolean {
    return this.membership.some(({ id, role }) => id === this.#init.id && role === 'voter');
  }

  get connected(): readonly string[] {
    return [];
  }

  replicaNamed(name: string): Leader | null {
    return this.membership.find((replica) => replica.name === name) ?? null;
  }

  view(): GroupView {
    const { leads = false, leader = null, term = 0 } = this.#leadership ?? {};
    const commit = this.#etcd.index;
    return {
      ...{ leadership: 'standing', term, leader, paused: false, commit },
      // With nobody leading etcd is away, or one of them is about to lead.
      quorum: leader !== null,
      replicas: this.membership.map(({ id, name, url, role }) => {
        const self = id === this.#init.id;
        const connected = self ? true : null;
        return {
          ...{ id, name, url, role, wanted: role, self, connected },
          leads: name === leader,
          behind: self && leads ? 0 : null,
        };
      }),
    };
  }

  /** Replicas on etcd say nothing to each other. */
  serve(): void {}

  wantedChanged(): void {
    const known = JSON.stringify(this.membership);
    if (known === this.#known) return;
    this.#known = known;
    this.#etcd.reconsider();
    this.#components.groupChanged();
  }

  /** To close the log is to hand the lead over. */
  handOver(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}

  #makeLog(): ReplicatedLog {
    const etcd = this.#etcd;
    const leadershipOf = (): Leadership | null => this.#leadership;
    return {
      get status() {
        const leadership = leadershipOf();
        return leadership && { role: leadership.leads ? 'leader' : 'follower' };
      },
      connected: new Set(),
      open: (listener) => etcd.open(this.#hearing(listener)),
      propose: (proposal, data) => etcd.propose(proposal, data),
      compact: (snapshot, index) => etcd.compact(snapshot, index),
      close: () => etcd.close(),
      confirmRead: () => etcd.confirmRead(),
      wantLeadership() {},
      tell() {},
      ask() {},
    };
  }

  /** The same, and hears who leads. */
  #hearing(listener: LogListener): LogListener {
    return {
      restored: (snapshot, index) => listener.restored(snapshot, index),
      committed: (entries) => listener.committed(entries),
      ready: (leadership) => {
        this.#leadership = leadership;
        listener.ready(leadership);
        this.#components.groupChanged();
      },
      dropped: (proposal, reason, fate) => listener.dropped(proposal, reason, fate),
      failed: (error) => listener.failed(error),
    };
  }
}
