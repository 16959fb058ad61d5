/**
 * One life of a replica with the node in its process, put together as src/compose/orchestrator.ts,
 * src/compose/replication.ts and src/compose/local-node.ts do it in earnest, of the very drivers; the network, the disk
 * and the runtime are simulated.
 */
import { MemoryRaftStorage } from '../../adapters/memory/raft-storage.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { MemoryDownlink } from '../../adapters/memory/uplink.ts';
import { limits } from '../../core/base/limits.ts';
import { integerBetween, Prng } from '../../core/base/prng.ts';
import type { DownMessage } from '../../core/model/messages.ts';
import { type PeerReport, peerReportSchema } from '../../core/model/peer-report.ts';
import type { RequestAnswer } from '../../core/orchestrator/changes.ts';
import type { Membership } from '../../core/raft/membership.ts';
import { EngineDriver } from '../../node/engine-driver.ts';
import { JoinedDownlink } from '../../node/joined-downlink.ts';
import { parentOfLocalNode } from '../../node/local-parent.ts';
import { OrchestratorDriver } from '../../node/orchestrator-driver.ts';
import { RaftLog } from '../../node/raft-log.ts';
import { ReplicaKeeper } from '../../node/replica-keeper.ts';
import { sha256 } from '../../node/sha256.ts';
import { SwitchingUplink } from '../../node/switching-uplink.ts';
import type { Clock } from '../../ports/clock.ts';
import { silentLogger } from '../../ports/logger.ts';
import type { Downlink, Uplink } from '../../ports/uplink.ts';
import { Gate } from '../gate.ts';
import type { Life } from '../machine-clock.ts';
import { SimHostPorts, SimRuntime } from '../runtime.ts';
import { tappedLog } from '../tapped-log.ts';
import { Gateway } from './gateway.ts';
import type { ReplicaMachine } from './replica-machine.ts';

export class ReplicaProcess {
  readonly machine: ReplicaMachine;
  readonly life: Life;
  readonly gate = new Gate();
  readonly log: RaftLog;
  readonly driver: OrchestratorDriver;
  readonly gateway: Gateway;
  readonly keeper: ReplicaKeeper;
  engine: EngineDriver | null = null;
  /** Of the log's own entries nothing is seen: the last one that was delivered to the orchestrator. */
  deliveredIndex = 0;
  readonly #clock: Clock;
  readonly #inside: MemoryDownlink;
  readonly #uplink = new SwitchingUplink();
  readonly #insideUplink: Uplink;
  #remote: { readonly id: string; readonly uplink: Uplink } | null = null;
  #sessions = 0;

