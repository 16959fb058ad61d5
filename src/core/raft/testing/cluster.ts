/**
 * Replicas on virtual time: each with a disk (disk.ts) and a clock of its own, over one network (network.ts). What each
 * may never do is checked after every step, over all of them (invariants.ts). A run is a function of its seed.
 */
import { VirtualClock } from '../../../adapters/memory/clock.ts';
import { assert, must } from '../../base/assert.ts';
import { limits } from '../../base/limits.ts';
import { chance, integerBetween, Prng } from '../../base/prng.ts';
import type { MembershipChange, RaftEffect, RaftInit, RaftInput } from '../contract.ts';
import type { Membership, Replica, ReplicaId } from '../membership.ts';
import type { RaftMessage } from '../messages.ts';
import { Raft } from '../raft.ts';
import { Digest } from './digest.ts';
import { type Change, DamagedDisk } from './disk.ts';
import { Invariants } from './invariants.ts';
import { Member, MemberClock } from './member.ts';
import { CALM_NETWORK, Network, type NetworkKnobs } from './network.ts';

export interface ClusterKnobs {
  readonly seed: number;
  readonly voters: number;
  readonly leadership: RaftInit['leadership'];
  readonly network: NetworkKnobs;
  /** A sync takes up to this. */
  readonly syncMs: number;
  readonly entriesPerSnapshot: number;
  /** Clocks run fast or slow by up to this share. */
  readonly drift: number;
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
  readonly quietMs: number;
}

export const CALM: Omit<ClusterKnobs, 'seed'> = {
  voters: 3,
  leadership: 'standing',
  network: CALM_NETWORK,
  syncMs: 1,
  entriesPerSnapshot: 1_000,
  drift: 0,
  electionTimeoutMinMs: 150,
  electionTimeoutMaxMs: 3_000,
  quietMs: 400,
};

/** A slow disk takes this much longer. */
const SLOW_DISK_TIMES = 20;
const EVENTS_AT_ONCE_MAX = 10_000;
/** Wake-ups of one replica at one moment: more, and its timer is never set to the future. */
const WAKES_AT_ONCE_MAX = 3;

export class Cluster {
  readonly knobs: ClusterKnobs;
  readonly random: Prng;
  readonly members = new Map<ReplicaId, Member>();
  readonly invariants = new Invariants();
  readonly network: Network;
  readonly digest: Digest;
  /** What went wrong, and how often. */
  readonly fired = new Map<string, number>();
  /** Called right after a replica learned who leads, or that nobody does, or what became of a proposal. */
  readonly listeners: ((member: Member) => void)[] = [];
  isCalm = false;
  readsDone = 0;
  readonly #clock = new VirtualClock(1_000);
  readonly #founders: Membership;
  #number = 0;
  /** Events since time has passed. */
  #atOnce = 0;
  /** Last wake-up: where, when, and how often in a row. */
  #spin = { member: null as Member | null, atMs: 0, times: 0 };

