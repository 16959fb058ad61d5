/** A private etcd, wires to it that a test can cut, and replicas of logs in it, each with what its data directory would remember. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { EtcdAccess } from '../../src/adapters/etcd/gateway.ts';
import { EtcdLog } from '../../src/adapters/etcd/log.ts';
import { systemClock } from '../../src/adapters/system-clock/clock.ts';
import { ETCD_PASSWORD, Etcd, type EtcdOptions } from './etcd.ts';
import type { EtcdCertificates } from './etcd-certificates.ts';
import { TcpProxy } from './tcp-proxy.ts';

export interface ReplicaOptions {
  /** Of the replica; a start with the same is the same replica again. */
  readonly id?: string;
  /** Through these, instead of straight to etcd. */
  readonly wires?: readonly TcpProxy[];
  readonly access?: Partial<EtcdAccess>;
  readonly openMs?: number;
  readonly mayLead?: () => boolean;
}

export class EtcdSite {
  readonly etcd: Etcd;
  readonly warnings: string[] = [];
  readonly #options: EtcdOptions;
  readonly #memories = new Map<string, string>();
  readonly #wires: TcpProxy[] = [];
  readonly #open = new Set<EtcdLog>();
  /** Of the log; a new one with each `clear`. */
  name = newName();

  private constructor(etcd: Etcd, options: EtcdOptions) {
    this.etcd = etcd;
    this.#options = options;
  }

  static async open(options: EtcdOptions = {}): Promise<EtcdSite> {
    return new EtcdSite(await Etcd.start(options), options);
  }

  replica(options: ReplicaOptions = {}): EtcdLog {
    const id = options.id ?? 'r1';
    const memory = `${this.name}/${id}`;
    const ports = (options.wires ?? this.etcd.members).map(({ port }) => port);
    const log = new EtcdLog(
      {
        clock: systemClock,
        newId: randomUUID,
        warn: (message, details) => this.warnings.push(`${id}: ${message} ${JSON.stringify(details)}`),
        memory: {
          read: async () => this.#memories.get(memory) ?? null,
          write: async (logId) => void this.#memories.set(memory, logId),
        },
        mayLead: options.mayLead ?? (() => true),
      },
      {
        access: {
          endpoints: ports.map((port) => ({ host: '127.0.0.1', port })),
          tls: this.etcd.certificates === null ? null : readCertificates(this.etcd.certificates),
          user: this.#options.auth ? { name: 'tendril', password: ETCD_PASSWORD } : null,
          ...options.access,
        },
        name: this.name,
        replica: { id, name: `node-${id}` },
        ...(options.openMs === undefined ? {} : { openMs: options.openMs }),
      },
    );
    this.#open.add(log);
    return log;
  }

  /** A wire to one member. */
  async wire(member = 0): Promise<TcpProxy> {
    const wire = await TcpProxy.open(() => this.etcd.members[member]?.port ?? 0);
    this.#wires.push(wire);
    return wire;
  }

  /** Every log that is still open, and every wire; then there is room for another log. */
  async clear(): Promise<void> {
    for (const wire of this.#wires) wire.heal();
    await Promise.all([...this.#open].map((log) => log.close()));
    this.#open.clear();
    for (const wire of this.#wires.splice(0)) await wire.close();
    this.name = newName();
    this.warnings.length = 0;
  }

  async close(): Promise<void> {
    await this.clear();
    await this.etcd.stop();
  }
}

export function readCertificates({ caFile, clientFile, clientKeyFile }: EtcdCertificates) {
  return {
    ca: readFileSync(caFile, 'utf8'),
    certificate: readFileSync(clientFile, 'utf8'),
    key: readFileSync(clientKeyFile, 'utf8'),
  };
}

function newName(): string {
  return `log-${randomUUID().slice(0, 8)}`;
}
