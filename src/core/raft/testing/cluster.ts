/**
 * Replicas on virtual time, over a network and disks that do what they do at the edge: lose, delay, reorder, repeat,
 * pass one way only; stop, forget what was not synced. After every step the invariants of the Raft paper's figure 3 are
 * checked over all replicas. A run is a function of its seed.
 */
import { assert, must } from '../../base/assert.ts';
import { limits } from '../../base/limits.ts';
import { chance, integerBetween, Prng, pick } from '../../base/prng.ts';
import type { HardState, MembershipChange, RaftEffect, RaftInit, RaftInput } from '../contract.ts';
import { changed, type Membership, type Replica, type ReplicaId, votersOf } from '../membership.ts';
import type { RaftEntry, RaftMessage, SnapshotHead } from '../messages.ts';
import { piecesOf, Raft } from '../raft.ts';

export interface ClusterKnobs {
  readonly seed: number;
  readonly voters: number;
  readonly leadership: RaftInit['leadership'];
  readonly latencyMs: number;
  readonly lossRate: number;
  readonly repeatRate: number;
  readonly syncMs: number;
  readonly entriesPerSnapshot: number;
}

/** Bends what a replica does: how the test shows that it would notice. */
export interface Bend {
  /** Sends without waiting for the disk. */
  readonly skipSync?: boolean;
  /** Forgets term and vote in a crash. */
  readonly forgetTerm?: boolean;
  /** Changes a message on its way out. */
  readonly alter?: (message: RaftMessage, raft: Raft) => RaftMessage;
}

interface Disk {
  hard: HardState;
  snapshot: { head: SnapshotHead; content: string } | null;
  entries: RaftEntry[];
  pieces: string[];
}

interface PendingWrite {
  readonly apply: (disk: Disk) => void;
  readonly done: () => void;
}

class Member {
  readonly id: ReplicaId;
  raft: Raft | null = null;
  readonly disk: Disk = { hard: { term: 0, votedFor: null }, snapshot: null, entries: [], pieces: [] };
  pending: PendingWrite[] = [];
  durable = 0;
  held: Extract<RaftEffect, { type: 'send' }>[] = [];
  life = 0;
  busyUntilMs = 0;
  pausedUntilMs = 0;
  /** What the state machine has applied: by index. */
  applied: string[] = [];
  appliedIndex = 0;
  snapshotIndex = 0;
  leaderTerm = 0;
  constructor(id: ReplicaId) {
    this.id = id;
  }
}

interface Timed {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
}

export class Cluster {
  readonly random: Prng;
  readonly members = new Map<ReplicaId, Member>();
  readonly fired = new Map<string, number>();
  nowMs = 1_000;
  readonly #knobs: ClusterKnobs;
  readonly #bend: Bend;
  #timed: Timed[] = [];
  #sequence = 0;
  readonly #cut = new Set<string>();
  #calm = false;
  #nextProposal = 1;
  readonly #origins = new Map<number, string>();
  readonly acknowledged = new Map<string, number>();
  readonly #dropped = new Map<string, string>();
  /** Index to what is committed there, over all replicas. */
  readonly #committed = new Map<number, string>();
  /** Up to which index was committed when a term was the newest that whoever learned of it knew. */
  readonly #committedInTerm = new Map<number, number>();
  readonly #leaders = new Map<number, ReplicaId>();
  #wishes: Membership;
  elections = 0;
  readsDone = 0;
  readonly #reads = new Map<string, number>();

  constructor(knobs: ClusterKnobs, bend: Bend = {}) {
    this.#knobs = knobs;
    this.#bend = bend;
    this.random = new Prng(knobs.seed);
    const first = replica('r1', 'voter');
    this.#wishes = [first];
    for (let n = 1; n <= knobs.voters; n += 1) this.members.set(`r${n}`, new Member(`r${n}`));
    if (knobs.voters > 1) this.#wishes = [...this.members.keys()].map((id) => replica(id, 'voter'));
    for (const id of this.members.keys()) this.start(id);
  }

  get calm(): boolean {
    return this.#calm;
  }

