/**
 * An orchestrator: one input in, its effects out. The log's entries change the state (apply.ts), children's
 * messages change what is observed (observed.ts), and after every input the leader compares the two for the
 * services concerned (reconcile.ts) and proposes what to do; the proposal comes back as a log entry, and only
 * then is a child told (desired.ts). To its own parent the orchestrator is a child like any node.
 *
 * Effects are in order: `propose` before anything that depends on it can exist; a `sendToChild` with new
 * desired state only ever follows the commit that made it; an `answer` follows the commit of its request.
 *
 * Invariants:
 *  I1. One round of decisions is in flight at a time, so no two rounds decide on the same facts.
 *  I2. A child is never told of an instance that is not committed.
 *  I3. Reading time changes nothing: all that depends on it happens in `timePassed`.
 *  I4. A child is silent only for time in which this orchestrator listened.
 *  I5. What is observed is observed while leading: whoever loses the lead forgets it and ends its links, and whoever
 *      takes it begins with nothing observed and gives children time to come. On demand every voter observes its own
 *      children all the time, and tells the others of them (O4); whoever is to be a voter no more ends its links.
 *      The link with the parent, which only one replica can have, is the leader's; while a group is paused, it is kept by
 *      the one that led last, and the others leave it to that one to decide. It is opened by a leader only.
 *  I6. A replica that lacks what a child was told by another one does not tell it what was before: what has been placed
 *      since would be stopped there, and what has been stopped would start again.
 */
import { must, unreachable } from '../base/assert.ts';
import { Latest } from '../base/latest.ts';
import { limits } from '../base/limits.ts';
import type { Random } from '../base/prng.ts';
import type { DecidedBy } from '../model/decisions.ts';
import type { Leadership } from '../model/leadership.ts';
import type { DownMessage, InstanceReport, UpMessage } from '../model/messages.ts';
import type { PeerReport } from '../model/peer-report.ts';
import type { Leadership as LeadershipMode, ReplicaRecord } from '../model/replicas.ts';
import type { ClientRequest } from '../model/requests.ts';
import type { PlacementPolicyName, ServiceSpec } from '../model/service.ts';
import type { EventView, RefusalView } from '../model/views.ts';
import { type ChildStatus, sameCapacity } from '../uplink/child-session.ts';
import { apply } from './apply.ts';
import type { NewEvent, RequestAnswer } from './changes.ts';
import { type Command, decodeCommand, encodeCommand, type LoggedCommand } from './commands.ts';
import type { Hash } from './decision-chain.ts';
import { desiredSince } from './desired.ts';
import { Observed } from './observed.ts';
import { ParentEnd } from './parent-end.ts';
import { Placer } from './placer.ts';
import { UNSEEN_LOST_AFTER_MS, unseenAfterTakeoverMs } from './reconcile.ts';
import { Rounds } from './rounds.ts';
import { OrchestratorState } from './state.ts';
import { UpwardStatus } from './upward.ts';
import { isSilent, type ViewContext } from './views.ts';

export type OrchestratorInput =
  | { readonly type: 'snapshotRestored'; readonly snapshot: string; readonly index: number }
  | { readonly type: 'entryCommitted'; readonly index: number; readonly data: string; readonly proposal?: number | undefined }
  | { readonly type: 'logReady'; readonly leadership: Leadership }
  | { readonly type: 'proposalDropped'; readonly proposal: number; readonly reason: string }
  | {
      readonly type: 'requestReceived';
      readonly ticket: number;
      readonly request: ClientRequest;
      readonly idempotencyKey?: string | undefined;
    }
  | { readonly type: 'childMessageReceived'; readonly child: string; readonly message: UpMessage }
  | { readonly type: 'childLinkClosed'; readonly child: string }
  /** On demand: what another replica sees of its children. */
  | { readonly type: 'peerTold'; readonly peer: string; readonly report: PeerReport }
  /** On demand: names of the replicas that there is a connection with. */
  | { readonly type: 'peersConnected'; readonly peers: readonly string[] }
  | { readonly type: 'uplinkOpened'; readonly session: string }
  | { readonly type: 'uplinkMessageReceived'; readonly message: Extract<DownMessage, { type: 'desired' }> }
  | { readonly type: 'uplinkClosed' }
  | { readonly type: 'timePassed' };

