/**
 * A simulated machine with one replica of a log: a disk and a clock that outlive everything, and one process at a time,
 * which is the very driver that runs in earnest (node/raft-log.ts) with whatever it serves. It can be killed, lose its
 * power, be stopped, and sleep.
 */
import { MemoryDisk } from '../../adapters/memory/disk.ts';
import type { PeerNetwork } from '../../adapters/memory/peer-link.ts';
import { MemoryRaftStorage } from '../../adapters/memory/raft-storage.ts';
import { integerBetween, Prng, type Random } from '../../core/base/prng.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { RaftInit } from '../../core/raft/contract.ts';
import type { Membership, Replica } from '../../core/raft/membership.ts';
import { RaftLog } from '../../node/raft-log.ts';
import type { RaftLogComponents } from '../../node/raft-log-components.ts';
import type { Clock } from '../../ports/clock.ts';
import type { LogListener } from '../../ports/log.ts';
import type { PeerLink } from '../../ports/peer-link.ts';
import { Gate } from '../gate.ts';
import type { Life, MachineClock } from '../machine-clock.ts';
import type { Trace } from '../trace.ts';

export interface ReplicaComponents {
  readonly world: Clock;
  readonly clock: MachineClock;
  readonly network: PeerNetwork;
  readonly random: Random;
  readonly trace: Trace;
  readonly frames: RaftLogComponents['frames'];
  /** Whom a log goes on with. A new one for each process. */
  readonly serve: (replica: ReplicaMachine, log: RaftLog) => LogListener;
  /** Something happened that no fault explains. */
  readonly fail: (error: unknown) => void;
}

export type ReplicaInit = Omit<RaftInit, 'id' | 'membership'> & {
  /** Of a log that begins: all who found it, or whom one that joins is told of. */
  readonly membership: Membership;
};

export class ReplicaMachine {
  readonly self: Replica;
  readonly disk: MemoryDisk;
  log: RaftLog | null = null;
  /** Its disk is damaged: it never comes back. */
  isLost = false;
  /** Frames that it has sent. */
  frames = 0;
  readonly #components: ReplicaComponents;
  readonly #init: ReplicaInit;
  #life: Life | null = null;
  #gate = new Gate();

  constructor(self: Replica, components: ReplicaComponents, init: ReplicaInit) {
    this.self = self;
    this.#components = components;
    this.#init = init;
    this.disk = new MemoryDisk(components.world);
  }

  get id(): string {
    return this.self.id;
  }

  get isUp(): boolean {
    return this.#life !== null;
  }

  get isStopped(): boolean {
    return !this.#gate.isOpen;
  }

  start(): void {
    if (this.#life !== null || this.isLost) return;
    const { clock, network, frames, random, serve } = this.#components;
    const life = { alive: true };
    const gate = new Gate();
    this.#life = life;
    this.#gate = gate;
    this.note('starts');
    const log = new RaftLog(
      {
        clock: gate.clock(clock.of(life)),
        random: new Prng(integerBetween(random, 0, 2 ** 31)),
        storage: gate.storage(new MemoryRaftStorage(this.disk)),
        link: this.#watched(network.link(this.id), gate),
        frames,
        attachment: () => (this.#init.leadership === 'standing' ? null : LOAD),
        membershipChanged: (membership) =>
          this.note(`members ${membership.map(({ id, role }) => (role === 'voter' ? id : `(${id})`)).join(' ')}`),
      },
      { ...this.#init, id: this.id },
    );
    this.log = log;
    const listener = serve(this, log);
    log.open({ ...listener, failed: (error) => this.#failed(life, error) }).catch((error) => this.#failed(life, error));
  }

  /** kill -9, or with `isPowerCut` the whole machine; then a write may be torn. */
  kill(isPowerCut: boolean): void {
    if (this.#life === null) return;
    this.note(isPowerCut ? 'power cut' : 'killed');
    this.#life.alive = false;
    this.#life = null;
    this.#gate = new Gate();
    this.log = null;
    this.disk.crash(this.#components.random, isPowerCut ? 1 : 0);
    this.#components.network.crash(this.id, { isPowerCut });
  }

  /** SIGSTOP for a while; with `isAsleep` its clock stands, too. False when it does not run. */
  stop(ms: number, isAsleep: boolean): boolean {
    const gate = this.#gate;
    if (this.#life === null || !gate.isOpen) return false;
    this.note(`${isAsleep ? 'sleeps' : 'is stopped'} for ${ms} ms`);
    gate.close();
    this.#components.world.startTimer(ms, () => {
      if (gate !== this.#gate) return; // its process has ended meanwhile
      if (isAsleep) this.#components.clock.slept(ms);
      gate.open();
    });
    return true;
  }

  /** What reaches its process, when it runs. */
  receives(callback: () => void): void {
    const life = this.#life;
    if (life === null) return;
    this.#gate.pass(() => {
      if (life.alive) callback();
    });
  }

  note(what: string): void {
    this.#components.trace.add(this.id, what);
  }

  /** A process whose disk fails says so and ends, and one whose disk is damaged does not start; any other failure is a bug. */
  #failed(life: Life, error: unknown): void {
    if (!life.alive) return;
    if (!(error instanceof CodedError)) this.#components.fail(error);
    else if (error.code === 'data_dir_corrupt') {
      this.isLost = true;
      this.note(`does not start: ${error.message}`);
      this.kill(false);
    } else if (error.code === 'disk_full') {
      this.kill(false);
      this.#components.world.startTimer(RESTART_MS, () => this.start());
    } else this.#components.fail(error);
  }

  #watched(link: PeerLink, gate: Gate): PeerLink {
    return {
      ...gate.peerLink(link, () => {
        this.frames += 1;
      }),
      refuse: (peer) => {
        this.#components.fail(new Error(`${this.id} refuses a frame of ${peer}`));
        link.refuse(peer);
      },
    };
  }
}

/** Whoever watches over a process starts it again. */
const RESTART_MS = 1_000;
/** What it tells with its votes. */
const LOAD = Uint8Array.of(1);