  constructor(knobs: ClusterKnobs, print: ((line: string) => void) | null = null) {
    this.knobs = knobs;
    this.random = new Prng(knobs.seed);
    this.digest = new Digest(() => this.nowMs, print);
    this.network = new Network(
      {
        random: this.random,
        now: () => this.nowMs,
        after: (delayMs, run) => this.after(delayMs, run),
        deliver: (from, to, message) => this.#deliver(from, to, message),
        fired: (what) => this.fire(what),
      },
      knobs.network,
    );
    this.#founders = Array.from({ length: knobs.voters }, (_, at) => replica(`r${at + 1}`, 'voter'));
    for (const { id } of this.#founders) this.#create(id);
    for (const { id } of this.#founders) this.start(id);
  }

  get nowMs(): number {
    return this.#clock.nowMs();
  }

  member(id: ReplicaId): Member {
    return must(this.members.get(id), id);
  }

  /** Of those that say they lead the one of the newest term. */
  leader(): Member | null {
    let best: Member | null = null;
    for (const member of this.members.values())
      if (member.raft && member.status?.role === 'leader' && member.status.term > (best?.status?.term ?? -1)) best = member;
    return best;
  }

  after(delayMs: number, run: () => void): void {
    this.#clock.startTimer(delayMs, run);
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    this.runUntil(() => false, ms);
    this.#clock.advance(endMs - this.nowMs);
  }

  /** Lets time pass, one thing after the other, until it holds; false when it does not within `limitMs`. */
  runUntil(holds: () => boolean, limitMs: number): boolean {
    const endMs = this.nowMs + limitMs;
    while (!holds()) {
      const atMs = this.#clock.nextAtMs();
      if (atMs === null || atMs > endMs) return false;
      this.#atOnce = atMs === this.nowMs ? this.#atOnce + 1 : 0;
      assert(this.#atOnce < EVENTS_AT_ONCE_MAX, 'something spins: time does not pass');
      this.#clock.runNext();
    }
    return true;
  }

  /** When something happens next; null: never, by itself. */
  get nextAtMs(): number | null {
    return this.#clock.nextAtMs();
  }

  fire(what: string): void {
    this.fired.set(what, (this.fired.get(what) ?? 0) + 1);
  }

  // ---- processes

  /** One that belongs to nothing yet. */
  add(): ReplicaId {
    const id = `r${this.members.size + 1}`;
    this.#create(id);
    this.start(id);
    return id;
  }

  #create(id: ReplicaId): void {
    const { drift } = this.knobs;
    const rate = 1 + drift * (2 * this.random.next() - 1);
    if (rate !== 1) this.fire('drift');
    this.members.set(id, new Member(id, this.members.size + 1, new MemberClock(rate, integerBetween(this.random, 0, 1e9))));
  }

  start(id: ReplicaId): void {
    const member = this.member(id);
    if (member.raft || member.isLost) return;
    try {
      const restored = member.disk.load();
      const init: RaftInit = {
        id,
        membership: this.#founders.some((founder) => founder.id === id) ? this.#founders : [],
        leadership: this.knobs.leadership,
        electionTimeoutMinMs: this.knobs.electionTimeoutMinMs,
        electionTimeoutMaxMs: this.knobs.electionTimeoutMaxMs,
        quietMs: this.knobs.quietMs,
      };
      member.raft = new Raft(init, restored, new Prng(integerBetween(this.random, 0, 2 ** 31)));
      member.status = member.raft.status;
      const base = restored.snapshot;
      member.log.reset(base?.index ?? 0, base?.term ?? 0, restored.entries);
      this.invariants.match(id, restored.entries, base?.term ?? 0);
      this.#restore(member);
    } catch (error) {
      if (!(error instanceof DamagedDisk)) throw error;
      this.note(member, 'disk is damaged', 0);
      member.isLost = true;
      return;
    }
    member.durable = 0;
    this.note(member, 'starts', member.log.lastIndex);
    this.step(member, { type: 'timePassed' });
    for (const other of this.members.values())
      if (other !== member) this.after(this.random.next() * 20, () => this.connect(member, other));
  }

  /** Its process ends at once; with `tearRate` a write that was under way may be torn. */
  crash(id: ReplicaId, tearRate = 0): void {
    const member = this.member(id);
    if (!member.raft) return;
    this.note(member, 'crashes', member.log.lastIndex);
    member.raft = member.status = null;
    member.life += 1;
    member.held = [];
    member.waiting = [];
    member.isStopped = member.isAsleep = false;
    member.wakeAtMs = Number.POSITIVE_INFINITY;
    member.diskBusyUntilMs = 0;
    member.proposals.clear();
    member.reads.clear();
    if (member.disk.crash(this.random, tearRate)) this.fire('tornWrite');
    for (const other of this.members.values())
      if (other !== member && chance(this.random, 0.5)) this.after(this.random.next() * 20, () => this.disconnect(other, id));
  }

  /** SIGSTOP: what comes in waits; with `isAsleep` the whole machine sleeps, its clock stands, and no message reaches it. */
  stop(id: ReplicaId, ms: number, isAsleep: boolean): void {
    const member = this.member(id);
    if (member.isStopped || !member.raft) return;
    const { life } = member;
    this.note(member, isAsleep ? 'sleeps' : 'stops', ms);
    member.isStopped = true;
    member.isAsleep = isAsleep;
    this.after(ms, () => {
      if (member.life !== life) return;
      if (isAsleep) member.clock.sleep(ms);
      member.isStopped = member.isAsleep = false;
      for (const happens of member.waiting.splice(0)) happens();
      if (isAsleep) this.#lostTouch(member);
      this.#wake(member);
    });
  }

  /** What was on the way to it is lost, so its connections have ended, and others begin. */
  #lostTouch(member: Member): void {
    for (const other of this.members.values()) {
      if (other === member) continue;
      this.disconnect(member, other.id);
      this.disconnect(other, member.id);
      this.after(this.random.next() * 20, () => this.connect(member, other));
    }
  }

  /** Both are told, as of a connection. */
  connect(one: Member, other: Member): void {
    if (this.network.isCut(one.id, other.id) || this.network.isCut(other.id, one.id)) return;
    this.step(one, { type: 'peerConnected', peer: other.id });
    this.step(other, { type: 'peerConnected', peer: one.id });
  }

  disconnect(member: Member, peer: ReplicaId): void {
    this.step(member, { type: 'peerDisconnected', peer });
  }

  // ---- what is asked of them

  /** The names under which they are acknowledged. */
  propose(id: ReplicaId, count = 1): readonly string[] {
    const member = this.member(id);
    if (!member.raft) return [];
    const proposals = [];
    for (let n = 0; n < count; n += 1) {
      const proposal = ++this.#number;
      member.proposals.set(proposal, `p${proposal}`);
      proposals.push({ proposal, data: Uint8Array.from(`p${proposal}`, (c) => c.charCodeAt(0)) });
    }
    this.step(member, { type: 'proposed', proposals });
    return proposals.map(({ proposal }) => `p${proposal}`);
  }

  change(id: ReplicaId, change: MembershipChange): void {
    this.step(this.member(id), { type: 'membershipProposed', proposal: ++this.#number, change });
  }

  read(id: ReplicaId): void {
    const member = this.member(id);
    if (!member.raft) return;
    const read = ++this.#number;
    member.reads.set(read, this.invariants.committed.length);
    this.step(member, { type: 'readRequested', read });
  }

  // ---- steps

  step(member: Member, input: RaftInput): void {
    const { raft, status: before } = member;
    if (!raft || !before) return;
    if (member.isStopped) {
      member.waiting.push(() => this.step(member, input));
      return;
    }
    const effects = raft.step(member.clock.at(this.nowMs), input);
    const after = raft.status;
    member.status = after;
    for (const effect of effects) {
      if (effect.type === 'persist') {
        this.invariants.persists(member, before, after, effect);
        member.log.replace(effect.entries);
      } else if (effect.type === 'adoptSnapshot') member.log.reset(effect.head.index, effect.head.term);
    }
    this.invariants.stepped(member, before, after, this.members);
    for (const effect of effects) this.#carryOut(member, raft, effect);
    if (after.role === 'preCandidate' && before.role !== 'preCandidate') this.fire('asked');
    if (after.role !== before.role || after.term !== before.term) this.note(member, after.role, after.term);
    this.#wake(member);
  }

  #wake(member: Member): void {
    const wakeAtMs = member.raft?.wakeAtMs ?? null;
    if (wakeAtMs === null || wakeAtMs >= member.wakeAtMs) return;
    member.wakeAtMs = wakeAtMs;
    const { life, raft } = member;
    this.after(member.clock.until(wakeAtMs, this.nowMs), () => {
      if (member.life !== life || member.wakeAtMs !== wakeAtMs) return;
      member.wakeAtMs = Number.POSITIVE_INFINITY;
      const dueMs = raft?.wakeAtMs ?? null;
      // To a nanosecond: clocks that run at different rates do not meet exactly.
      if (dueMs === null || dueMs > member.clock.at(this.nowMs) + 1e-6) {
        this.#wake(member);
        return;
      }
      this.#checkSpin(member);
      this.step(member, { type: 'timePassed' });
    });
  }

  #checkSpin(member: Member): void {
    const isAgain = this.#spin.member === member && this.#spin.atMs === this.nowMs;
    this.#spin = { member, atMs: this.nowMs, times: isAgain ? this.#spin.times + 1 : 1 };
    assert(this.#spin.times <= WAKES_AT_ONCE_MAX, `${member.id} wants to be woken at once, again and again`);
  }

  #deliver(from: ReplicaId, to: ReplicaId, message: RaftMessage): void {
    const receiver = this.members.get(to);
    if (!receiver?.raft || receiver.isAsleep) return;
    const attachment = message.type === 'voteRequest' && this.knobs.leadership === 'on-demand' ? LOAD : null;
    this.step(receiver, { type: 'messageReceived', from, message, attachment });
  }

  #carryOut(member: Member, raft: Raft, effect: RaftEffect): void {
    switch (effect.type) {
      case 'persist':
        this.#write(member, effect.write, { hard: effect.hard, entries: effect.entries });
        return;
      case 'send':
        if (effect.after <= member.durable) this.#transmit(member, effect.to, effect.message);
        else member.held.push(effect);
        return;
      case 'sendPiece':
        this.#sendPiece(member, effect);
        return;
      case 'keepPiece':
        if (effect.piece > 0) this.fire('snapshotInPieces');
        this.#write(member, effect.write, { piece: { number: effect.piece, data: effect.data } });
        return;
      case 'adoptSnapshot':
        this.fire('snapshotAdopted');
        this.invariants.snapshots(member.id, effect.head, this.#founders);
        this.#write(member, effect.write, { adopt: effect.head }, () => this.#restore(member));
        return;
      case 'committed':
        for (const entry of effect.entries) {
          const text = this.invariants.applies(member, entry);
          member.applied.push(text);
          if (entry.proposal !== undefined) this.#answer(member, entry.proposal, text);
        }
        this.note(member, 'applies', member.appliedIndex);
        this.#compact(member, raft);
        return;
      case 'dropped': {
        const name = member.proposals.get(effect.proposal);
        member.proposals.delete(effect.proposal);
        if (name !== undefined && effect.fate === 'never') this.invariants.drops(name, effect.reason);
        return;
      }
      case 'readReady':
        this.#readReady(member, effect.read, effect.index);
        return;
      case 'membershipChanged':
        this.note(member, 'members', effect.membership.length);
        return;
      case 'leadershipChanged':
        this.#tell(member);
        return;
    }
  }

  #answer(member: Member, proposal: number, text: string): void {
    const name = member.proposals.get(proposal);
    if (name === undefined) return; // a change of the replicas
    member.proposals.delete(proposal);
    this.invariants.acknowledges(name, text, member.appliedIndex);
    this.#tell(member);
  }