  constructor(machine: ReplicaMachine, life: Life) {
    this.machine = machine;
    this.life = life;
    const { group, self } = machine;
    const { knobs, peers, checkers } = group;
    this.#clock = this.gate.clock(machine.clock.of(life));
    const clock = this.#clock;
    this.#inside = new MemoryDownlink({ clock, schedule: (callback) => void clock.startTimer(0, callback) });
    this.#insideUplink = this.#inside.uplink(self.name);
    const isOnDemand = knobs.leadership === 'on-demand';
    const groupChanged = (): void => {
      if (isOnDemand) this.driver.peersConnected(this.#connected());
      this.#followGroup();
    };
    this.log = new RaftLog(
      {
        clock,
        random: this.#newRandom(),
        storage: this.gate.storage(new MemoryRaftStorage(machine.disk)),
        link: this.gate.peerLink(peers.link(self.id), () => {
          machine.frames += 1;
        }),
        frames: group.frames,
        attachment: () => (isOnDemand ? encodeReport(this.driver.core.peerReport(clock.nowMs())) : null),
        told: (name, attachment) => this.driver.peerTold(name, decodeReport(attachment)),
        membershipChanged: (membership) => {
          machine.note(`members ${membership.map(({ id, role }) => (role === 'voter' ? id : `(${id})`)).join(' ')}`);
          this.keeper.changed();
          groupChanged();
        },
        connectionsChanged: groupChanged,
      },
      {
        id: self.id,
        membership: machine.membership,
        leadership: knobs.leadership,
        electionTimeoutMinMs: 150,
        electionTimeoutMaxMs: 3_000,
        quietMs: 1_000,
      },
    );
    this.keeper = new ReplicaKeeper(
      {
        clock,
        log: this.log,
        wanted: () => this.driver.core.state.replicas.values(),
        told: (message, details) => machine.note(`${message} ${JSON.stringify(details)}`),
      },
      self.id,
    );
    this.driver = new OrchestratorDriver(
      {
        clock,
        logger: silentLogger,
        log: tappedLog(this.log, {
          restored: (snapshot, index) => group.checkers.restored(this, snapshot, index),
          entrySeen: (entry) => group.checkers.entrySeen(this, entry),
        }),
        downlink: this.#listened(new JoinedDownlink([this.#inside, this.gate.downlink(group.network.downlink(self.id, life))])),
        parent: group.parent && {
          uplink: this.gate.uplink(group.parent.uplink(life)),
          newSessionId: () => `up-${machine.lives}-${machine.id}-${++this.#sessions}`,
        },
        onStreamRequest: () => undefined,
        leadershipChanged: ({ leads, term, leader }) => {
          machine.note(leads ? `leads term ${term}` : `term ${term} of ${leader}`);
          this.#followGroup();
        },
        applied: () => this.keeper.changed(),
        group: this.log,
        onFailure: (error) => machine.processFailed(life, error),
      },
      {
        name: 'edge',
        epoch: `epoch-of-${self.id}-${integerBetween(this.#newRandom(), 0, 2 ** 31)}`,
        software: 'simulated',
        random: this.#newRandom(),
        policy: knobs.policy,
        heartbeatMs: 1_000,
        entriesPerSnapshot: knobs.entriesPerSnapshot,
        hash: sha256,
        leading: knobs.leadership,
        replica: { id: self.id, name: self.name, url: self.url, publicKeyFingerprint: self.name },
      },
    );
    this.gateway = new Gateway(
      {
        self: self.id,
        clock,
        driver: this.driver,
        log: this.log,
        membership: () => this.membership,
        forward: (to, question): Promise<RequestAnswer> => group.forward(this, to, question),
      },
      knobs.leadership,
    );
    checkers.processStarted(this);
  }

  get membership(): Membership {
    return this.log.status?.membership ?? this.machine.membership;
  }

  get isVoter(): boolean {
    return this.membership.some(({ id, role }) => id === this.machine.id && role === 'voter');
  }

  /** Whether a child finds its orchestrator here. */
  get servesChildren(): boolean {
    return this.driver.core.leads || (this.driver.core.serves && this.isVoter);
  }

  async start(): Promise<void> {
    await this.driver.start();
    const { machine, life } = this;
    const { host, init } = machine;
    if (!life.alive) return;
    const clock = this.#clock;
    this.engine = new EngineDriver(
      {
        clock,
        store: new MemoryStore(machine.disk),
        runtimes: init.runtimes.map((name) => new SimRuntime(host, name, life)),
        meter: { load: () => 0.1 },
        hostPorts: new SimHostPorts(host),
        parent: { uplink: this.#uplink, newSessionId: () => `${machine.lives}-${machine.id}-${++this.#sessions}` },
        logger: silentLogger,
        onStreamRequest: () => undefined,
        onFailure: (error) => machine.processFailed(life, error),
      },
      init,
      () => machine.name,
    );
    await this.engine.start();
    this.#followGroup();
  }

  /** Names of the replicas that there is a connection with. */
  #connected(): string[] {
    return this.membership.filter(({ id }) => this.log.connected.has(id)).map(({ name }) => name);
  }

  #followGroup(): void {
    const { id, name, group } = this.machine;
    const leads = this.driver.core.leads;
    const leader = this.gateway.leader();
    const parent = parentOfLocalNode(group.knobs.leadership, { self: id, leads, leader, group: this });
    if (parent?.id === id) {
      this.#remote = null;
      this.#uplink.turnTo(this.#insideUplink, 'its own replica serves now');
    } else if (parent !== null) {
      if (this.#remote?.id !== parent.id)
        this.#remote = { id: parent.id, uplink: group.uplinkOf(name, [parent.url], this.life, this.gate).uplink };
      this.#uplink.turnTo(this.#remote.uplink, `${parent.name} serves now`);
    }
    this.gateway.groupChanged();
    this.keeper.changed();
  }

  #listened(downlink: Downlink): Downlink {
    return {
      open: (listener) => downlink.open(listener),
      send: (child: string, message: DownMessage) => {
        if (message.type === 'desired') this.machine.group.checkers.told(this, child, message);
        downlink.send(child, message);
      },
      disconnect: (child) => downlink.disconnect(child),
      close: () => downlink.close(),
    };
  }

  #newRandom(): Prng {
    return new Prng(integerBetween(this.machine.components.random, 0, 2 ** 31));
  }
}

function encodeReport(report: PeerReport): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify(report));
  if (bytes.length > limits.peerAttachmentBytes) throw new Error('the simulated edge is too large for one attachment');
  return bytes;
}

function decodeReport(attachment: Uint8Array): PeerReport {
  return peerReportSchema.parse(JSON.parse(new TextDecoder().decode(attachment)));
}