export type OrchestratorEffect =
  | { readonly type: 'propose'; readonly proposal: number; readonly data: string }
  | { readonly type: 'answer'; readonly ticket: number; readonly answer: RequestAnswer }
  | { readonly type: 'sendToChild'; readonly child: string; readonly message: DownMessage }
  | { readonly type: 'disconnectChild'; readonly child: string }
  | { readonly type: 'sendToParent'; readonly message: UpMessage }
  | { readonly type: 'restartUplink'; readonly reason: string }
  | { readonly type: 'compact'; readonly snapshot: string; readonly index: number }
  /** On demand: there is something to decide, and nobody leads. */
  | { readonly type: 'wantLeadership' }
  /** On demand: another replica leads, and what is seen here has changed. */
  | { readonly type: 'tellLeader' }
  /** Something that a view shows has changed. */
  | { readonly type: 'changed'; readonly kind: 'service' | 'instance' | 'child'; readonly name: string }
  | { readonly type: 'happened'; readonly event: EventView };

export interface OrchestratorInit {
  readonly name: string;
  readonly epoch: string;
  readonly software: string;
  readonly random: Random;
  /** Default policy where a service names none. */
  readonly policy: PlacementPolicyName;
  readonly heartbeatMs: number;
  readonly entriesPerSnapshot: number;
  /** Of decision records. */
  readonly hash: Hash;
  /** How replicas decide who leads; default standing. */
  readonly leading?: LeadershipMode | undefined;
  /** This replica, for the group that it founds; without it the log's replicas are nobody's business here. */
  readonly replica?: Pick<ReplicaRecord, 'id' | 'name' | 'url' | 'publicKeyFingerprint'> | undefined;
}

/** Nodes get this long after a start before their absence is held against the cluster. */
const SETTLE_MS = 10_000;
/** No input for this long means that this process did not run. */
const GAP_MS = 2_000;
/** So long after it lost the lead, a replica says what became of a request; a new leader tells it much sooner. */
const UNANSWERED_MS = 2_000;

export class Orchestrator {
  readonly #init: OrchestratorInit;
  readonly #parent: ParentEnd;
  #state: OrchestratorState;
  #observed = this.#newObserved();
  #placer: Placer;
  #rounds: Rounds;
  #leadership: Leadership = { leads: false, term: 0, leader: null };
  /** The log has been read: what comes from it from now on happens now. */
  #isReady = false;
  /** Another replica has led while this one was there. */
  #hasFollowed = false;
  /** When this replica came to lead: before, it heard no child. */
  #startedAtMs = 0;
  #unseenLostAfterMs = UNSEEN_LOST_AFTER_MS;
  #index = 0;
  #snapshotIndex = 0;
  #snapshotLength = 0;
  #lengthSinceSnapshot = 0;
  #nextProposal = 1;
  /** The round of decisions that is under way. */
  #deciding: { readonly proposal: number; readonly logged: LoggedCommand } | null = null;
  #isInformed = false;
  /** When this replica lost the lead. */
  #ledUntilMs = 0;
  /** The log has dropped a decision: until time has passed, or leadership, it would drop the next one too. */
  #isHeldBack = false;
  #tickets = new Map<number, number>();
  #upstreamProposals = new Set<number>();
  /** Children whose heartbeat is overdue. */
  readonly #late = new Set<string>();
  /** On demand: replicas that there is a connection with. */
  #peers: ReadonlySet<string> = new Set();
  /** When the last of these connections ended. */
  #lastGoneAtMs = 0;
  /** On demand: leadership is wanted here, and nobody has it yet. */
  #isWanting = false;
  readonly #upward = new UpwardStatus();
  readonly #events = new Latest<EventView>(limits.events);
  #nextEvent = 1;
  #effects: OrchestratorEffect[] = [];
  #nowMs = 0;

  constructor(init: OrchestratorInit) {
    this.#init = init;
    this.#state = new OrchestratorState(init.hash);
    this.#parent = new ParentEnd({ software: init.software, self: init.replica?.name ?? null, isOnDemand: this.#isOnDemand });
    this.#placer = new Placer(this.#state, this.#observed, init);
    this.#rounds = this.#newRounds();
  }

