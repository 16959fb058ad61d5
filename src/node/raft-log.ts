/**
 * A log with replicas: steps the Raft core, one input at a time, and drains its effects through the storage, the
 * links to the other replicas and the clock.
 *
 * The order that effects ask for is kept here: writes go to the storage one after the other, and a message that
 * promises something durable waits until the storage has said so.
 */
import { assert, must, unreachable } from '../core/base/assert.ts';
import { integerBetween } from '../core/base/prng.ts';
import { ProposalQueue } from '../core/log/proposal-queue.ts';
import { CodedError } from '../core/model/errors.ts';
import type { ProposalFate } from '../core/model/leadership.ts';
import type { CommittedEntry, MembershipChange, RaftEffect, RaftInit, RaftInput } from '../core/raft/contract.ts';
import { isOnlyVoter, type ReplicaId } from '../core/raft/membership.ts';
import type { PeerMessage } from '../core/raft/messages.ts';
import { Raft } from '../core/raft/raft.ts';
import type { Log, LogListener } from '../ports/log.ts';
import { Awaited } from './awaited.ts';
import { PeerTelling } from './peer-telling.ts';
import type { RaftLogComponents } from './raft-log-components.ts';
import { ReplicaLeadership } from './replica-leadership.ts';
import { type Restored, restoreReplica } from './restore-replica.ts';
import { Vouching } from './vouching.ts';
import { WakeTimer } from './wake-timer.ts';
import { WriteOrder } from './write-order.ts';

const CLOSED = 'the log is closed';
const FIRST_NUMBER_MAX = 2 ** 40;

export class RaftLog implements Log {
  readonly #components: RaftLogComponents;
  readonly #init: RaftInit;
  #listener: LogListener | null = null;
  #raft: Raft | null = null;
  readonly #queue: RaftInput[] = [];
  /** What is proposed while the disk writes shares the next step, one message to each follower and one sync. */
  readonly #proposed = new ProposalQueue();
  /** Proposals that the core has and has not answered. */
  readonly #underWay = new Set<number>();
  #isStepping = false;
  #isScheduled = false;
  #isClosing = false;
  #isStartingAlone = false;
  /** Why nothing more is taken; null while it is. */
  #ended: string | null = null;
  readonly #order: WriteOrder;
  /** The last write with proposals in it. */
  #lastProposedWrite = 0;
  #restoring: Promise<Restored> | null = null;
  /** The last index delivered. */
  #index = 0;
  readonly #vouching = new Vouching();
  readonly #leadership: ReplicaLeadership;
  readonly #telling: PeerTelling;
  #whenLeading: () => void = () => undefined;
  /** Of reads, and below zero of changes of membership; proposals have the listener's own, from zero up. Another start in each life. */
  #nextNumber: number;
  readonly #reads = new Awaited<boolean>();
  readonly #changes = new Awaited<string | null>();
  readonly #connected = new Set<ReplicaId>();
  readonly #timer: WakeTimer;

