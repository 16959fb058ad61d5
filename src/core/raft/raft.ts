/**
 * One replica of the log: Raft (Ongaro and Ousterhout, 2014; Ongaro's dissertation, 2014), one input in, its effects
 * out, in the manner of etcd-io/raft. With pre-vote (9.6), check-quorum (6.2), leadership transfer (3.10), learners
 * (4.2.1), changes of one replica at a time (4.1), snapshots in pieces (5), pipelining (10.2.1), reads by read index
 * (6.4), and Messina's leadership on demand: a group with nothing to decide pauses, whoever has something to decide
 * campaigns at once, and votes carry what the voters tell of their load.
 *
 * Effects are carried out in order; writes become durable in the order of their numbers; a `send` waits for the write
 * that it names. A single process keeps one `step` at a time.
 *
 * Invariants (of all replicas together: figure 3 of the paper, checked in simulation):
 *  F1. Term, vote in a term and commit index never go back.
 *  F2. What a message promises (a vote, an agreement) is durable before it is sent.
 *  F3. Only an entry of the own term is committed by counting; earlier ones are with it (section 5.4.2).
 *  F4. What is committed is never truncated.
 *  F5. One change of membership is under way at a time, and none before an entry of the own term is committed.
 *  F6. Nothing that happens depends on a clock for its safety.
 *  F7. A leader is never silent for as long as it has told the others to wait.
 */
import { assert, must, unreachable } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import type { Random } from '../base/prng.ts';
import type { Ballot, GrantedVote, MembershipChange, RaftEffect, RaftInit, RaftInput, RestoredReplica } from './contract.ts';
import { ElectionTimeout } from './election-timeout.ts';
import { EntryLog } from './entry-log.ts';
import { Hearing } from './hearing.ts';
import {
  changed,
  decodeMembership,
  encodeMembership,
  isVoter,
  type Membership,
  MembershipHistory,
  quorumOf,
  type ReplicaId,
  reachedByQuorum,
  votersOf,
} from './membership.ts';
import type { RaftEntry, RaftMessage, SnapshotHead } from './messages.ts';
import { Progress } from './progress.ts';
import { Proposals } from './proposals.ts';
import { Reads } from './reads.ts';

type Message<T extends RaftMessage['type']> = Extract<RaftMessage, { type: T }>;
type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader';

export interface RaftStatus {
  readonly role: Role;
  readonly term: number;
  readonly leader: ReplicaId | null;
  /** In this term. */
  readonly votedFor: ReplicaId | null;
  readonly isPaused: boolean;
  /** Who led the group when it paused; null: it has not. */
  readonly pausedUnder: ReplicaId | null;
  readonly commit: number;
  readonly lastIndex: number;
  readonly membership: Membership;
  /** Whom to be connected with: the members, and those who are members as long as a change is not committed. */
  readonly peers: Membership;
  /** Grows with the memberships that are committed: who knows the later one knows who belongs. */
  readonly peersVersion: number;
  /** Of the last term that this replica led: the index of its first entry, which a leader on demand may not have appended yet. */
  readonly ownTermIndex: number;
  /** On the leader: the last index that each other replica is known to have. */
  readonly matched: ReadonlyMap<ReplicaId, number>;
  /** Others that do not answer, as far as this replica asks them: as the leader, or while it looks for votes. */
  readonly silent: ReadonlySet<ReplicaId>;
}

const NOTHING = new Uint8Array(0);

export class Raft {
  readonly #init: RaftInit;
  readonly #random: Random;
  readonly #log: EntryLog;
  readonly #memberships: MembershipHistory;
  #peers: Membership;
  #peersVersion: number;
  #snapshot: SnapshotHead | null;

  #hard: Ballot;
  #role: Role = 'follower';
  #leader: ReplicaId | null = null;
  /** The term whose leader has said its last word. */
  #pausedTerm = 0;
  /** Who led the group when it paused; null: it has not. */
  #pausedUnder: ReplicaId | null = null;
  /** Who had not everything when this leader paused the group. */
  #leftBehind: ReadonlySet<ReplicaId> = new Set();
  #commit: number;
  #delivered: number;
  /** Own entries that are durable up to here. */
  #durable: number;

  #nowMs = 0;
  #effects: RaftEffect[] = [];
  #isHardUnsaved = false;
  #unsaved: RaftEntry[] = [];
  #lastWrite = 0;
  /** The write that made the hard state what it is. */
  #hardWrite = 0;
  /** Writes under way, with the last entry that each makes durable. */
  #writes: { readonly write: number; lastIndex: number }[] = [];
  readonly #proposals = new Proposals();

  readonly #electionTimeout: ElectionTimeout;
  #electionAtMs: number | null = null;
  #heardLeaderAtMs = Number.NEGATIVE_INFINITY;
  #votes = new Map<ReplicaId, GrantedVote | null>();
  #failedCampaigns = 0;
  readonly #campaignsAtMs = { pre: 0, real: 0 };

  readonly #progress = new Map<ReplicaId, Progress>();
  readonly #reads = new Reads();
  readonly #hearing = new Hearing();
  #heartbeatAtMs = 0;
  #quorumAtMs = 0;
  #ownTermIndex = 0;
  /** On demand: when a new leader begins its term at the latest; null once it has. */
  #beginsAtMs: number | null = null;
  #busyAtMs = 0;
  #transfer: { readonly to: ReplicaId; readonly deadlineMs: number; isTold: boolean } | null = null;
  /** A snapshot that is coming in, and the next piece of it. */
  #incoming: { readonly from: ReplicaId; readonly head: SnapshotHead; piece: number } | null = null;

  constructor(init: RaftInit, restored: RestoredReplica, random: Random) {
    this.#init = init;
    this.#random = random;
    const { snapshot, entries, hard } = restored;
    const base = snapshot?.index ?? 0;
    const after = entries.filter(({ index }) => index > base);
    this.#log = new EntryLog(base, snapshot?.term ?? 0, after);
    this.#memberships = new MembershipHistory(base, snapshot?.membership ?? init.membership);
    for (const { kind, index, data } of after) if (kind === 'membership') this.#memberships.add(index, decodeMembership(data));
    this.#snapshot = snapshot;
    this.#hard = hard;
    this.#delivered = base;
    this.#commit = Math.max(base, Math.min(hard.commit, this.#log.lastIndex));
    this.#peers = this.#memberships.since(this.#commit);
    this.#peersVersion = this.#memberships.committedAt(this.#commit);
    this.#durable = this.#log.lastIndex;
    this.#electionTimeout = new ElectionTimeout(init);
  }

