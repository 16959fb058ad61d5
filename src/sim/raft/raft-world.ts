/** Replicas of one log in a box, on virtual time, with their network, their clients' way to them, and what checks them. */
import { PeerNetwork } from '../../adapters/memory/peer-link.ts';
import { must } from '../../core/base/assert.ts';
import { chance, integerBetween, Prng } from '../../core/base/prng.ts';
import type { MembershipChange } from '../../core/raft/contract.ts';
import type { Membership, Replica } from '../../core/raft/membership.ts';
import type { RaftStatus } from '../../core/raft/raft.ts';
import type { RaftLogComponents } from '../../node/raft-log-components.ts';
import { EventLoop } from '../event-loop.ts';
import { MachineClock } from '../machine-clock.ts';
import { Trace } from '../trace.ts';
import { RaftCheckers } from './raft-checkers.ts';
import type { RaftKnobs } from './raft-knobs.ts';
import { RegisterServer, type Reply, type ServerWatch } from './register-server.ts';
import { ReplicaMachine } from './replica.ts';

export class RaftWorld extends EventLoop {
  readonly knobs: RaftKnobs;
  readonly random: Prng;
  readonly trace: Trace;
  readonly network: PeerNetwork;
  readonly checkers = new RaftCheckers();
  readonly machines = new Map<string, ReplicaMachine>();
  /** What happened by itself, and how often. */
  readonly seen = new Map<string, number>();
  readonly #servers = new Map<ReplicaMachine, RegisterServer>();
  readonly #frames: RaftLogComponents['frames'];
  readonly #founders: Membership;

  constructor(knobs: RaftKnobs, frames: RaftLogComponents['frames'], print: ((line: string) => void) | null = null) {
    super();
    this.knobs = knobs;
    this.#frames = frames;
    this.random = new Prng(knobs.seed ^ 0x5eed);
    this.trace = new Trace(this.clock, print);
    const { latencyMs, jitterMs, silenceMs } = knobs;
    this.network = new PeerNetwork({ clock: this.clock, random: this.random }, { latencyMs, jitterMs, silenceMs });
    this.#founders = Array.from({ length: knobs.voters }, (_, at) => replicaOf(at + 1, 'voter'));
    for (const founder of this.#founders) this.#create(founder, this.#founders);
  }

  /** One that belongs to nothing yet, and is told who does. */
  add(role: Replica['role']): Replica {
    const self = replicaOf(this.machines.size + 1, role);
    this.#create(self, this.newest()?.membership ?? []);
    return self;
  }

  #create(self: Replica, membership: Membership): void {
    const { knobs, clock, network, random, trace } = this;
    const driftPpm = integerBetween(random, -knobs.driftPpm, knobs.driftPpm);
    const machine = new ReplicaMachine(
      self,
      {
        world: clock,
        clock: new MachineClock(clock, integerBetween(random, 0, 1e6), driftPpm),
        network,
        random,
        trace,
        frames: this.#frames,
        serve: (replica, log) => {
          const init = { isOnDemand: knobs.leadership === 'on-demand', entriesPerSnapshot: knobs.entriesPerSnapshot };
          const server = new RegisterServer(replica, log, this.#watch(), init);
          this.#servers.set(replica, server);
          return listenerOf(server);
        },
        fail: (error) => this.fail(error),
      },
      {
        membership,
        leadership: knobs.leadership,
        electionTimeoutMinMs: 150,
        electionTimeoutMaxMs: 3_000,
        quietMs: knobs.quietMs,
      },
    );
    machine.disk.syncMs = knobs.syncMs;
    this.machines.set(self.id, machine);
  }

  #watch(): ServerWatch {
    const { checkers } = this;
    return {
      applied: (replica, { index }, command) => checkers.applied(replica, index, command),
      restored: (replica, registers) => {
        this.saw('snapshotRestored');
        replica.note(`is restored to ${registers.index}`);
        checkers.holds(replica, registers);
      },
      leads: (replica, leadership) => {
        replica.note(`leads term ${leadership.term}`);
        checkers.leads(replica, leadership);
      },
      dropped: (_, command, fate) => checkers.dropped(command, fate),
      compacted: () => this.saw('compaction'),
      failed: (error) => this.fail(error),
    };
  }

  saw(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  machine(id: string): ReplicaMachine {
    return must(this.machines.get(id), id);
  }

  server(machine: ReplicaMachine): RegisterServer | null {
    return machine.log === null ? null : (this.#servers.get(machine) ?? null);
  }

  /** Of those that lead the one of the newest term. */
  leader(): ReplicaMachine | null {
    const leaders = [...this.machines.values()].flatMap((machine) => {
      const leadership = this.server(machine)?.leadership;
      return leadership?.leads ? [{ machine, term: leadership.term }] : [];
    });
    return leaders.sort((a, b) => b.term - a.term)[0]?.machine ?? null;
  }

  /** What the leader knows, else whoever knows of most commits. */
  newest(): RaftStatus | null {
    const known = [...this.machines.values()].flatMap(({ log }) => log?.status ?? []);
    const leader = this.leader()?.log?.status;
    return leader ?? known.sort((a, b) => b.commit - a.commit)[0] ?? null;
  }

  change(change: MembershipChange): void {
    const leader = this.leader();
    if (!leader?.log) return;
    leader.note(`is asked to ${JSON.stringify(change)}`);
    leader.log.changeMembership(change).then(
      (refusal) => leader.note(`${change.do}: ${refusal ?? 'done'}`),
      (error: unknown) => this.fail(error),
    );
  }

  /** A client's question on its way to a replica, and the answer on its way back. */
  ask(
    to: string,
    question: (server: RegisterServer, reply: (reply: Reply) => void) => void,
    answered: (reply: Reply) => void,
  ): void {
    const machine = this.machine(to);
    const hopMs = (): number => this.random.next() * 2 * this.knobs.latencyMs;
    this.clock.startTimer(hopMs(), () => {
      machine.receives(() => {
        const server = this.server(machine);
        if (!server) return;
        question(server, (reply) => {
          if (this.server(machine) !== server) return; // its process has ended
          if (chance(this.random, this.knobs.answersLost)) this.saw('answerLost');
          else this.clock.startTimer(hopMs(), () => answered(reply));
        });
      });
    });
  }
}

/** Its methods, as a log calls them: a class's are not its own properties, so that they could be spread. */
function listenerOf(server: RegisterServer): RegisterServerListener {
  return {
    restored: (snapshot, index) => server.restored(snapshot, index),
    committed: (entries) => server.committed(entries),
    ready: (leadership) => server.ready(leadership),
    dropped: (proposal, reason, fate) => server.dropped(proposal, reason, fate),
    failed: (error) => server.failed(error),
  };
}
type RegisterServerListener = Pick<RegisterServer, 'restored' | 'committed' | 'ready' | 'dropped' | 'failed'>;

function replicaOf(number: number, role: Replica['role']): Replica {
  const id = `r${number}`;
  return { id, name: id, url: `https://${id}:7443`, role };
}