  constructor(components: RaftLogComponents, init: RaftInit) {
    this.#components = components;
    this.#init = init;
    this.#leadership = new ReplicaLeadership(init);
    this.#telling = new PeerTelling({
      leadership: this.#leadership,
      send: (to, message) => this.#send(to, message),
      attachment: () => components.attachment(),
      told: (name, attachment) => components.told?.(name, attachment),
      nameOf: (id) => this.#nameOf(id),
    });
    this.#nextNumber = integerBetween(components.random, 1, FIRST_NUMBER_MAX);
    this.#order = new WriteOrder({
      send: (to, message) => this.#send(to, message),
      durable: (write) => this.#take({ type: 'persisted', write }),
      failed: (error) => this.#fail(error),
    });
    this.#timer = new WakeTimer(
      components.clock,
      () => this.#raft?.wakeAtMs ?? null,
      () => this.#take({ type: 'timePassed' }),
    );
  }

  get status(): Raft['status'] | null {
    return this.#raft?.status ?? null;
  }

  /** Replicas that there is a connection with. */
  get connected(): ReadonlySet<ReplicaId> {
    return this.#connected;
  }

  async open(listener: LogListener): Promise<void> {
    assert(this.#listener === null, 'a log is opened once');
    this.#listener = listener;
    const { storage, link, random } = this.#components;
    this.#restoring = restoreReplica(storage);
    const { restored, content } = await this.#restoring;
    if (this.#isClosing) return;
    if (restored.snapshot !== null) {
      this.#index = restored.snapshot.index;
      listener.restored(must(content, 'the content of a snapshot that is there'), this.#index);
    }
    this.#raft = new Raft(this.#init, restored, random);
    this.#leadership.restored(restored.hard.term);
    link.open({
      connected: (peer) => this.#connectionChanged({ type: 'peerConnected', peer }),
      received: (peer, frame) => this.#received(peer, frame),
      disconnected: (peer) => this.#connectionChanged({ type: 'peerDisconnected', peer }),
    });
    this.#setPeers();
    if (isOnlyVoter(this.#raft.status.membership, this.#init.id)) {
      this.#isStartingAlone = true; // nobody else knows more: it leads by itself, and has then delivered all there is (L3)
      const leads = new Promise<void>((resolve) => {
        this.#whenLeading = resolve;
      });
      this.#take({ type: 'timePassed' });
      await leads;
      return;
    }
    this.#take({ type: 'timePassed' }); // delivers what is known to be committed
    this.#tellLeadership();
  }

  propose(proposal: number, data: Uint8Array): void {
    const refusal = this.#ended ?? (this.#isClosing ? CLOSED : null) ?? this.#proposed.offer({ proposal, data });
    if (refusal !== null) this.#drop(proposal, refusal);
    else this.#drainLater();
  }

  /** Resolves with null when the change is committed, else with the reason. */
  changeMembership(change: MembershipChange): Promise<string | null> {
    if (this.#ended !== null) return Promise.resolve(this.#ended);
    const proposal = -this.#nextNumber++;
    this.#takeLater({ type: 'membershipProposed', proposal, change });
    return this.#changes.answerTo(proposal);
  }

  /** Resolves with true when what is delivered here by now contains all that was committed when it was asked. */
  confirmRead(): Promise<boolean> {
    if (this.#ended !== null) return Promise.resolve(false);
    const read = this.#nextNumber++;
    this.#takeLater({ type: 'readRequested', read });
    return this.#reads.answerTo(read);
  }

  transferTo(to: ReplicaId): void {
    this.#takeLater({ type: 'transferRequested', to });
  }

  /** On demand: there is something to decide here. */
  wantLeadership(): void {
    this.#takeLater({ type: 'leadershipWanted' });
  }

  /** On demand: asks everyone who is there what they see of their children; answers come to `told`. */
  ask(): void {
    this.#telling.ask(this.#connected);
  }

  /** On demand: what has changed here. */
  tell(options: { readonly whilePaused: boolean }): void {
    this.#telling.tell(options);
  }

  #nameOf(id: ReplicaId | null): string | null {
    return this.#raft?.status.membership.find((replica) => replica.id === id)?.name ?? null;
  }

  async compact(snapshot: Uint8Array, index: number): Promise<void> {
    assert(index <= this.#index, `a snapshot up to ${index} of a log that has delivered ${this.#index}`);
    if (this.#ended !== null) throw new CodedError('unavailable', this.#ended);
    const raft = must(this.#raft, 'an open log');
    const head = raft.headAt(index, snapshot.length);
    if (head === null) return; // one that reaches as far is there, or the next one comes soon enough
    const keepFromIndex = raft.tailStart(index);
    await this.#order.also(() => this.#components.storage.takeSnapshot(head, snapshot, keepFromIndex));
    this.#take({ type: 'snapshotTaken', head });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    for (const { proposal } of this.#proposed.takeAll()) this.#drop(proposal, CLOSED);
    // What is being written is delivered if that is all it takes; of the rest nobody here will hear.
    await Promise.allSettled([this.#restoring, this.#order.idle()]);
    this.#end(CLOSED);
    for (const proposal of this.#underWay) this.#drop(proposal, CLOSED, 'unknown');
    this.#underWay.clear();
    this.#timer.cancel();
    await this.#components.link.close();
    await this.#order.idle();
    await this.#components.storage.close();
  }

  #connectionChanged(change: Extract<RaftInput, { readonly peer: ReplicaId }>): void {
    if (change.type === 'peerConnected') this.#connected.add(change.peer);
    else this.#connected.delete(change.peer);
    if (change.type === 'peerConnected') this.#vouchTo(change.peer);
    this.#take(change);
    this.#components.connectionsChanged?.();
  }

  #received(from: ReplicaId, frame: Uint8Array): void {
    const message = this.#components.frames.decode(frame);
    if (message === null) this.#components.link.refuse(from);
    else if (message.type === 'ask') this.#telling.tellTo(from);
    else if (message.type === 'members') this.#heardOfMembers(from, message);
    else if (message.type === 'tell') this.#telling.heard({ voter: from, attachment: message.attachment });
    else if (message.type !== 'voteRequest' || message.pre) this.#take({ type: 'messageReceived', from, message });
    else this.#take({ type: 'messageReceived', from, message, attachment: this.#components.attachment() });
  }

  /** Later, so that callbacks never nest in a call of ours. */
  #takeLater(input: RaftInput): void {
    this.#queue.push(input);
    this.#drainLater();
  }

  #drainLater(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#drain();
    });
  }

  #take(input: RaftInput): void {
    this.#queue.push(input);
    this.#drain();
  }

  #drain(): void {
    const raft = this.#raft;
    if (this.#isStepping || this.#ended !== null || raft === null) return;
    this.#isStepping = true;
    try {
      for (let input = this.#next(); input !== null; input = this.#next()) {
        for (const effect of raft.step(this.#components.clock.elapsedMs(), input)) this.#carryOut(effect);
        if (this.#ended !== null) return;
        if (input.type === 'proposed') this.#lastProposedWrite = this.#order.asked;
      }
      this.#timer.set();
    } finally {
      this.#isStepping = false;
    }
  }

  #next(): RaftInput | null {
    const input = this.#queue.shift();
    if (input !== undefined || this.#proposed.size === 0 || this.#order.durable < this.#lastProposedWrite) return input ?? null;
    const proposals = this.#proposed.takeBatch();
    for (const { proposal } of proposals) this.#underWay.add(proposal);
    return { type: 'proposed', proposals };
  }

  #carryOut(effect: RaftEffect): void {
    const { storage } = this.#components;
    switch (effect.type) {
      case 'persist':
        this.#order.write(effect.write, () => storage.persist(effect.hard, effect.entries));
        return;
      case 'send':
        if (effect.message.type === 'vote' && effect.message.attachment !== null) this.#telling.voted();
        this.#order.send(effect);
        return;
      case 'sendPiece':
        this.#sendPiece(effect);
        return;
      case 'keepPiece':
        this.#order.write(effect.write, () => storage.keepPiece(effect.head, effect.piece, effect.data));
        return;
      case 'adoptSnapshot':
        this.#order.write(effect.write, async () => {
          const content = await storage.adoptSnapshot(effect.head);
          if (this.#ended !== null) return;
          this.#index = effect.head.index;
          this.#listener?.restored(content, this.#index);
        });
        return;
      case 'committed':
        this.#committed(effect.entries);
        return;
      case 'dropped':
        this.#underWay.delete(effect.proposal);
        if (effect.proposal < 0) this.#changes.answer(effect.proposal, effect.reason);
        else this.#listener?.dropped(effect.proposal, effect.reason, effect.fate);
        return;
      case 'readReady':
        this.#reads.answer(effect.read, effect.index !== null);
        return;
      case 'leadershipChanged':
        this.#leadershipChanged(effect);
        return;
      case 'lateVote':
        this.#telling.heard(effect.vote);
        this.#leadership.voteHeard(effect.vote.voter);
        this.#leadEarly();
        return;
      case 'membershipChanged':
        this.#components.membershipChanged(effect.membership);
        return;
      case 'peersChanged':
        this.#setPeers();
        return;
      default:
        unreachable(effect);
    }
  }

  #setPeers(): void {
    this.#components.link.setPeers(this.#vouching.peers(must(this.#raft, 'an open log').status));
    for (const peer of this.#connected) this.#vouchTo(peer);
  }

  #heardOfMembers(from: ReplicaId, said: Extract<PeerMessage, { type: 'members' }>): void {
    if (this.#vouching.heard(from, said, must(this.#raft, 'an open log').status)) this.#setPeers();
  }

  #vouchTo(peer: ReplicaId): void {
    const { peers: members, peersVersion: version } = must(this.#raft, 'an open log').status;
    if (members.length > 0) this.#send(peer, { type: 'members', term: this.#leadership.term, version, members });
  }

  #send(to: ReplicaId, message: PeerMessage): void {
    const { link, frames } = this.#components;
    link.send(to, frames.encode(message));
  }

  #sendPiece({ to, term, head, piece }: Extract<RaftEffect, { type: 'sendPiece' }>): void {
    this.#components.storage.readPiece(head.index, piece).then(
      (data) => {
        // null: a newer snapshot has taken its place, and the follower is sent that one.
        if (this.#ended === null && data !== null) this.#send(to, { type: 'snapshotPiece', term, head, piece, data });
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #committed(entries: readonly CommittedEntry[]): void {
    const last = must(entries.at(-1), 'a committed entry');
    this.#index = last.index;
    for (const { proposal } of entries) if (proposal !== undefined) this.#underWay.delete(proposal);
    const ours = entries.filter(({ kind }) => kind === 'data');
    if (ours.length > 0)
      this.#listener?.committed(
        ours.map(({ index, data, proposal }) => (proposal === undefined ? { index, data } : { index, data, proposal })),
      );
    for (const { proposal } of entries) if (proposal !== undefined && proposal < 0) this.#changes.answer(proposal, null);
    if (this.#leadership.delivered(last.term)) this.#tellLeadership();
  }

  #leadershipChanged({ term, leader, votes }: Extract<RaftEffect, { type: 'leadershipChanged' }>): void {
    const voters = votes.map(({ voter }) => voter);
    const { pausedUnder, votedFor } = must(this.#raft, 'an open log').status;
    if (!this.#leadership.changed(term, leader, pausedUnder, voters)) return;
    this.#telling.leadershipChanged(leader, votedFor, votes);
    this.#tellLeadership();
    this.#leadEarly();
  }

  #leadEarly(): void {
    const { status } = must(this.#raft, 'an open log');
    if (this.#leadership.knowsAll(this.#index, status, this.#connected)) this.#tellLeadership();
  }

  #tellLeadership(): void {
    const leadership = this.#leadership.view((id) => this.#nameOf(id));
    if (this.#isStartingAlone && !leadership.leads) return;
    this.#isStartingAlone = false;
    if (leadership.leads) this.#telling.led();
    this.#listener?.ready(leadership);
    if (leadership.leads || this.#ended !== null) this.#whenLeading();
  }

  #fail(error: unknown): void {
    if (this.#ended !== null) return;
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#end(`the log has failed: ${failure.message}`);
    this.#timer.cancel();
    this.#listener?.failed(failure);
  }

  #end(reason: string): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#queue.length = 0;
    for (const { proposal } of this.#proposed.takeAll()) this.#drop(proposal, reason);
    this.#reads.answerAll(false);
    this.#changes.answerAll(reason);
    this.#whenLeading();
  }

  #drop(proposal: number, reason: string, fate: ProposalFate = 'never'): void {
    queueMicrotask(() => this.#listener?.dropped(proposal, reason, fate));
  }
}