  get state(): OrchestratorState {
    return this.#state;
  }

  get leads(): boolean {
    return this.#leadership.leads;
  }

  /** I5: children may have their links here. */
  get serves(): boolean {
    if (!this.#isOnDemand || this.#leadership.leads) return this.#leadership.leads;
    return this.#state.replicas.get(this.#init.replica?.id ?? '')?.role !== 'learner';
  }

  /** I5: the link with the parent is this replica's, to open and to keep. */
  get speaksToParent(): boolean {
    return this.#parent.isOurs;
  }

  /** On demand, with a parent, while the group is paused: the other replica that there is to decide; null: this one, or whoever wants to. */
  get pausedUnder(): string | null {
    const { pausedUnder = null } = this.#leadership;
    if (this.#state.upstream === null || pausedUnder === null || pausedUnder === this.#init.replica?.name) return null;
    return this.#peers.has(pausedUnder) ? pausedUnder : null;
  }

  /** Whether a leader was known since the start: before, a replica may lack the last of what was committed. */
  get isInformed(): boolean {
    return this.#isInformed;
  }

  get logPosition(): { readonly index: number; readonly snapshotIndex: number } {
    return { index: this.#index, snapshotIndex: this.#snapshotIndex };
  }

  /** For simulation and tests: that the placer knows what it should. */
  assertPlacer(): void {
    this.#placer.assertFresh();
  }

  /** On demand: what this replica tells the others. */
  peerReport(nowMs: number): PeerReport {
    return this.#observed.peerReport(nowMs);
  }

  /** On demand: the replica that this child has its link with; null: this one, or none that is known. */
  viaOf(child: string): string | null {
    return this.#observed.links.get(child)?.via ?? null;
  }

  /** Where the replicas are, the one to turn to first: the leader; on demand this one, and others that may lead. */
  orchestrators(): readonly string[] {
    const first = this.#isOnDemand ? this.#init.replica?.name : this.#leadership.leader;
    const replicas = [...this.#state.replicas.values()].filter(({ role }) => !this.#isOnDemand || role === 'voter');
    return replicas.sort((a, b) => Number(b.name === first) - Number(a.name === first)).map(({ url }) => url);
  }

  viewContext(nowMs: number): ViewContext {
    return { state: this.#state, observed: this.#observed, refusals: this.#rounds.refusals, nowMs };
  }

  /** What every machine lacks that this would need even with nothing else on it; empty when some machine could run it. */
  lackForEver(spec: ServiceSpec, nowMs: number): readonly RefusalView[] {
    const possible = this.#placer.couldEver(spec, nowMs);
    return possible.ok ? [] : possible.error;
  }

  eventsAfter(sequence: number): readonly EventView[] {
    return this.#events.all().filter((event) => event.sequence > sequence);
  }

  step(nowMs: number, input: OrchestratorInput): readonly OrchestratorEffect[] {
    this.#noticeGap(nowMs);
    this.#nowMs = nowMs;
    this.#effects = [];
    this.#take(input);
    if (this.#leadership.leads) this.#decide();
    else if (this.#isOnDemand && this.#leadership.leader === null && this.pausedUnder === null) this.#wantToDecide();
    this.#speakToParent();
    return this.#effects;
  }

  /**
   * I4. `timePassed` comes every half second; if much more lies between two inputs, this process was stopped, or the
   * clock was set. Children were not silent in that time: nobody listened.
   */
  #noticeGap(nowMs: number): void {
    const gapMs = nowMs - this.#nowMs;
    if (this.#nowMs === 0 || (gapMs <= GAP_MS && gapMs >= 0)) return;
    this.#observed.forgive(gapMs);
    this.#placer.touchAll(nowMs);
  }

  #take(input: OrchestratorInput): void {
    switch (input.type) {
      case 'snapshotRestored':
        this.#snapshotRestored(input.snapshot, input.index);
        return;
      case 'entryCommitted':
        this.#entryCommitted(input.index, input.data, input.proposal);
        return;
      case 'logReady':
        this.#logReady(input.leadership);
        return;
      case 'proposalDropped':
        this.#proposalDropped(input.proposal, input.reason);
        return;
      case 'requestReceived': {
        const command = { type: 'request', request: input.request, idempotencyKey: input.idempotencyKey } as const;
        this.#tickets.set(this.#propose(command), input.ticket);
        return;
      }
      case 'childMessageReceived':
        this.#childMessageReceived(input.child, input.message);
        return;
      case 'childLinkClosed': {
        const link = this.#observed.links.get(input.child);
        if (link?.via !== null) return; // another replica has it by now
        link.session = null;
        this.#effects.push({ type: 'tellLeader' });
        this.#upward.capacityChanged();
        this.#changed('child', input.child);
        this.#upward.touchAll(this.#state);
        return;
      }
      case 'peerTold':
        this.#peerTold(input.peer, input.report);
        return;
      case 'peersConnected':
        this.#peersConnected(new Set(input.peers));
        return;
      case 'uplinkOpened': {
        const hello = this.#parent.opened(input.session, () => this.#upwardStatus(), this.#nowMs);
        if (hello) this.#effects.push({ type: 'sendToParent', message: hello });
        return;
      }
      case 'uplinkMessageReceived':
        this.#uplinkMessageReceived(input.message);
        return;
      case 'uplinkClosed':
        this.#parent.closed();
        return;
      case 'timePassed':
        this.#timePassed();
        return;
      default:
        unreachable(input);
    }
  }

  #snapshotRestored(snapshot: string, index: number): void {
    // On demand children may be here already: of what they said nothing is kept, so they have to say it again.
    for (const [child, link] of this.#observed.links)
      if (link.session !== null && link.via === null) this.#effects.push({ type: 'disconnectChild', child });
    this.#state = OrchestratorState.fromJSON(JSON.parse(snapshot), this.#init.hash);
    this.#observeAnew();
    this.#index = this.#snapshotIndex = index;
    this.#snapshotLength = snapshot.length;
    this.#lengthSinceSnapshot = 0;
    if (this.#isReady && this.#isOnDemand) this.#beginToObserve();
  }

  #observeAnew(): void {
    this.#observed = this.#newObserved();
    this.#placer = new Placer(this.#state, this.#observed, this.#init);
    this.#rounds = this.#newRounds();
    this.#late.clear();
  }

  #newRounds(): Rounds {
    return new Rounds(this.#state, this.#observed, this.#placer, (service, instance) => {
      this.#changed('instance', instance);
      this.#changed('service', service);
      this.#upward.touch(service);
    });
  }

  #newObserved(): Observed {
    return new Observed((id) => this.#state.instances.has(id));
  }

  #propose(command: Command): number {
    const proposal = this.#nextProposal++;
    this.#effects.push({ type: 'propose', proposal, data: encodeCommand({ atMs: this.#nowMs, command }) });
    return proposal;
  }

  #logReady(leadership: Leadership): void {
    this.#isHeldBack = false;
    const before = this.#leadership;
    const led = before.leads;
    this.#leadership = leadership;
    if (led && !leadership.leads) this.#ledUntilMs = this.#nowMs;
    if (leadership.leads || leadership.leader !== null) this.#isInformed = true;
    if (before.leader !== null && !led) this.#hasFollowed = true;
    this.#isReady = true;
    this.#parent.leadershipChanged(leadership, this.#nowMs);
    if (this.#isOnDemand) {
      this.#isWanting = false;
      this.#rounds.touchWaiting();
      if (this.#startedAtMs === 0) this.#beginToObserve();
    } else if (led && !leadership.leads) this.#observeAnew(); // I5; the driver ends the links
    if (led || !leadership.leads) return;
    if (this.#isOnDemand) this.#takeOver(leadership.votes ?? []);
    else {
      this.#observeAnew();
      this.#beginToObserve();
    }
    this.#unseenLostAfterMs = this.#hasFollowed ? unseenAfterTakeoverMs(this.#state.members.size) : UNSEEN_LOST_AFTER_MS;
    if (this.#state.epoch === '') this.#propose({ type: 'initialise', epoch: this.#init.epoch, name: this.#init.name });
    const { replica } = this.#init;
    if (replica && this.#state.replicas.size === 0) this.#propose({ type: 'foundGroup', replica });
    for (const key of this.#state.services.keys()) this.#touch(key);
    this.#proposeWishes();
  }

  #beginToObserve(): void {
    this.#startedAtMs = this.#nowMs;
    for (const child of this.#state.members.keys()) this.#observed.link(child, this.#startedAtMs);
    for (const key of this.#state.services.keys()) this.#touch(key);
  }

  /**
   * On demand: a child that has come since this replica observes is another one's, and that one tells nobody while it leads
   * itself or nobody does. Should both be gone one day, somebody has to miss it.
   */
  #watch(child: string): void {
    if (this.#isOnDemand && this.#startedAtMs !== 0 && this.#state.members.has(child)) this.#observed.link(child, this.#nowMs);
  }

  get #isOnDemand(): boolean {
    return this.#init.leading === 'on-demand';
  }

  /** O4: the votes have brought what the others see. */
  #takeOver(votes: readonly string[]): void {
    const isComplete = [...this.#state.replicas.values()].every(({ name, role }) => role === 'learner' || votes.includes(name));
    this.#observed.takenOver(this.#peers, this.#lastGoneAtMs, isComplete);
    this.#placer.touchAll(this.#nowMs);
  }

  #peersConnected(peers: ReadonlySet<string>): void {
    this.#observed.presume(this.#peers, this.#nowMs); // up to now
    for (const peer of this.#peers) if (!peers.has(peer)) this.#lastGoneAtMs = this.#nowMs;
    this.#peers = peers;
    this.#placer.touchAll(this.#nowMs);
    this.#rounds.roomGrew(); // children of whoever is back count again
  }

  #peerTold(peer: string, report: PeerReport): void {
    const isNews = this.#observed.peerTold(peer, report, this.#nowMs, (name) => this.#state.members.has(name));
    if (!isNews) return;
    this.#placer.touchAll(this.#nowMs);
    this.#rounds.roomGrew();
    for (const { name } of report.children) {
      if (!this.#state.members.has(name)) continue;
      this.#changed('child', name);
      for (const instance of this.#state.instancesOn(name)) {
        this.#touch(instance.service);
        this.#changed('instance', instance.id);
      }
    }
  }

  #entryCommitted(index: number, data: string, proposal: number | undefined): void {
    this.#index = index;
    // A round of decisions is most of what there is to read; where it was made, it is at hand.
    const ours = this.#deciding?.proposal === proposal ? this.#deciding : null;
    const logged = ours?.logged ?? decodeCommand(data);
    const applied = apply(this.#state, logged);
    if (proposal !== undefined) this.#proposalCommitted(proposal, applied.answer);
    // What is read back from the log at a start has happened long ago; that somebody recovered it by hand, nobody was told.
    if (this.#isReady) for (const event of applied.events) this.#happened(event);
    else if (logged.command.type === 'recovered') for (const event of applied.events) this.#happened(event, logged.atMs);
    for (const id of applied.removedInstances) {
      this.#observed.forgetInstance(id);
      this.#rounds.forgetInstance(id);
      this.#changed('instance', id);
    }
    for (const key of applied.removedServices) {
      this.#rounds.forgetService(key);
      this.#upward.touch(key);
      this.#changed('service', key);
    }
    for (const key of applied.touched) this.#touch(key);
    for (const id of applied.touchedInstances) this.#changed('instance', id);
    for (const child of applied.told) this.#tell(child);
    if (applied.roomGrew) this.#rounds.roomGrew();
    if (applied.groupChanged) this.#groupChanged();
    for (const child of applied.changedMembers) {
      this.#watch(child);
      this.#upward.capacityChanged();
      this.#changed('child', child);
    }
    this.#lengthSinceSnapshot += data.length;
    const isLong = this.#index - this.#snapshotIndex >= this.#init.entriesPerSnapshot;
    if (isLong || this.#lengthSinceSnapshot >= Math.max(limits.logBytesPerSnapshot, this.#snapshotLength)) this.#compact();
  }

  /** Replicas keep what follows the last snapshot in memory; a snapshot larger than that would be most of what is written. */
  #compact(): void {
    const snapshot = JSON.stringify(this.#state);
    this.#snapshotIndex = this.#index;
    this.#snapshotLength = snapshot.length;
    this.#lengthSinceSnapshot = 0;
    this.#effects.push({ type: 'compact', snapshot, index: this.#index });
  }

  #proposalCommitted(proposal: number, answer: RequestAnswer | null): void {
    if (proposal === this.#deciding?.proposal) this.#deciding = null;
    this.#upstreamProposals.delete(proposal);
    const ticket = this.#tickets.get(proposal);
    if (ticket === undefined) return;
    this.#tickets.delete(proposal);
    this.#effects.push({ type: 'answer', ticket, answer: must(answer, 'answer of a request') });
    this.#rounds.roomGrew(); // a request may have changed who can take work (uncordon, join)
  }

  #proposalDropped(proposal: number, reason: string): void {
    if (proposal === this.#deciding?.proposal) {
      this.#deciding = null;
      this.#isHeldBack = true;
      this.#rounds.touchAll();
    }
    if (this.#upstreamProposals.delete(proposal)) this.#effects.push({ type: 'restartUplink', reason });
    const ticket = this.#tickets.get(proposal);
    if (ticket === undefined) return;
    this.#tickets.delete(proposal);
    this.#effects.push({
      type: 'answer',
      ticket,
      answer: { ok: false, error: { code: 'unavailable', what: reason, details: [] } },
    });
  }

  #touch(key: string): void {
    this.#rounds.touch(key);
    this.#upward.touch(key);
    this.#upward.capacityChanged();
    this.#changed('service', key);
  }

  /** Sends a child what it has not been sent yet; ends the link of one that is no member any more. */
  #tell(child: string): void {
    const member = this.#state.members.get(child);
    const link = this.#observed.links.get(child);
    this.#changed('child', child);
    if (!member) {
      if (link?.session && link.via === null)
        this.#effects.push({ type: 'sendToChild', child, message: this.#farewell(link.session, link.sentVersion) });
      this.#observed.forgetChild(child);
      return;
    }
    if (link?.session && link.via === null) this.#sendDesired(child, link.session, link.sentVersion, false);
  }

  /**
   * A child that is removed while it listens stops what is now placed elsewhere: nobody could tell it so later.
   * With its next message, a heartbeat at the latest, its link ends: closed at once, this would be lost with it.
   */
  #farewell(session: string, sentVersion: number): DownMessage {
    const { heartbeatMs } = this.#init;
    const to = sentVersion + 1;
    return { type: 'desired', session, epoch: this.#state.epoch, from: 0, to, more: false, set: [], unset: [], heartbeatMs };
  }

  /** Another set of replicas, or one is elsewhere, or has another role. */
  #groupChanged(): void {
    if (this.#isOnDemand && !this.serves) this.#loseLinks();
    for (const [child, link] of this.#observed.links)
      if (link.session !== null && link.via === null) this.#sendDesired(child, link.session, link.sentVersion, false, true);
  }

  /** I5: the driver ends them. */
  #loseLinks(): void {
    for (const [child, link] of this.#observed.links) {
      if (link.session === null || link.via !== null) continue;
      link.session = null;
      this.#changed('child', child);
    }
  }

  #sendDesired(child: string, session: string, known: number, greet: boolean, isGroupNews = false): void {
    const member = must(this.#state.members.get(child), `child ${child}`);
    const orchestrators = greet || isGroupNews ? this.orchestrators() : null;
    const messages = desiredSince(this.#state, member, known, {
      session,
      heartbeatMs: this.#init.heartbeatMs,
      orchestrators,
      greet,
    });
    for (const message of messages) this.#effects.push({ type: 'sendToChild', child, message });
    this.#observed.link(child, this.#startedAtMs).sentVersion = member.version;
  }

  #childMessageReceived(child: string, message: UpMessage): void {
    if (!this.serves) {
      this.#effects.push({ type: 'disconnectChild', child }); // I5: on its way when the lead was lost
      return;
    }
    const member = this.#state.members.get(child);
    if (!member || member.record.kind !== (message.type === 'hello' ? message.kind : member.record.kind)) {
      this.#effects.push({ type: 'disconnectChild', child });
      return;
    }
    const link = this.#observed.link(child, this.#startedAtMs);
    if (message.type === 'hello') {
      const sameEpoch = message.epoch === this.#state.epoch;
      if (sameEpoch && message.version > member.version && this.#state.replicas.size > 1) {
        this.#effects.push({ type: 'disconnectChild', child }); // I6
        return;
      }
      this.#observed.helloReceived(link, message, sameEpoch, this.#nowMs);
      this.#sendDesired(child, message.session, link.version, true);
      for (const instance of this.#state.instancesOn(child)) {
        this.#touch(instance.service);
        this.#changed('instance', instance.id);
      }
      this.#observed.roomChanged(child, this.#nowMs);
      this.#rounds.roomGrew();
      this.#upward.capacityChanged();
      this.#upward.touchAll(this.#state);
      this.#happened({ level: 'info', subject: `${member.record.kind}/${child}`, message: 'connected' });
      this.#changed('child', child);
      this.#effects.push({ type: 'tellLeader' });
      return;
    }
    if (message.session !== link.session) {
      // A word of another replica that came late has hidden that the child is here: it has to say hello again.
      if (link.via !== null) this.#effects.push({ type: 'disconnectChild', child });
      return;
    }
    const known = { version: link.version, summary: link.summary };
    if (!this.#observed.reportReceived(link, message, this.#nowMs)) {
      link.session = null;
      this.#effects.push({ type: 'disconnectChild', child });
      this.#changed('child', child);
      return;
    }
    if (link.version > known.version) {
      this.#placer.touch(child);
      this.#rounds.roomGrew(); // what it was given and could not take up is not held against it any more
    }
    // What it never had a trace of, it reports no end of: that it has taken up the wish is all there is to hear.
    if (link.version > known.version)
      for (const instance of this.#state.instancesOn(child))
        if (instance.since > known.version && instance.since <= link.version) this.#instanceHeardOf(instance.id);
    if (message.summary) {
      if (known.summary === null || !sameCapacity(known.summary, message.summary)) this.#observed.roomChanged(child, this.#nowMs);
      this.#rounds.roomGrew();
      this.#upward.capacityChanged();
      this.#changed('child', child);
    }
    if (message.summary || message.changed.length > 0 || message.gone.length > 0 || link.version > known.version)
      this.#effects.push({ type: 'tellLeader' });
    for (const report of message.changed) this.#instanceReported(child, report);
    for (const id of message.gone) if (this.#state.instances.get(id)?.child === child) this.#instanceHeardOf(id);
  }

  #instanceReported(child: string, report: InstanceReport): void {
    const instance = this.#state.instances.get(report.id);
    if (instance?.child !== child) return; // nothing that this child may speak of
    this.#touch(instance.service);
    this.#changed('instance', instance.id);
    const where = report.node ? `${child}/${report.node}` : child;
    if (report.state === 'RUNNING')
      this.#happened({ level: 'info', subject: `instance/${report.id}`, message: `running on ${where}` });
    if (report.state === 'FAILED' || report.state === 'REFUSED')
      this.#happened({
        level: 'warning',
        subject: `instance/${report.id}`,
        message: `${report.state} on ${where}: ${report.reason}`,
      });
  }

  #instanceHeardOf(id: string): void {
    const instance = this.#state.instances.get(id);
    if (!instance) return;
    this.#touch(instance.service);
    this.#changed('instance', id);
  }

  #uplinkMessageReceived(message: Extract<DownMessage, { type: 'desired' }>): void {
    const problem = this.#parent.received(message);
    if (problem !== null) this.#effects.push({ type: 'restartUplink', reason: problem });
    if (this.#leadership.leads) this.#proposeWishes();
    else if (this.#parent.hasWishes) this.#wantLeadership();
  }

  #proposeWishes(): void {
    for (const wish of this.#parent.takeWishes()) this.#upstreamProposals.add(this.#propose({ type: 'parentDesired', ...wish }));
  }

  #wantLeadership(): void {
    this.#isWanting = true;
    this.#effects.push({ type: 'wantLeadership' });
  }

  /** On demand, with a parent: somebody has to have the link with it. */
  #keepParent(): void {
    if (!this.#isOnDemand || this.#state.upstream === null) return;
    if (!this.#parent.needsLeader(this.#nowMs, this.pausedUnder !== null)) return;
    if (this.#leadership.leads)
      this.#effects.push({ type: 'wantLeadership' }); // a pause would end the dialling
    else this.#wantLeadership();
  }

  /** Cut off from the others, a replica may never know: whoever asks is better off with another one. */
  #giveUpAnswers(): void {
    if (this.#leadership.leads || this.#nowMs - this.#ledUntilMs < UNANSWERED_MS) return;
    const what = 'this replica leads no more, and whether it was done is not known here: ask again with the same Idempotency-Key';
    for (const ticket of this.#tickets.values())
      this.#effects.push({ type: 'answer', ticket, answer: { ok: false, error: { code: 'unavailable', what, details: [] } } });
    this.#tickets.clear();
  }

  #timePassed(): void {
    this.#giveUpAnswers();
    if (!this.#leadership.leads && !this.#isOnDemand) return;
    this.#observed.presume(this.#peers, this.#nowMs);
    this.#placer.timePassed(this.#nowMs);
    this.#isHeldBack = false;
    for (const [child, link] of this.#observed.links) {
      // A service may have less patience than it takes to be silent: from the first missed heartbeat on, ask each.
      const late = this.#nowMs - link.lastHeardMs > 2 * this.#init.heartbeatMs;
      if (!late && !this.#late.delete(child)) continue;
      if (late) this.#late.add(child);
      if (isSilent(link.lastHeardMs, this.#nowMs) && link.session !== null && link.via === null) {
        // The connection may linger half-open; what comes next on it must be a hello.
        link.session = null;
        this.#effects.push({ type: 'disconnectChild', child });
        this.#happened({ level: 'warning', subject: `child/${child}`, message: 'silent' });
        this.#changed('child', child);
        this.#upward.capacityChanged();
      }
      for (const instance of this.#state.instancesOn(child)) this.#rounds.touch(instance.service);
    }
    this.#keepParent();
    if (this.#isWanting) this.#effects.push({ type: 'wantLeadership' }); // asked again: the first may have come to nothing
    this.#rounds.timePassed(this.#nowMs);
    if (!this.#settled() || this.#rounds.isAnyWaiting) this.#upward.touchAll(this.#state);
  }

  #settled(): boolean {
    if (this.#nowMs - this.#startedAtMs > SETTLE_MS) return true;
    for (const link of this.#observed.links.values()) if (!link.seen) return false;
    return this.#observed.links.size > 0;
  }

  /** I1: decides for all services concerned, in one entry. */
  #decide(): void {
    if (this.#deciding !== null || this.#isHeldBack) return;
    const decisions = this.#rounds.next(this.#nowMs, this.#unseenLostAfterMs);
    if (decisions.length === 0) return;
    const command: Command = { type: 'decide', by: this.#decider(), tip: this.#state.decisions.tip, decisions };
    this.#deciding = { proposal: this.#propose(command), logged: { atMs: this.#nowMs, command } };
  }

  /**
   * On demand, while nobody leads: if there was something to decide as far as is seen here, this replica becomes the
   * gateway for it. What it decides then, it decides on what the votes bring.
   */
  #wantToDecide(): void {
    if (!this.#isWanting && this.#rounds.isAnyDue(this.#nowMs, this.#unseenLostAfterMs)) this.#wantLeadership();
  }

  /** As records of decisions name it. */
  #decider(): DecidedBy {
    const { term, leader, votes = [] } = this.#leadership;
    const loads = votes.map((voter) => ({
      voter,
      load: voter === leader ? this.#observed.peerReport(this.#nowMs).load : this.#observed.loadOf(voter),
    }));
    return { term, leader: leader ?? this.#init.name, votes: loads };
  }

  #upwardStatus(): ChildStatus {
    return this.#upward.status(this.viewContext(this.#nowMs), this.#settled(), () => this.#placer.summary(this.#nowMs));
  }

  #speakToParent(): void {
    const report = this.#parent.report(() => this.#upwardStatus(), this.#nowMs);
    if (report) this.#effects.push({ type: 'sendToParent', message: report });
  }

  #changed(kind: 'service' | 'instance' | 'child', name: string): void {
    if (kind === 'child') this.#placer.touch(name);
    this.#effects.push({ type: 'changed', kind, name });
  }

  #happened({ level, subject, message }: NewEvent, atMs = this.#nowMs): void {
    const full = { level, subject, message, sequence: this.#nextEvent++, atMs };
    this.#events.push(full);
    this.#effects.push({ type: 'happened', event: full });
  }
}