  #tell(member: Member): void {
    for (const listener of this.listeners) this.after(0, () => listener(member));
  }

  /** Linearizable: what was committed when it was asked has been applied where it is served. */
  #readReady(member: Member, read: number, index: number | null): void {
    const floor = must(member.reads.get(read), 'a read that was asked');
    member.reads.delete(read);
    if (index === null) return;
    this.readsDone += 1;
    const { id, appliedIndex } = member;
    assert(appliedIndex >= floor, `a stale read: ${id} has applied ${appliedIndex}, ${floor} was committed before it was asked`);
  }

  #sendPiece(member: Member, { to, term, head, piece }: Extract<RaftEffect, { type: 'sendPiece' }>): void {
    const { snapshot } = member.disk;
    if (snapshot?.head.index !== head.index) return;
    this.fire('pieceSent');
    const start = piece * limits.snapshotPieceBytes;
    const data = snapshot.content.slice(start, start + limits.snapshotPieceBytes);
    this.#transmit(member, to, { type: 'snapshotPiece', term, head, piece, data });
  }

  #compact(member: Member, raft: Raft): void {
    const index = member.appliedIndex;
    if (index - member.snapshotIndex < this.knobs.entriesPerSnapshot) return;
    const content = Uint8Array.from(JSON.stringify(member.applied), (character) => character.charCodeAt(0));
    const head = raft.headAt(index, content.length);
    if (!head) return;
    this.fire('compaction');
    this.invariants.snapshots(member.id, head, this.#founders);
    member.snapshotIndex = index;
    const keepFromIndex = Math.max(1, index - limits.logTailEntries + 1);
    this.#write(member, null, { snapshot: { head, content, keepFromIndex } }, () =>
      this.step(member, { type: 'snapshotTaken', head }),
    );
  }

  /** The state machine becomes what the snapshot says. */
  #restore(member: Member): void {
    const { snapshot } = member.disk;
    member.applied = snapshot ? JSON.parse(String.fromCharCode(...snapshot.content)) : [];
    member.snapshotIndex = snapshot?.head.index ?? 0;
    for (const [at, text] of member.applied.entries()) this.invariants.holds(member.id, at + 1, text);
  }

  #write(member: Member, write: number | null, change: Change, then: () => void = () => undefined): void {
    const { life } = member;
    member.disk.begin(change);
    const isSlow = member.slowDiskUntilMs > this.nowMs && !this.isCalm;
    const usualMs = this.random.next() * (this.isCalm ? 1 : this.knobs.syncMs) * (isSlow ? SLOW_DISK_TIMES : 1);
    const syncMs = member.syncMs ?? usualMs;
    member.diskBusyUntilMs = Math.max(member.diskBusyUntilMs, this.nowMs) + syncMs;
    this.after(member.diskBusyUntilMs - this.nowMs, () => {
      if (member.life !== life) return;
      member.disk.end();
      const [first] = change.entries ?? [];
      if (change.entries && first) this.invariants.match(member.id, change.entries, member.disk.termBefore(first.index));
      const told = (): void => {
        then();
        if (write !== null) this.#isDurable(member, write);
      };
      if (member.isStopped) member.waiting.push(told);
      else told();
    });
  }

  #isDurable(member: Member, write: number): void {
    member.durable = write;
    const ready = member.held.filter(({ after }) => after <= write);
    if (ready.length > 0) member.held = member.held.filter(({ after }) => after > write);
    for (const { to, message } of ready) this.#transmit(member, to, message);
    this.step(member, { type: 'persisted', write });
  }

  #transmit(member: Member, to: ReplicaId, message: RaftMessage): void {
    this.invariants.sends(member, to, message);
    if (message.type === 'append' && message.pause) this.fire('pause');
    if (message.type === 'timeoutNow') this.fire('timeoutNow');
    this.network.send(member.id, to, message);
  }

  /** For the digest, and for whoever follows the run. */
  note(member: Member, what: string, value: number): void {
    this.digest.add(member.id, what, value);
  }
}

const LOAD = Uint8Array.of(1);

export function replica(id: ReplicaId, role: Replica['role']): Replica {
  return { id, name: id, url: `https://${id}:7443`, role };
}