  get status(): RaftStatus {
    return {
      role: this.#role,
      term: this.#hard.term,
      leader: this.#leader,
      votedFor: this.#hard.votedFor,
      isPaused: this.#isPaused,
      pausedUnder: this.#pausedUnder,
      commit: this.#commit,
      lastIndex: this.#log.lastIndex,
      membership: this.#memberships.current,
      peers: this.#peers,
      peersVersion: this.#peersVersion,
      ownTermIndex: this.#ownTermIndex,
      matched: new Map([...this.#progress].map(([id, { match }]) => [id, match])),
      silent: this.#hearing.silent(this.#spokenTo, this.#nowMs, this.#electionTimeout.silentMs),
    };
  }

  get #isPaused(): boolean {
    return this.#pausedUnder !== null;
  }

  get #spokenTo(): readonly ReplicaId[] {
    if (this.#role === 'leader') return [...this.#progress.keys()];
    return votersOf(this.#memberships.current).filter((id) => id !== this.#init.id);
  }

  /** When `timePassed` is wanted next; null: not before something else happens. */
  get wakeAtMs(): number | null {
    if (this.#role === 'leader') {
      const never = Number.POSITIVE_INFINITY;
      const times = [this.#heartbeatAtMs, this.#quorumAtMs, this.#transfer?.deadlineMs ?? never, this.#beginsAtMs ?? never];
      const isAlone = this.#progress.size === 0;
      return isAlone ? null : Math.min(...times);
    }
    // Whoever keeps no election timer still waits for answers of a leader that may be gone.
    const wakeAtMs = Math.min(this.#electionAtMs ?? Number.POSITIVE_INFINITY, this.#reads.deadlineMs);
    return wakeAtMs === Number.POSITIVE_INFINITY ? null : wakeAtMs;
  }

  /** What a snapshot up to `index` stands for; null when there is one that reaches as far, or a replica that is catching up needs what it would replace. */
  headAt(index: number, bytes: number): SnapshotHead | null {
    assert(index <= this.#delivered, `a snapshot up to ${index} of a log that has delivered ${this.#delivered}`);
    if (index <= (this.#snapshot?.index ?? 0) || this.#isNeeded(index)) return null;
    return { index, term: must(this.#log.termAt(index), `term at ${index}`), membership: this.#memberships.at(index), bytes };
  }

  /**
   * Whether a replica that was sent the present snapshot still needs it, or the entries that follow. Where snapshots
   * follow each other faster than a slow replica takes one in, it would never catch up.
   */
  #isNeeded(index: number): boolean {
    const isLong =
      this.#log.lastIndex - (this.#snapshot?.index ?? 0) >= limits.raftSnapshotsHeld * limits.logEntriesPerSnapshot ||
      this.#log.bytes >= limits.raftSnapshotsHeld * limits.logBytesPerSnapshot;
    if (isLong) return false;
    const first = this.tailStart(index);
    return [...this.#progress.values()].some((one) => one.isCatchingUp && one.match < first - 1 && one.isMoving(this.#nowMs));
  }

  /** The first entry that stays behind a snapshot up to `index`, so that a replica that was away for a moment needs no snapshot. */
  tailStart(index: number): number {
    return this.#log.tailStart(index, limits.logTailEntries, limits.logTailBytes);
  }

  step(nowMs: number, input: RaftInput): readonly RaftEffect[] {
    this.#nowMs = nowMs;
    this.#effects = [];
    this.#take(input);
    if (this.#role === 'leader') this.#lead();
    // A leader that has given up, for want of a quorum, goes on counting: it asks again with its next timer.
    this.#hearing.speaks(this.#role !== 'follower' || (this.#leader === null && !this.#isPaused), nowMs);
    this.#tellPeers();
    // Whoever applies what is delivered takes its time, and a leader waits for the word that what it sent is written: that
    // is the next input.
    const hasEntries = this.#unsaved.length > 0;
    this.#save();
    if (!hasEntries) this.#deliver();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #take(input: RaftInput): void {
    switch (input.type) {
      case 'messageReceived':
        this.#messageReceived(input.from, input.message, input.attachment ?? null);
        return;
      case 'proposed':
        for (const { proposal, data } of input.proposals) this.#propose(proposal, data);
        return;
      case 'membershipProposed':
        this.#proposeMembership(input.proposal, input.change);
        return;
      case 'readRequested':
        this.#readRequested(input.read);
        return;
      case 'transferRequested':
        this.#transferRequested(input.to);
        return;
      case 'leadershipWanted':
        // Where no leader is known, the timer of an election runs already: whoever cut in would only split the votes.
        if (this.#isPaused) this.#campaign('real', false);
        else if (this.#role === 'leader') this.#busyAtMs = this.#nowMs;
        return;
      case 'persisted':
        this.#persisted(input.write);
        return;
      case 'snapshotTaken':
        if (input.head.index <= (this.#snapshot?.index ?? 0)) return;
        this.#snapshot = input.head;
        this.#log.dropUpTo(this.tailStart(input.head.index) - 1);
        this.#memberships.dropUpTo(this.#log.firstIndex - 1);
        return;
      case 'peerConnected':
        this.#progress.get(input.peer)?.probeAgain(this.#nowMs);
        this.#catchUp(input.peer);
        return;
      case 'peerDisconnected':
        this.#peerDisconnected(input.peer);
        return;
      case 'timePassed':
        this.#timePassed();
        return;
      default:
        unreachable(input);
    }
  }

  // ---- what is durable, and what is delivered

  /** One write a step: the hard state, then the entries. That something is committed is no reason to write. */
  #save(): void {
    if (!this.#isHardUnsaved && this.#unsaved.length === 0) return;
    const write = ++this.#lastWrite;
    this.#writes.push({ write, lastIndex: this.#unsaved.at(-1)?.index ?? 0 });
    const { term, votedFor } = this.#hard;
    const hard = { term, votedFor, commit: this.#commit };
    const persist: RaftEffect = { type: 'persist', write, hard, entries: this.#unsaved };
    if (this.#isHardUnsaved) this.#hardWrite = write;
    this.#isHardUnsaved = false;
    this.#unsaved = [];
    // F2: what was put down in this step with `after` refers to this write.
    this.#effects.unshift(persist);
  }

  /** The number of the write that everything said in this step has to wait for. */
  #thisWrite(): number {
    return this.#isHardUnsaved || this.#unsaved.length > 0 ? this.#lastWrite + 1 : this.#lastWrite;
  }

  #persisted(write: number): void {
    while (this.#writes[0] && this.#writes[0].write <= write) {
      const { lastIndex } = must(this.#writes.shift(), 'a write');
      this.#durable = Math.max(this.#durable, Math.min(lastIndex, this.#log.lastIndex));
    }
  }

  #append(entries: readonly RaftEntry[]): void {
    this.#log.append(entries);
    this.#unsaved.push(...entries);
    for (const entry of entries)
      if (entry.kind === 'membership') {
        this.#memberships.add(entry.index, decodeMembership(entry.data));
        this.#membershipChanged();
      }
  }

  #truncateFrom(index: number): void {
    assert(index > this.#commit, `F4: ${index} is committed`);
    this.#log.truncateFrom(index);
    this.#unsaved = this.#unsaved.filter((entry) => entry.index < index);
    this.#durable = Math.min(this.#durable, index - 1);
    for (const write of this.#writes) write.lastIndex = Math.min(write.lastIndex, index - 1);
    if (this.#memberships.truncateFrom(index)) this.#membershipChanged();
  }

  /** L1: what is committed is delivered once it is durable here, too. */
  #deliver(): void {
    const until = Math.min(this.#commit, this.#durable);
    if (until > this.#delivered) {
      const entries = this.#log.slice(this.#delivered + 1, until - this.#delivered, Number.POSITIVE_INFINITY);
      this.#delivered = until;
      this.#effects.push({ type: 'committed', entries: entries.map((entry) => this.#answered(entry)) });
      const begun = entries.findLast(({ kind }) => kind === 'blank');
      if (begun) this.#dropOlderThan(begun.term);
    }
    // A snapshot that came in is there for reads once it is durable and the state machine has been restored from it.
    const readable = Math.min(this.#delivered, this.#durable);
    for (const { read, index } of this.#reads.ready(readable)) this.#effects.push({ type: 'readReady', read, index });
  }

  /** A proposal of this replica's, if the entry is the one that it became; else it was overwritten. */
  #answered(entry: RaftEntry): RaftEntry & { proposal?: number } {
    const own = this.#proposals.take(entry.index);
    if (!own) return entry;
    const { index, term, kind, data } = entry;
    if (own.term === term) return { index, term, kind, data, proposal: own.number };
    this.#drop(own.number, 'another leader took over before it was committed', 'never');
    return entry;
  }

  /** Terms grow along the log: behind a committed entry of `term` nothing older can be committed any more. */
  #dropOlderThan(term: number): void {
    for (const { number } of this.#proposals.takeOlderThan(term))
      this.#drop(number, 'another leader took over before it was committed', 'never');
  }

  #drop(proposal: number, reason: string, fate: 'never' | 'unknown'): void {
    this.#effects.push({ type: 'dropped', proposal, reason, fate });
  }

  // ---- messages

  /**
   * Nothing is said in a term that could be forgotten: the only voter, which elects itself before its disk knows of it,
   * would lead the same term once more after a crash, with other entries under the same numbers.
   */
  #send(to: ReplicaId, message: RaftMessage, after = 0): void {
    const hardWrite = this.#isHardUnsaved ? this.#lastWrite + 1 : this.#hardWrite;
    this.#effects.push({ type: 'send', to, message, after: Math.max(after, hardWrite) });
  }

  #messageReceived(from: ReplicaId, message: RaftMessage, attachment: Uint8Array | null): void {
    this.#hearing.heard(from, this.#nowMs);
    if (message.type === 'voteRequest') {
      this.#voteRequested(from, message, attachment);
      return;
    }
    const isPreVote = message.type === 'vote' && message.pre && message.granted;
    if (message.term > this.#hard.term && !isPreVote) this.#becomeFollower(message.term, null);
    if (message.term < this.#hard.term && !isPreVote) {
      // Whoever still leads an old term learns of this one (F1), and gives up.
      if (message.type === 'append' || message.type === 'snapshotPiece') this.#answerAppend(from, message, false, 0);
      return;
    }
    switch (message.type) {
      case 'vote':
        this.#voteReceived(from, message);
        return;
      case 'append':
        this.#appendReceived(from, message);
        return;
      case 'appended':
        this.#appendedReceived(from, message);
        return;
      case 'snapshotPiece':
        this.#pieceReceived(from, message);
        return;
      case 'pieceTaken':
        this.#pieceTaken(from, message);
        return;
      case 'timeoutNow':
        if (this.#role !== 'leader') this.#campaign('real', true);
        return;
      case 'readRequest':
        this.#readAsked(from, message.read);
        return;
      case 'readAnswer':
        if (from === this.#leader) this.#reads.answered(message.read, message.index);
        return;
      default:
        unreachable(message);
    }
  }

  // ---- elections

  #becomeFollower(term: number, leader: ReplicaId | null): void {
    const before = { term: this.#hard.term, leader: this.#leader };
    const led = this.#role === 'leader';
    if (term > this.#hard.term) {
      this.#hard = { term, votedFor: null };
      this.#isHardUnsaved = true;
    }
    this.#role = 'follower';
    this.#leader = leader;
    this.#transfer = null;
    this.#votes.clear();
    if (led) this.#progress.clear();
    if (before.leader !== leader) this.#dropReads();
    if (leader === null) {
      if (led || this.#electionAtMs === null) this.#setElectionTimer();
    } else {
      this.#pausedUnder = null;
      this.#failedCampaigns = 0;
    }
    if (before.term !== term || before.leader !== leader) this.#tellLeader([]);
  }

  #tellPeers(): void {
    const peers = this.#memberships.since(this.#commit);
    const version = this.#memberships.committedAt(this.#commit);
    const isSame = peers.length === this.#peers.length && peers.every((one, at) => one === this.#peers[at]);
    if (isSame && version === this.#peersVersion) return;
    this.#peers = peers;
    this.#peersVersion = version;
    this.#effects.push({ type: 'peersChanged' });
  }

  #tellLeader(votes: readonly GrantedVote[]): void {
    this.#effects.push({ type: 'leadershipChanged', term: this.#hard.term, leader: this.#leader, votes });
  }

  /** A voter; or one that was until a change that is not committed yet: its log may be the only one that can lead (4.2.2). */
  #mayCampaign(): boolean {
    const { id } = this.#init;
    const { current, changedAt } = this.#memberships;
    return isVoter(current, id) || (changedAt > this.#commit && isVoter(this.#memberships.before, id));
  }

  /** A paused group keeps no timer. Those who campaign at once get out of each other's way. */
  #setElectionTimer(): void {
    const campaigns = this.#mayCampaign() && !this.#isPaused;
    const spreadMs = this.#electionTimeout.spreadMs(this.#failedCampaigns);
    this.#electionAtMs = campaigns ? this.#nowMs + this.#electionTimeout.ms + this.#random.next() * spreadMs : null;
  }

  #campaign(kind: 'pre' | 'real', transfer: boolean): void {
    const { id } = this.#init;
    const voters = votersOf(this.#memberships.current);
    if (!this.#mayCampaign()) {
      this.#electionAtMs = null; // its demotion was committed after the timer was set
      return;
    }
    this.#leader = null;
    this.#dropReads();
    this.#pausedUnder = null;
    this.#votes = new Map([[id, { voter: id, attachment: null }]]);
    this.#role = kind === 'pre' ? 'preCandidate' : 'candidate';
    if (kind === 'real') {
      this.#hard = { term: this.#hard.term + 1, votedFor: id };
      this.#isHardUnsaved = true;
      this.#failedCampaigns += 1;
      this.#tellLeader([]);
    }
    this.#campaignsAtMs[kind] = this.#nowMs;
    this.#setElectionTimer();
    if (this.#tally()) return;
    const request: RaftMessage = {
      type: 'voteRequest',
      term: kind === 'pre' ? this.#hard.term + 1 : this.#hard.term,
      pre: kind === 'pre',
      transfer,
      lastIndex: this.#log.lastIndex,
      lastTerm: this.#log.lastTerm,
    };
    for (const voter of voters) if (voter !== id) this.#send(voter, request, this.#thisWrite());
  }

  #voteRequested(from: ReplicaId, message: Message<'voteRequest'>, attachment: Uint8Array | null): void {
    // A leader that is alive here is not voted out (dissertation 4.2.3), unless it asked for it.
    const hearsLeader =
      this.#leader !== null && !this.#isPaused && this.#nowMs - this.#heardLeaderAtMs < this.#electionTimeout.ms;
    const isHeld = (this.#role === 'leader' || hearsLeader) && !message.transfer;
    if (!isHeld && !message.pre && message.term > this.#hard.term) this.#becomeFollower(message.term, null);
    const upToDate =
      message.lastTerm > this.#log.lastTerm ||
      (message.lastTerm === this.#log.lastTerm && message.lastIndex >= this.#log.lastIndex);
    const { votedFor, term } = this.#hard;
    const isFree = message.pre
      ? message.term > term
      : message.term === term && this.#role !== 'leader' && (votedFor === null || votedFor === from);
    const granted = !isHeld && upToDate && isFree;
    if (this.#isPaused && !upToDate && this.#belongs(from)) this.#resume();
    if (granted && !message.pre) {
      this.#role = 'follower';
      if (votedFor === null) {
        this.#hard = { term, votedFor: from };
        this.#isHardUnsaved = true;
      }
      this.#pausedUnder = null;
      this.#setElectionTimer();
    }
    this.#send(
      from,
      {
        type: 'vote',
        term: granted ? message.term : this.#hard.term,
        pre: message.pre,
        granted,
        leader: isHeld ? this.#leader : null,
        attachment: granted ? attachment : null,
      },
      this.#thisWrite(),
    );
  }

  /** Who asks has missed something and will ask for ever: a leader has to tell it, and the group to wake for that. */
  #resume(): void {
    this.#pausedUnder = null;
    this.#setElectionTimer();
  }

  #belongs(id: ReplicaId): boolean {
    return this.#memberships.current.some((replica) => replica.id === id);
  }

  #voteReceived(from: ReplicaId, message: Message<'vote'>): void {
    if (this.#role === 'leader' && message.granted && !message.pre && message.attachment !== null)
      this.#effects.push({ type: 'lateVote', vote: { voter: from, attachment: message.attachment } });
    if (this.#role !== 'candidate' && this.#role !== 'preCandidate') return;
    this.#electionTimeout.growFor(this.#nowMs - this.#campaignsAtMs[message.pre ? 'pre' : 'real'], this.#nowMs);
    const asked = this.#role === 'candidate' ? !message.pre && message.term === this.#hard.term : message.pre;
    if (!asked) return;
    if (message.granted && message.pre && message.term !== this.#hard.term + 1) return; // of an earlier campaign
    if (!message.granted) this.#votes.set(from, null);
    else if (!this.#votes.has(from)) this.#votes.set(from, { voter: from, attachment: message.attachment });
    this.#tally();
  }

  /** Goes on when the votes are enough. */
  #tally(): boolean {
    const voters = votersOf(this.#memberships.current);
    const granted = voters.flatMap((voter) => this.#votes.get(voter) ?? []);
    if (granted.length >= quorumOf(voters.length)) {
      if (this.#role === 'preCandidate') this.#campaign('real', false);
      else this.#becomeLeader(granted);
      return true;
    }
    return false;
  }

  #becomeLeader(votes: readonly GrantedVote[]): void {
    assert(this.#role === 'candidate', 'a candidate is elected');
    this.#role = 'leader';
    this.#leader = this.#init.id;
    this.#failedCampaigns = 0;
    this.#electionAtMs = null;
    this.#transfer = null;
    this.#incoming = null;
    this.#progress.clear();
    // A group that paused left everyone with all there is: nobody need be asked before what is decided is sent.
    const isLikely = this.#init.leadership === 'on-demand' && this.#commit === this.#log.lastIndex;
    this.#followMembership(this.#log.lastIndex + 1, isLikely);
    this.#heartbeatAtMs = this.#nowMs + this.#electionTimeout.heartbeatMs;
    this.#quorumAtMs = this.#nowMs + this.#electionTimeout.ms;
    this.#busyAtMs = this.#nowMs;
    this.#tellLeader(votes);
    this.#ownTermIndex = this.#log.lastIndex + 1;
    const tookMs = this.#nowMs - this.#campaignsAtMs.real;
    const restMs = this.#init.leadership === 'standing' ? 0 : this.#electionTimeout.firstSilenceMs(tookMs);
    this.#beginsAtMs = this.#nowMs + restMs;
  }

  /**
   * With the first entry of its own term a leader commits what earlier terms have left (F3). On demand it waits for the rest
   * of the votes first, as long again as the quorum took, or until something is decided: that goes with it then, in one
   * message and one sync of each.
   */
  #beginTerm(): void {
    if (this.#beginsAtMs === null) return;
    this.#beginsAtMs = null;
    this.#append([{ index: this.#ownTermIndex, term: this.#hard.term, kind: 'blank', data: NOTHING }]);
  }

  #peerDisconnected(peer: ReplicaId): void {
    this.#progress.get(peer)?.probeAgain(this.#nowMs);
    if (peer !== this.#leader || this.#role !== 'follower' || this.#isPaused) return;
    this.#dropReads();
    // Its process is gone, as a rule: ask the others soon instead of waiting for silence. Pre-vote does the rest.
    this.#heardLeaderAtMs = Number.NEGATIVE_INFINITY;
    if (this.#electionAtMs === null) return;
    const soonMs = this.#random.next() * this.#electionTimeout.heartbeatMs;
    this.#electionAtMs = Math.min(this.#electionAtMs, this.#nowMs + soonMs);
  }

  // ---- leading

  #propose(proposal: number, data: Uint8Array): void {
    const refusal = this.#refusal(data.length);
    if (refusal !== null) {
      this.#drop(proposal, refusal, 'never');
      return;
    }
    this.#proposeEntry(proposal, 'data', data);
  }

  #refusal(bytes: number): string | null {
    if (this.#role !== 'leader') return 'this replica does not lead';
    if (this.#transfer !== null) return 'the leadership is being handed over';
    return this.#proposals.refusal(bytes);
  }

  #proposeEntry(proposal: number, kind: RaftEntry['kind'], data: Uint8Array): void {
    this.#beginTerm();
    const index = this.#log.lastIndex + 1;
    const earlier = this.#proposals.add(index, { term: this.#hard.term, number: proposal, bytes: data.length });
    // Overwritten here, and nothing yet committed in its place: another replica may still hold it.
    if (earlier) this.#drop(earlier.number, 'another leader took over; whether it was committed is not known here', 'unknown');
    this.#busyAtMs = this.#nowMs;
    this.#append([{ index, term: this.#hard.term, kind, data }]);
  }

  /** F5. */
  #proposeMembership(proposal: number, change: MembershipChange): void {
    const refusal =
      this.#refusal(0) ??
      (this.#commit < this.#ownTermIndex ? 'the leader is too new: try again' : null) ??
      (this.#memberships.changedAt > this.#commit ? 'another change of the replicas is under way' : null);
    const after = refusal ?? changed(this.#memberships.current, change);
    if (typeof after === 'string') this.#drop(proposal, after, 'never');
    else this.#proposeEntry(proposal, 'membership', encodeMembership(after));
  }

  #membershipChanged(): void {
    this.#hearing.membersAre(this.#memberships.current, this.#nowMs);
    if (this.#role === 'leader') this.#followMembership(this.#log.lastIndex);
    else if (this.#electionAtMs === null || !this.#mayCampaign()) this.#setElectionTimer();
    this.#effects.push({ type: 'membershipChanged', membership: this.#memberships.current });
  }

  /** `next`: where those who are new are asked first; there has to be an entry to ask with. */
  #followMembership(next: number, isLikely = false): void {
    const others = this.#memberships.current.filter(({ id }) => id !== this.#init.id);
    for (const id of [...this.#progress.keys()]) if (!others.some((other) => other.id === id)) this.#progress.delete(id);
    const guessMs = this.#electionTimeout.guessedRoundTripMs(this.#nowMs);
    for (const { id } of others)
      if (!this.#progress.has(id)) this.#progress.set(id, new Progress({ next, isLikely, guessMs, nowMs: this.#nowMs }));
  }

  /** After every input of a leader: commits what a quorum has, and sends what there is to send. */
  #lead(): void {
    if (this.#beginsAtMs !== null && (this.#nowMs >= this.#beginsAtMs || this.#progress.size === 0 || this.#reads.isBusy))
      this.#beginTerm();
    this.#advanceCommit();
    if (this.#stepsDown()) return;
    if (this.#progress.size === 0) {
      this.#reads.confirmAll(this.#ownCommit());
      return;
    }
    for (const [id, progress] of this.#progress) this.#replicate(id, progress);
    this.#tellCommit();
    if (votersOf(this.#memberships.current).length === 1 && isVoter(this.#memberships.current, this.#init.id)) {
      this.#reads.confirmAll(this.#ownCommit());
      this.#answerReads();
    }
    if (this.#reads.wantsRound && this.#ownCommit() !== null) {
      this.#reads.beginRound(must(this.#ownCommit(), 'a commit of the own term'));
      for (const [id, progress] of this.#progress) this.#heartbeat(id, progress, false);
    }
    this.#handOver();
    this.#pauseWhenQuiet();
  }

  /** F3. */
  #advanceCommit(): void {
    const voters = votersOf(this.#memberships.current);
    const reached = reachedByQuorum(voters, (id) =>
      id === this.#init.id ? this.#durable : (this.#progress.get(id)?.match ?? 0),
    );
    if (reached > this.#commit && this.#log.termAt(reached) === this.#hard.term) this.#commit = reached;
  }

  /** On demand whoever is chosen acts as soon as it knows; standing, the next message is soon enough. */
  #tellCommit(): void {
    if (this.#init.leadership === 'standing') return;
    for (const [id, progress] of this.#progress)
      if (progress.commitTold < Math.min(this.#commit, progress.match)) this.#heartbeat(id, progress, false);
  }

  /** A leader that is no voter any more goes when that is committed (4.2.2), and leaves its place to whoever has most. */
  #stepsDown(): boolean {
    if (isVoter(this.#memberships.current, this.#init.id) || this.#commit < this.#memberships.changedAt) return false;
    const voters = votersOf(this.#memberships.current);
    const [best] = [...this.#progress].filter(([id]) => voters.includes(id)).sort(([, a], [, b]) => b.match - a.match);
    if (best) this.#send(best[0], { type: 'timeoutNow', term: this.#hard.term }, 0);
    this.#becomeFollower(this.#hard.term, null);
    // Nobody tells one that belongs no more what became of the entries behind its removal.
    if (this.#belongs(this.#init.id)) return true;
    for (const { number } of this.#proposals.takeWithin(this.#commit + 1, Number.POSITIVE_INFINITY))
      this.#drop(number, 'this replica was removed; whether it was committed is not known here', 'unknown');
    return true;
  }

  /** The commit index, once it says all that there is to say about earlier terms. */
  #ownCommit(): number | null {
    return this.#commit >= this.#ownTermIndex ? this.#commit : null;
  }

  #replicate(to: ReplicaId, progress: Progress): void {
    while (progress.hasRoom && progress.next <= this.#log.lastIndex) {
      const previousIndex = progress.next - 1;
      const previousTerm = this.#log.termAt(previousIndex);
      if (previousTerm === null) {
        this.#beginSnapshot(to, progress);
        return;
      }
      const entries = this.#log.slice(progress.next, limits.logBatchEntries, limits.logBatchBytes);
      this.#sendAppend(to, progress, { previousIndex, previousTerm, entries, pause: false });
      progress.sent(
        previousIndex + entries.length,
        entries.reduce((sum, { data }) => sum + data.length, 0),
      );
    }
  }

  #sendAppend(
    to: ReplicaId,
    progress: Progress,
    {
      previousIndex,
      previousTerm,
      entries,
      pause,
    }: Pick<Message<'append'>, 'previousIndex' | 'previousTerm' | 'entries' | 'pause'>,
  ): void {
    // One that lacks what is gone from the log here is asked from the beginning, and told once all the same.
    const known = Math.max(progress.match, previousIndex + entries.length);
    progress.commitTold = Math.max(progress.commitTold, Math.min(this.#commit, known));
    this.#send(to, {
      type: 'append',
      term: this.#hard.term,
      previousIndex,
      previousTerm,
      entries,
      pause,
      commit: this.#commit,
      round: this.#reads.round,
      sentAtMs: this.#nowMs,
      electionTimeoutMs: this.#electionTimeout.ms,
    });
  }

  /** From where the logs are known to agree, so that it never fails. */
  #heartbeat(to: ReplicaId, progress: Progress, pause: boolean): void {
    const previousTerm = this.#log.termAt(progress.match);
    if (previousTerm !== null)
      this.#sendAppend(to, progress, { previousIndex: progress.match, previousTerm, entries: [], pause });
    else this.#sendAppend(to, progress, { previousIndex: 0, previousTerm: 0, entries: [], pause });
  }

  #beginSnapshot(to: ReplicaId, progress: Progress): void {
    const head = must(this.#snapshot, 'a snapshot stands for what is gone');
    progress.beginSnapshot(head, this.#nowMs);
    this.#effects.push({ type: 'sendPiece', to, term: this.#hard.term, head, piece: 0 });
  }

  /** The group fell silent while this one was away, or too slow to be waited for; nobody else tells it what it missed. */
  #catchUp(replica: ReplicaId): void {
    if (this.#isPaused && this.#leftBehind.has(replica)) this.#campaign('real', false);
  }

  #appendedReceived(from: ReplicaId, message: Message<'appended'>): void {
    const progress = this.#progress.get(from);
    if (this.#role !== 'leader' || !progress) {
      if (!message.success || message.index < this.#log.lastIndex) this.#catchUp(from);
      return;
    }
    progress.isActive = true;
    progress.round = Math.max(progress.round, message.round);
    // What is agreed to waits for a disk besides: that says nothing of how late a heartbeat comes.
    if (!message.success || message.index === message.previousIndex) progress.roundTrip.answered(this.#nowMs - message.sentAtMs);
    if (message.success) {
      // A heartbeat's answer says nothing of what a probe asks.
      const isAnswer =
        progress.state !== 'probe' || message.previousIndex === progress.next - 1 || message.index > progress.match;
      if (isAnswer && message.index <= this.#log.lastIndex) progress.matched(message.index, this.#nowMs);
      if (progress.match >= this.#commit) progress.isCatchingUp = false;
    } else if (message.previousIndex > progress.match && progress.state !== 'snapshot' && message.previousIndex < progress.next) {
      progress.probeFrom(this.#log.lastWithin(message.index, message.hintTerm) + 1, this.#nowMs);
    }
    const voters = votersOf(this.#memberships.current);
    this.#reads.roundReached(
      reachedByQuorum(voters, (id) => (id === this.#init.id ? this.#reads.round : (this.#progress.get(id)?.round ?? 0))),
    );
    this.#answerReads();
  }

  #answerReads(): void {
    for (const { to, read, index } of this.#reads.takeAnswers())
      this.#send(to, { type: 'readAnswer', term: this.#hard.term, read, index });
  }

  /**
   * The timeout follows the round trip to the nearest quorum: as long as that many hear their leader nobody is elected,
   * however late others answer. It changes with the heartbeat that tells it (F7).
   */
  #adaptTimeout(): void {
    const mostMs = this.#electionTimeout.longestRoundTripMs;
    const tookMs = new Map<ReplicaId, number>([[this.#init.id, 0]]);
    for (const [id, { roundTrip, isThere }] of this.#progress) {
      roundTrip.look(this.#nowMs, mostMs);
      if (isThere) tookMs.set(id, roundTrip.ms);
    }
    const quorumMs = -reachedByQuorum(votersOf(this.#memberships.current), (id) => -(tookMs.get(id) ?? Number.POSITIVE_INFINITY));
    if (quorumMs !== Number.POSITIVE_INFINITY) this.#electionTimeout.follow(quorumMs, this.#nowMs);
  }

  #pieceTaken(from: ReplicaId, message: Message<'pieceTaken'>): void {
    const progress = this.#progress.get(from);
    if (this.#role !== 'leader' || !progress) {
      this.#catchUp(from);
      return;
    }
    progress.isActive = true;
    const isWanted = this.#snapshot !== null && progress.match < this.#snapshot.index;
    // An answer that was given up comes after all: the disk or the link there is slow.
    if (progress.snapshot === null && isWanted && message.piece > 0)
      progress.beginSnapshot(must(this.#snapshot, 'a snapshot'), this.#nowMs);
    if (progress.snapshot === null || progress.snapshot.head.index !== message.snapshotIndex) return;
    const { head } = progress.snapshot;
    if (message.piece >= piecesOf(head)) {
      progress.probeFrom(head.index + 1, this.#nowMs);
      progress.matched(head.index, this.#nowMs);
      return;
    }
    if (message.piece <= progress.snapshot.piece) return; // that one is on its way
    // Pieces of a snapshot that was replaced are gone: begin with the new one.
    const current = must(this.#snapshot, 'a snapshot');
    if (current.index !== head.index) {
      this.#beginSnapshot(from, progress);
      return;
    }
    progress.snapshot.piece = message.piece;
    progress.moved(this.#nowMs);
    this.#effects.push({ type: 'sendPiece', to: from, term: this.#hard.term, head, piece: message.piece });
  }

  #transferRequested(to: ReplicaId): void {
    if (this.#role !== 'leader' || to === this.#init.id || !isVoter(this.#memberships.current, to)) return;
    if (this.#transfer !== null) return; // two that are told at once would split the votes
    this.#transfer = { to, deadlineMs: this.#nowMs + this.#electionTimeout.ms, isTold: false };
  }

  #handOver(): void {
    if (this.#transfer === null || this.#progress.get(this.#transfer.to)?.match !== this.#log.lastIndex) return;
    if (this.#transfer.isTold) return;
    this.#transfer.isTold = true;
    this.#send(this.#transfer.to, { type: 'timeoutNow', term: this.#hard.term });
  }

  /** On demand: nothing to decide, and everyone who is there has everything. */
  #pauseWhenQuiet(): void {
    if (this.#init.leadership !== 'on-demand' || this.#nowMs - this.#busyAtMs < this.#init.quietMs) return;
    const last = this.#log.lastIndex;
    if (this.#beginsAtMs !== null || this.#commit < last || this.#durable < last || this.#transfer !== null || this.#reads.isBusy)
      return;
    for (const { isThere, match } of this.#progress.values()) if (isThere && match < last) return;
    for (const [id, progress] of this.#progress) this.#heartbeat(id, progress, true);
    this.#leftBehind = new Set([...this.#progress].filter(([, { match }]) => match < last).map(([id]) => id));
    this.#pause(this.#init.id);
  }

  #pause(leader: ReplicaId): void {
    this.#becomeFollower(this.#hard.term, null);
    this.#pausedTerm = this.#hard.term;
    this.#pausedUnder = leader;
    this.#electionAtMs = null;
  }

  // ---- following

  #appendReceived(from: ReplicaId, message: Message<'append'>): void {
    this.#hearLeader(from);
    this.#electionTimeout.set(message.electionTimeoutMs, this.#nowMs);
    const { previousIndex, previousTerm, entries } = message;
    if (previousIndex < this.#log.firstIndex - 1 || this.#log.termAt(previousIndex) !== previousTerm) {
      // What is committed here agrees with every later leader's log (leader completeness).
      const agreed = previousIndex <= this.#commit;
      this.#answerAppend(from, message, agreed, agreed ? this.#commit : Math.min(previousIndex, this.#log.lastIndex));
      this.#setElectionTimer();
      return;
    }
    const last = previousIndex + entries.length;
    const firstNew = entries.find((entry) => this.#log.termAt(entry.index) !== entry.term && entry.index > this.#commit);
    if (firstNew) {
      if (firstNew.index <= this.#log.lastIndex) this.#truncateFrom(firstNew.index);
      this.#append(entries.slice(firstNew.index - previousIndex - 1));
    }
    this.#commit = Math.max(this.#commit, Math.min(message.commit, last));
    this.#answerAppend(from, message, true, last);
    // Whoever lacks something does not fall silent: it asks, and is told.
    const isLast = message.pause && this.#log.lastIndex >= message.commit;
    if (isLast && this.#init.leadership === 'on-demand') this.#pause(from);
    else this.#setElectionTimer();
  }

  #hearLeader(from: ReplicaId): void {
    assert(this.#role !== 'leader', `election safety: ${from} leads term ${this.#hard.term}, too`);
    this.#heardLeaderAtMs = this.#nowMs;
    // The last word of this term's leader has overtaken what comes now: there is nobody to wait for.
    if (this.#isPaused && this.#pausedTerm === this.#hard.term) return;
    if (this.#leader !== from || this.#role !== 'follower' || this.#isPaused) this.#becomeFollower(this.#hard.term, from);
  }

  #answerAppend(to: ReplicaId, message: Message<'append'> | Message<'snapshotPiece'>, success: boolean, index: number): void {
    const isAppend = message.type === 'append';
    const hint = success || !isAppend ? index : this.#log.lastWithin(index, message.previousTerm);
    // What is durable already needs no wait for a disk that writes something later: a heartbeat asks for a sign of life only.
    const after = success && index <= this.#durable ? 0 : this.#thisWrite();
    this.#send(
      to,
      {
        type: 'appended',
        term: this.#hard.term,
        success,
        previousIndex: isAppend ? message.previousIndex : 0,
        index: hint,
        hintTerm: this.#log.termAt(hint) ?? 0,
        round: isAppend ? message.round : 0,
        sentAtMs: isAppend ? message.sentAtMs : this.#nowMs,
      },
      after,
    );
  }

  #pieceReceived(from: ReplicaId, { head, piece, data }: Message<'snapshotPiece'>): void {
    this.#hearLeader(from);
    this.#setElectionTimer();
    const answer = (next: number, after: number) =>
      this.#send(from, { type: 'pieceTaken', term: this.#hard.term, snapshotIndex: head.index, piece: next }, after);
    // Here already (section 7): what follows may have been agreed to, and must stay. A snapshot holds what is committed only.
    if (this.#log.termAt(head.index) === head.term) this.#commit = Math.max(this.#commit, head.index);
    if (head.index <= this.#commit) {
      answer(piecesOf(head), this.#thisWrite());
      return;
    }
    const isSame =
      this.#incoming?.from === from && this.#incoming.head.index === head.index && this.#incoming.head.term === head.term;
    // Another leader's snapshot of the same index may be put in other bytes.
    if (!isSame) this.#incoming = { from, head, piece: 0 };
    const incoming = must(this.#incoming, 'a snapshot that comes in');
    if (piece !== incoming.piece) {
      answer(incoming.piece, this.#thisWrite());
      return;
    }
    this.#save();
    incoming.piece += 1;
    const write = ++this.#lastWrite;
    this.#writes.push({ write, lastIndex: 0 });
    this.#effects.push({ type: 'keepPiece', write, head, piece, data });
    if (incoming.piece === piecesOf(head)) this.#adopt(head);
    answer(incoming.piece, this.#lastWrite);
  }

  #adopt(head: SnapshotHead): void {
    this.#incoming = null;
    const write = ++this.#lastWrite;
    this.#snapshot = head;
    this.#log.reset(head.index, head.term);
    this.#memberships.reset(head.index, head.membership);
    this.#commit = this.#delivered = head.index;
    // Nothing of before counts as durable any more; the snapshot does when this write has ended.
    this.#durable = 0;
    for (const earlier of this.#writes) earlier.lastIndex = 0;
    this.#writes.push({ write, lastIndex: head.index });
    for (const { number } of this.#proposals.takeWithin(0, head.index))
      this.#drop(number, 'another leader took over; whether it was committed is not known here', 'unknown');
    this.#dropOlderThan(head.term);
    this.#effects.push({ type: 'adoptSnapshot', write, head });
    this.#membershipChanged();
  }

  // ---- reads

  #readRequested(read: number): void {
    const refused = (): void => void this.#effects.push({ type: 'readReady', read, index: null });
    if (this.#reads.isFull) refused();
    else if (this.#role === 'leader') this.#reads.asked(read, null);
    else if (this.#leader === null) refused();
    else {
      this.#reads.forwarded(read, this.#nowMs + 2 * this.#electionTimeout.ms);
      this.#send(this.#leader, { type: 'readRequest', term: this.#hard.term, read });
    }
  }

  #readAsked(from: ReplicaId, read: number): void {
    if (this.#role !== 'leader' || this.#reads.isFull)
      this.#send(from, { type: 'readAnswer', term: this.#hard.term, read, index: null });
    else this.#reads.asked(read, from);
  }

  #dropReads(): void {
    for (const { to, read } of this.#reads.dropAll()) {
      if (to === null) this.#effects.push({ type: 'readReady', read, index: null });
      else this.#send(to, { type: 'readAnswer', term: this.#hard.term, read, index: null });
    }
  }

  // ---- time

  #timePassed(): void {
    if (this.#role === 'leader') {
      this.#leaderTimePassed();
      return;
    }
    for (const read of this.#reads.expired(this.#nowMs)) this.#effects.push({ type: 'readReady', read, index: null });
    if (this.#electionAtMs === null) {
      if (this.#leader === null && !this.#isPaused) this.#beginAlone();
      return;
    }
    if (this.#nowMs < this.#electionAtMs) return;
    // Much later than it was set for: this process did not run, and heard nobody for that reason. It listens first.
    if (this.#nowMs - this.#electionAtMs > this.#electionTimeout.ms && this.#role === 'follower') {
      this.#setElectionTimer();
      return;
    }
    this.#campaign('pre', false);
  }

  /** At the start: the only voter need not wait for anyone. */
  #beginAlone(): void {
    const voters = votersOf(this.#memberships.current);
    if (voters.length === 1 && voters[0] === this.#init.id) this.#campaign('real', false);
    else this.#setElectionTimer();
  }

  #leaderTimePassed(): void {
    if (this.#transfer !== null && this.#nowMs >= this.#transfer.deadlineMs) this.#transfer = null;
    if (this.#progress.size === 0) return;
    if (this.#nowMs >= this.#quorumAtMs && !this.#hasQuorum()) {
      this.#becomeFollower(this.#hard.term, null);
      return;
    }
    if (this.#nowMs < this.#heartbeatAtMs) return;
    this.#adaptTimeout();
    this.#heartbeatAtMs = this.#nowMs + this.#electionTimeout.heartbeatMs;
    this.#quorumAtMs = Math.min(this.#quorumAtMs, this.#nowMs + this.#electionTimeout.ms);
    for (const [id, progress] of this.#progress) {
      const patientMs = this.#electionTimeout.patienceMs(progress.roundTrip.ms);
      if (progress.isInFlight && progress.isOverdue(this.#nowMs, patientMs)) progress.giveUp(this.#nowMs);
      // An answer that was lost must not be the last: as long as it is not known to have everything, it is asked.
      const isIdle = !progress.isInFlight && progress.next > this.#log.lastIndex;
      if (isIdle && progress.match < this.#log.lastIndex) progress.probeFrom(this.#log.lastIndex, this.#nowMs);
      this.#heartbeat(id, progress, false);
    }
  }

  /** Check-quorum: a leader that hears no quorum gives up, so that its clients look elsewhere. */
  #hasQuorum(): boolean {
    const voters = votersOf(this.#memberships.current);
    const heard = voters.filter((id) => id === this.#init.id || this.#progress.get(id)?.isActive);
    for (const progress of this.#progress.values()) progress.look();
    this.#quorumAtMs = this.#nowMs + this.#electionTimeout.ms;
    return heard.length >= quorumOf(voters.length);
  }
}

export function piecesOf({ bytes }: SnapshotHead): number {
  return Math.max(1, Math.ceil(bytes / limits.snapshotPieceBytes));
}