  after(delayMs: number, run: () => void): void {
    this.#timed.push({ atMs: this.nowMs + delayMs, sequence: ++this.#sequence, run });
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      let next: Timed | undefined;
      for (const timed of this.#timed)
        if (!next || timed.atMs < next.atMs || (timed.atMs === next.atMs && timed.sequence < next.sequence)) next = timed;
      if (!next || next.atMs > endMs) break;
      this.#timed.splice(this.#timed.indexOf(next), 1);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = endMs;
  }

  start(id: ReplicaId): void {
    const member = must(this.members.get(id), id);
    if (member.raft) return;
    const { disk } = member;
    const base = disk.snapshot?.head.index ?? 0;
    const init: RaftInit = {
      id,
      membership: this.#wishes,
      leadership: this.#knobs.leadership,
      electionTimeoutMinMs: 150,
      electionTimeoutMaxMs: 3_000,
      quietMs: 400,
    };
    member.raft = new Raft(
      init,
      { hard: disk.hard, snapshot: disk.snapshot?.head ?? null, entries: disk.entries.filter(({ index }) => index > base) },
      new Prng(integerBetween(this.random, 0, 2 ** 31)),
    );
    member.applied = disk.snapshot ? JSON.parse(disk.snapshot.content) : [];
    member.appliedIndex = member.snapshotIndex = base;
    member.durable = 0;
    this.step(member, { type: 'timePassed' });
  }

  kill(id: ReplicaId): void {
    const member = must(this.members.get(id), id);
    if (!member.raft) return;
    this.#fire('kill');
    member.raft = null;
    member.life += 1;
    this.#wakes.delete(member);
    const survivors = integerBetween(this.random, 0, member.pending.length);
    for (const { apply } of member.pending.slice(0, survivors)) apply(member.disk);
    if (this.#bend.forgetTerm) member.disk.hard = { term: 0, votedFor: null };
    member.pending = [];
    member.held = [];
    member.busyUntilMs = 0;
    for (const other of this.members.values())
      if (chance(this.random, 0.5)) this.after(this.#delayMs(), () => this.step(other, { type: 'peerDisconnected', peer: id }));
  }

  cut(from: ReplicaId, to: ReplicaId): void {
    this.#fire('cut');
    this.#cut.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** SIGSTOP for a while. */
  freeze(id: ReplicaId, ms: number): void {
    this.#fire('freeze');
    must(this.members.get(id), id).pausedUntilMs = this.nowMs + ms;
  }

  propose(id: ReplicaId, count = 1): void {
    const member = must(this.members.get(id), id);
    const proposals = [];
    for (let n = 0; n < count; n += 1) {
      const proposal = this.#nextProposal++;
      this.#origins.set(proposal, `p${proposal}`);
      proposals.push({ proposal, data: Uint8Array.from(`p${proposal}`, (c) => c.charCodeAt(0)) });
    }
    this.step(member, { type: 'proposed', proposals });
  }

  change(id: ReplicaId, change: MembershipChange): void {
    const member = must(this.members.get(id), id);
    this.step(member, { type: 'membershipProposed', proposal: this.#nextProposal++, change });
  }

  read(id: ReplicaId): void {
    const member = must(this.members.get(id), id);
    const read = this.#nextProposal++;
    this.#reads.set(`${id}/${member.life}/${read}`, Math.max(0, ...this.#committed.keys()));
    this.step(member, { type: 'readRequested', read });
  }

  addMember(id: ReplicaId): void {
    if (this.members.has(id)) return;
    this.members.set(id, new Member(id));
    const wishes = this.#wishes;
    this.#wishes = [];
    this.start(id);
    this.#wishes = wishes;
  }

  leader(): Member | null {
    let best: Member | null = null;
    for (const member of this.members.values())
      if (member.raft?.status.role === 'leader' && member.raft.status.term > (best?.raft?.status.term ?? -1)) best = member;
    return best;
  }

  setCalm(): void {
    this.#calm = true;
    this.heal();
    for (const id of this.members.keys()) this.start(id);
  }

  step(member: Member, input: RaftInput): void {
    const { raft } = member;
    if (!raft) return;
    if (member.pausedUntilMs > this.nowMs) {
      const { life } = member;
      this.after(member.pausedUntilMs - this.nowMs, () => {
        if (member.life === life) this.step(member, input);
      });
      return;
    }
    const before = raft.status;
    const effects = raft.step(this.nowMs, input);
    const { status } = raft;
    assert(status.term >= before.term && status.commit >= before.commit, 'F1: term and commit never go back');
    for (const effect of effects) this.#carryOut(member, raft, effect);
    if (status.role === 'leader') {
      const known = this.#leaders.get(status.term);
      assert(known === undefined || known === member.id, `election safety: ${known} and ${member.id} lead term ${status.term}`);
      if (known === undefined) this.elections += 1;
      this.#leaders.set(status.term, member.id);
      if (member.leaderTerm !== status.term) {
        member.leaderTerm = status.term;
        this.#checkCompleteness(member, raft);
      }
    }
    this.#wake(member, raft);
  }

  #wakes = new Map<Member, number>();

  #wake(member: Member, raft: Raft): void {
    const { wakeAtMs } = raft;
    if (wakeAtMs === null) return;
    const planned = this.#wakes.get(member);
    if (planned !== undefined && planned <= wakeAtMs && planned > this.nowMs) return;
    this.#wakes.set(member, wakeAtMs);
    const { life } = member;
    this.after(Math.max(0, wakeAtMs - this.nowMs), () => {
      if (member.life !== life) return;
      if (this.#wakes.get(member) === wakeAtMs) this.#wakes.delete(member);
      const dueMs = raft.wakeAtMs;
      if (dueMs !== null && dueMs <= this.nowMs) this.step(member, { type: 'timePassed' });
      else this.#wake(member, raft);
    });
  }

  #carryOut(member: Member, raft: Raft, effect: RaftEffect): void {
    switch (effect.type) {
      case 'persist':
        this.#write(member, raft, effect.write, (disk) => {
          if (effect.hard) disk.hard = effect.hard;
          const [first] = effect.entries;
          if (first) disk.entries = [...disk.entries.filter(({ index }) => index < first.index), ...effect.entries];
        });
        return;
      case 'send': {
        const message = this.#bend.alter?.(effect.message, raft) ?? effect.message;
        if (effect.after <= member.durable || this.#bend.skipSync) this.#transmit(member.id, effect.to, message);
        else member.held.push({ ...effect, message });
        return;
      }
      case 'sendPiece': {
        const { snapshot } = member.disk;
        if (snapshot?.head.index !== effect.head.index) return;
        const size = limits.snapshotPieceBytes;
        const text = snapshot.content.slice(effect.piece * size, (effect.piece + 1) * size);
        const data = Uint8Array.from(text, (c) => c.charCodeAt(0));
        this.#transmit(member.id, effect.to, {
          type: 'snapshotPiece',
          term: effect.term,
          head: effect.head,
          piece: effect.piece,
          data,
        });
        return;
      }
      case 'keepPiece':
        this.#write(member, raft, effect.write, (disk) => {
          if (effect.piece === 0) disk.pieces = [];
          disk.pieces[effect.piece] = String.fromCharCode(...effect.data);
        });
        return;
      case 'adoptSnapshot':
        this.#fire('snapshot');
        this.#write(member, raft, effect.write, (disk) => {
          const content = disk.pieces.join('');
          assert(disk.pieces.length === piecesOf(effect.head) && content.length === effect.head.bytes, 'all pieces are there');
          disk.snapshot = { head: effect.head, content };
          disk.entries = [];
          disk.pieces = [];
          if (member.raft !== raft) return;
          member.applied = JSON.parse(content);
          member.appliedIndex = member.snapshotIndex = effect.head.index;
          for (const [at, text] of member.applied.entries()) this.#checkCommitted(at + 1, text);
        });
        return;
      case 'committed':
        for (const entry of effect.entries) this.#apply(member, entry, entry.proposal);
        this.#compact(member, raft);
        return;
      case 'dropped': {
        const name = this.#origins.get(effect.proposal);
        if (name && effect.fate === 'never') this.#dropped.set(name, effect.reason);
        return;
      }
      case 'readReady': {
        const key = `${member.id}/${member.life}/${effect.read}`;
        const floor = must(this.#reads.get(key), 'a read that was asked');
        this.#reads.delete(key);
        if (effect.index === null) return;
        this.readsDone += 1;
        assert(member.appliedIndex >= floor, `a read at ${member.appliedIndex} misses ${floor}, committed before it was asked`);
        return;
      }
      default:
    }
  }

  #apply(member: Member, entry: RaftEntry, proposal: number | undefined): void {
    assert(entry.index === member.appliedIndex + 1, `entry ${entry.index} follows ${member.appliedIndex}`);
    const text = entry.kind === 'data' ? String.fromCharCode(...entry.data) : `(${entry.kind} of ${entry.term})`;
    this.#checkCommitted(entry.index, text);
    const term = must(member.raft, 'a replica that applies').status.term;
    this.#committedInTerm.set(term, Math.max(this.#committedInTerm.get(term) ?? 0, entry.index));
    member.applied.push(text);
    member.appliedIndex = entry.index;
    const name = proposal === undefined ? undefined : this.#origins.get(proposal);
    if (name === undefined) return;
    assert(name === text && !this.acknowledged.has(name), `${name} is answered once, by its own entry`);
    this.acknowledged.set(name, entry.index);
  }

  #checkCommitted(index: number, text: string): void {
    const known = this.#committed.get(index);
    assert(known === undefined || known === text, `state machine safety: index ${index} is ${known} and ${text}`);
    this.#committed.set(index, text);
    assert(!this.#dropped.has(text), `${text} is committed, but was dropped: ${this.#dropped.get(text)}`);
  }

  /** Leader completeness: whatever was committed in an earlier term is in the log of a leader. */
  #checkCompleteness(member: Member, raft: Raft): void {
    for (const [term, index] of this.#committedInTerm)
      if (term < raft.status.term)
        assert(raft.status.lastIndex >= index, `leader completeness: ${member.id} has ${raft.status.lastIndex} of ${index}`);
  }

  #compact(member: Member, raft: Raft): void {
    const index = member.appliedIndex;
    if (index - member.snapshotIndex < this.#knobs.entriesPerSnapshot) return;
    const content = JSON.stringify(member.applied);
    const head = raft.headAt(index, content.length);
    if (!head) return;
    member.snapshotIndex = index;
    this.#write(
      member,
      raft,
      0,
      (disk) => {
        if ((disk.snapshot?.head.index ?? 0) >= index) return;
        disk.snapshot = { head, content };
        disk.entries = disk.entries.filter((entry) => entry.index > index);
      },
      () => this.step(member, { type: 'snapshotTaken', head }),
    );
  }

  #write(member: Member, raft: Raft, write: number, apply: (disk: Disk) => void, then?: () => void): void {
    const { life } = member;
    const pending: PendingWrite = {
      apply,
      done: () => {
        if (member.life !== life) return;
        member.pending.splice(member.pending.indexOf(pending), 1);
        apply(member.disk);
        if (then) return then();
        member.durable = Math.max(member.durable, write);
        const ready = member.held.filter(({ after }) => after <= member.durable);
        member.held = member.held.filter(({ after }) => after > member.durable);
        for (const { to, message } of ready) this.#transmit(member.id, to, message);
        if (member.raft === raft) this.step(member, { type: 'persisted', write });
      },
    };
    member.pending.push(pending);
    member.busyUntilMs = Math.max(member.busyUntilMs, this.nowMs) + (this.#calm ? 1 : this.random.next() * this.#knobs.syncMs);
    this.after(member.busyUntilMs - this.nowMs, pending.done);
  }

  #transmit(from: ReplicaId, to: ReplicaId, message: RaftMessage): void {
    if (this.#cut.has(`${from}>${to}`)) return;
    if (!this.#calm && chance(this.random, this.#knobs.lossRate)) {
      this.#fire('loss');
      return;
    }
    const deliver = (): void => {
      const receiver = this.members.get(to);
      if (!receiver || this.#cut.has(`${from}>${to}`)) return;
      this.step(receiver, { type: 'messageReceived', from, message });
    };
    this.after(this.#delayMs(), deliver);
    if (!this.#calm && chance(this.random, this.#knobs.repeatRate)) {
      this.#fire('repeat');
      this.after(this.#delayMs() * 5, deliver);
    }
  }

  #delayMs(): number {
    return 0.2 + this.random.next() * (this.#calm ? 2 : this.#knobs.latencyMs);
  }

  #fire(fault: string): void {
    this.fired.set(fault, (this.fired.get(fault) ?? 0) + 1);
  }
}

export function replica(id: ReplicaId, role: Replica['role']): Replica {
  return { id, name: id, url: `https://${id}:7443`, role };
}

/** A whole run: faults and load, then calm; what was acknowledged has to be there, and new proposals go through. */
export function misfortunes(seed: number, bend: Bend = {}, steps = 60): Cluster {
  const random = new Prng(seed ^ 0xabcdef);
  const cluster = new Cluster(
    {
      seed,
      voters: pick(random, [1, 2, 3, 3, 5]),
      leadership: pick(random, ['standing', 'standing', 'on-demand']),
      latencyMs: pick(random, [2, 20, 80]),
      lossRate: pick(random, [0, 0.02, 0.15]),
      repeatRate: pick(random, [0, 0.05]),
      syncMs: pick(random, [1, 10, 60]),
      entriesPerSnapshot: pick(random, [8, 40, 1_000]),
    },
    bend,
  );
  const anyone = () => pick(random, [...cluster.members.keys()]);
  for (let at = 0; at < steps; at += 1) {
    const leader = cluster.leader();
    const dice = random.next();
    if (dice < 0.08) cluster.kill(anyone());
    else if (dice < 0.24) cluster.start(anyone());
    else if (dice < 0.32) cluster.cut(anyone(), anyone());
    else if (dice < 0.4) cluster.heal();
    else if (dice < 0.44) cluster.freeze(anyone(), integerBetween(random, 10, 2_000));
    else if (dice < 0.5) cluster.read(anyone());
    else if (dice < 0.58 && leader) changeSomething(cluster, leader, random);
    else if (dice < 0.62 && leader) cluster.step(leader, { type: 'transferRequested', to: anyone() });
    else if (dice < 0.7) cluster.step(must(cluster.members.get(anyone()), 'a member'), { type: 'leadershipWanted' });
    else if (leader) cluster.propose(leader.id, integerBetween(random, 1, 12));
    cluster.run(random.next() * 150);
  }
  cluster.setCalm();
  settle(cluster);
  return cluster;
}

function changeSomething(cluster: Cluster, leader: Member, random: Prng): void {
  const membership = must(leader.raft, 'a leader').status.membership;
  const any = pick(random, membership);
  const fresh = `r${cluster.members.size + 1}`;
  const change = pick<MembershipChange>(random, [
    { do: 'add', replica: replica(fresh, pick(random, ['learner', 'voter'])) },
    { do: 'setRole', id: any.id, role: 'voter' },
    { do: 'setRole', id: any.id, role: 'learner' },
    { do: 'remove', id: any.id },
  ]);
  if (typeof changed(membership, change) === 'string' || (change.do === 'add' && cluster.members.size >= 9)) return;
  if (change.do === 'add') cluster.addMember(fresh);
  cluster.change(leader.id, change);
}

/** Liveness: with everyone up and connected a proposal is committed, and everyone who belongs gets everything. */
function settle(cluster: Cluster): void {
  const before = cluster.acknowledged.size;
  let why = 'nothing happened';
  for (let round = 0; round < 600; round += 1) {
    cluster.run(50 + (round % 6) * 50); // in no step with elections and pauses
    const leader = cluster.leader();
    const [someone] = cluster.members.values();
    if (!leader) {
      for (const member of cluster.members.values()) cluster.step(member, { type: 'leadershipWanted' });
      why = `nobody leads (${someone?.id})`;
      continue;
    }
    if (cluster.acknowledged.size === before) cluster.propose(leader.id);
    const { status } = must(leader.raft, 'a leader');
    const behind = status.membership.filter(({ id }) => cluster.members.get(id)?.raft?.status.commit !== status.lastIndex);
    if (cluster.acknowledged.size > before && behind.length === 0 && votersOf(status.membership).length > 0) return;
    why = `behind: ${behind.map(({ id }) => `${id} at ${cluster.members.get(id)?.raft?.status.commit}`).join(', ')} of ${status.lastIndex}`;
  }
  assert(false, `liveness: ${why}`);
}
