/**
 * A log that lies in etcd, shared by all replicas of an orchestrator that name it (ADR 0011). One loop: follow the
 * log until nobody leads, claim to lead, append while the claim holds, follow again.
 *
 *   propose -> queue -> one transaction, while this replica leads -> committed
 *
 *  - One append at a time, with everything that was proposed meanwhile: order is that of the queue, and a lost
 *    answer leaves one transaction in doubt, not many.
 *  - etcd may be away. A leader tries for as long as its lease lasts, then says that it does not lead, and so on
 *    until etcd is back. Only an etcd that comes back with less than it had acknowledged ends the log.
 *  - Snapshots are the leader's affair: what a follower would compact is left to it.
 */
import { assert, must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { ProposalQueue } from '../../core/log/proposal-queue.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Leadership, ProposalFate } from '../../core/model/leadership.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log, LogListener } from '../../ports/log.ts';
import { append } from './appender.ts';
import { isExpected, isFatal, isRefusal } from './etcd-error.ts';
import { type EtcdAccess, EtcdGateway } from './gateway.ts';
import { Keys } from './keys.ts';
import { EtcdMap } from './map.ts';
import { pause, retryPauseMs } from './pause.ts';
import { packAppends } from './records.ts';
import { Reign } from './reign.ts';
import { Replica } from './replica.ts';
import { writeSnapshot } from './snapshot-writer.ts';
import { type Candidate, type Leader, StoredLog } from './stored-log.ts';

export interface EtcdLogComponents {
  readonly clock: Clock;
  /** An id that nothing else has. */
  readonly newId: () => string;
  readonly warn: (message: string, details: Readonly<Record<string, string>>) => void;
  /** Which log this replica has been fed by, and whether it was found to have lost something: kept over restarts. */
  readonly memory: {
    read(): Promise<string | null>;
    write(text: string): Promise<void>;
  };
  /** Whether this replica is one that shall lead when nobody does. */
  readonly mayLead: () => boolean;
}

export interface EtcdLogInit {
  readonly access: EtcdAccess;
  /** Of the log: its keys lie under `tendril/NAME/`. */
  readonly name: string;
  /** The id is that of the data directory, and no two processes that run have the same. */
  readonly replica: { readonly id: string; readonly name: string };
  /** How long etcd may be away when the log is opened; `limits.etcdOpenMs` unless said. */
  readonly openMs?: number;
}

const CLOSED = 'the log is closed';
/** Behind the log's id. A supervisor starts a replica that has ended: it must not go on with what etcd has left. */
const LOST = ' has lost something';

export class EtcdLog implements Log {
  readonly #components: EtcdLogComponents;
  readonly #candidate: Candidate;
  readonly #gateway: EtcdGateway;
  readonly #stored: StoredLog;
  readonly #openMs: number;
  readonly #members: number;
  readonly #queue = new ProposalQueue();
  #listener: LogListener | null = null;
  #replica: Replica | null = null;
  #reign: Reign | null = null;
  #told: Leadership | null = null;
  /** Why nothing more is taken; null while it is. */
  #ended: string | null = null;
  readonly #closing = new AbortController();
  #wake: () => void = () => undefined;
  #opening: Promise<void> = Promise.resolve();
  #living: Promise<void> = Promise.resolve();
  #compacting: Promise<void> = Promise.resolve();
  /** At who leads, for those who read. */
  #look: Promise<unknown> = Promise.resolve();
  #nextLook: Promise<boolean> | null = null;

  constructor(components: EtcdLogComponents, init: EtcdLogInit) {
    this.#components = components;
    this.#candidate = { ...init.replica, process: components.newId() };
    this.#gateway = new EtcdGateway(components.clock, init.access);
    this.#stored = new StoredLog(new EtcdMap(this.#gateway), new Keys(init.name));
    this.#members = init.access.endpoints.length;
    this.#openMs = init.openMs ?? limits.etcdOpenMs;
  }

  open(listener: LogListener): Promise<void> {
    assert(this.#listener === null, 'a log is opened once');
    this.#listener = listener;
    const opening = this.#open(listener);
    this.#opening = opening.catch(() => undefined);
    return opening;
  }

  propose(proposal: number, data: Uint8Array): void {
    const leads = this.#told?.leads ?? false;
    const refusal =
      this.#ended ??
      (leads ? this.#queue.offer({ proposal, data }) : `${this.#told?.leader ?? 'nobody'} leads, not this replica`);
    if (refusal !== null) this.#drop(proposal, refusal, 'never');
    else this.#wake();
  }

  /** On a replica that does not lead it comes to nothing, as on one whose reign ends meanwhile: the entries stay. */
  compact(snapshot: Uint8Array, index: number): Promise<void> {
    const replica = must(this.#replica, 'an open log');
    assert(index <= replica.index, `a snapshot up to ${index} of a log that has delivered ${replica.index}`);
    if (this.#ended !== null) return Promise.reject(new CodedError('unavailable', this.#ended));
    const compacting = this.#compacting.then(() => this.#compact(replica, snapshot, index));
    this.#compacting = compacting.catch(() => undefined);
    return compacting;
  }

  /** The last index delivered. */
  get index(): number {
    return this.#replica?.index ?? 0;
  }

  /** Resolves with true when what is delivered here by now contains all that was committed when it was asked. */
  confirmRead(): Promise<boolean> {
    if (this.#nextLook === null) {
      // All who ask until then share it; the one that is under way may have been taken before they asked.
      const look = this.#look.then(() => {
        this.#look = look;
        this.#nextLook = null;
        return this.#reign?.isCurrent() ?? false;
      });
      this.#nextLook = look;
    }
    return this.#nextLook;
  }

  /** `mayLead` may say something else now. */
  reconsider(): void {
    this.#wake();
  }

  async close(): Promise<void> {
    this.#end(CLOSED);
    await this.#opening;
    await this.#living;
    await this.#compacting;
    await this.#reign?.resign();
    this.#gateway.close();
  }

  async #open(listener: LogListener): Promise<void> {
    try {
      const id = await this.#patiently(() => this.#identify());
      const replica = new Replica(this.#components.clock, this.#stored, id, listener);
      const cut = await this.#patiently(() => replica.catchUp(this.#closing.signal));
      this.#replica = replica;
      // One of its own data directory is this replica before it was killed.
      const isFree = cut.leader === null || cut.leader.id === this.#candidate.id;
      const reign = isFree && this.#components.mayLead() ? await this.#patiently(() => this.#claim(replica, cut.leader)) : null;
      if (reign === null) this.#tellFollowing(cut.leader);
      this.#living = this.#live(replica);
    } catch (error) {
      const reason = this.#ended;
      this.#end('the log could not be opened');
      await this.#reign?.resign();
      this.#gateway.close();
      // Closed meanwhile: nobody waits for it.
      if (reason === null || !isExpected(error)) throw error;
    }
  }

  async #identify(): Promise<string> {
    const { memory, newId } = this.#components;
    const known = await memory.read();
    if (known?.endsWith(LOST)) throw new CodedError('etcd_damaged', 'that was found when this replica ran last');
    const id = await this.#stored.identify(known === null ? newId() : null, this.#closing.signal);
    if (id === null || (known !== null && id !== known))
      throw new CodedError('etcd_damaged', id === null ? 'the log is gone' : 'another log is in its place');
    if (known === null) await memory.write(id);
    return id;
  }

  /** While the log is opened: as long as etcd is away, and no longer than may be. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    const { clock, warn } = this.#components;
    const untilMs = clock.elapsedMs() + this.#openMs;
    for (let failures = 0; ; failures += 1) {
      try {
        return await work();
      } catch (error) {
        // With several members, one that is not to be trusted is no reason not to ask the others.
        const isOneMember = isExpected(error) && !isRefusal(error) && !isFatal(error);
        const isTried = error instanceof CodedError && failures + 1 >= this.#members;
        if (!isOneMember || isTried || this.#ended !== null) throw error;
        if (clock.elapsedMs() >= untilMs) throw new CodedError('unreachable', `etcd: ${error.message}`, [], error);
        if (failures === 0) warn('waits for etcd', { problem: error.message });
      }
      await pause(clock, retryPauseMs(failures), this.#closing.signal);
    }
  }

  /** What the listener throws is a broken invariant: the rejection is meant to end the process. */
  async #live(replica: Replica): Promise<void> {
    const { clock, warn } = this.#components;
    let failures = 0;
    while (this.#ended === null) {
      try {
        if (this.#reign === null) await this.#followUntilFree(replica);
        if (this.#reign !== null) await this.#lead(replica, this.#reign);
        failures = 0;
      } catch (error) {
        if (!isExpected(error)) throw error;
        if (this.#ended !== null) return;
        if (isFatal(error)) return await this.#fail(error, replica.logId);
        if (failures === 0) warn('the log in etcd cannot be reached', { problem: error.message });
        failures += 1;
        this.#tellFollowing(null);
        await pause(clock, retryPauseMs(failures), this.#closing.signal);
      }
    }
  }

  async #followUntilFree(replica: Replica): Promise<void> {
    while (this.#ended === null && this.#reign === null) {
      const cut = await replica.catchUp(this.#closing.signal);
      this.#tellFollowing(cut.leader);
      const isFree = cut.leader === null || cut.leader.process === this.#candidate.process;
      if (isFree && this.#components.mayLead()) await this.#claim(replica, cut.leader);
      else await replica.follow(cut, this.#closing.signal, (leader) => this.#tellFollowing(leader));
    }
  }

  /** Sets the reign, and tells that this replica leads when it knows all that was appended before. */
  async #claim(replica: Replica, rival: Leader | null): Promise<Reign | null> {
    const { clock } = this.#components;
    const reign = await Reign.claim({ clock, stored: this.#stored }, this.#candidate, rival, this.#closing.signal);
    if (reign === null) return null;
    try {
      await replica.catchUp(reign.over);
    } catch (error) {
      reign.end('the log could not be read');
      throw error;
    }
    this.#reign = reign;
    this.#tell({ leads: true, term: reign.term, leader: this.#candidate.name });
    return reign;
  }

  async #lead(replica: Replica, reign: Reign): Promise<void> {
    while (!reign.over.aborted) {
      if (!this.#components.mayLead()) await reign.resign();
      else if (this.#queue.size > 0) await this.#appendBatch(replica, reign);
      else if (this.#ended !== null) return;
      else await this.#until(reign.over);
    }
    this.#reign = null;
    const reason = String(reign.over.reason);
    this.#tellFollowing(null);
    for (const { proposal } of this.#queue.takeAll()) this.#drop(proposal, reason, 'never');
    this.#components.warn('does not lead any more', { reason });
  }

  /** Something was proposed, or there is no more to come. */
  #until(over: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        over.removeEventListener('abort', this.#wake);
        this.#wake = () => undefined;
        resolve();
      };
      over.addEventListener('abort', this.#wake);
    });
  }

  async #appendBatch(replica: Replica, reign: Reign): Promise<void> {
    // Later, so that all that is proposed in one go shares the transaction.
    await null;
    const { clock } = this.#components;
    const components = { clock, stored: this.#stored, reign, closing: this.#closing.signal };
    const batch = this.#queue.takeBatch();
    const at = { term: reign.term, firstRecord: replica.nextRecord, firstIndex: replica.index + 1 };
    let answered = 0;
    for (const portion of packAppends(batch, at)) {
      const outcome = await append(components, portion, replica.previousRevision);
      if (outcome.type === 'dropped') {
        const inDoubt = answered + portion.entries.length;
        for (const [number, { proposal }] of batch.slice(answered).entries())
          this.#drop(proposal, outcome.reason, answered + number < inDoubt ? outcome.fate : 'never');
        return;
      }
      replica.appended(portion, outcome.revision);
      answered += portion.entries.length;
      if (portion.entries.length > 0) this.#listener?.committed(portion.entries);
    }
  }

  async #compact(replica: Replica, content: Uint8Array, index: number): Promise<void> {
    const { clock, warn } = this.#components;
    const reign = this.#reign;
    const around = replica.recordsAround(index);
    const before = replica.head;
    if (reign === null || index <= (before?.index ?? 0)) return;
    const components = { clock, stored: this.#stored, reign, closing: this.#closing.signal };
    try {
      const head = await writeSnapshot(components, { content, index, ...around, before });
      if (head !== null && head.revision > (replica.head?.revision ?? 0)) replica.head = head;
    } catch (error) {
      if (!isExpected(error)) throw error;
      warn('etcd does not take the snapshot', { problem: error.message });
    }
  }

  #tellFollowing(leader: Leader | null): void {
    // The key may still name this replica; that it does not lead is known here.
    const name = leader?.process === this.#candidate.process ? null : (leader?.name ?? null);
    this.#tell({ leads: false, term: leader?.term ?? this.#told?.term ?? 0, leader: name });
  }

  #tell(leadership: Leadership): void {
    const told = this.#told;
    const isSame = told?.leads === leadership.leads && told.term === leadership.term && told.leader === leadership.leader;
    if (isSame || this.#ended !== null) return;
    this.#told = leadership;
    this.#listener?.ready(leadership);
  }

  async #fail(failure: CodedError, logId: string): Promise<void> {
    this.#end(`the log has failed: ${failure.message}`);
    this.#reign?.end('the log has failed');
    if (failure.code === 'etcd_damaged') await this.#components.memory.write(`${logId}${LOST}`);
    this.#listener?.failed(failure);
  }

  #end(reason: string): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    for (const { proposal } of this.#queue.takeAll()) this.#drop(proposal, reason, 'never');
    this.#closing.abort();
    this.#wake();
  }

  #drop(proposal: number, reason: string, fate: ProposalFate): void {
    queueMicrotask(() => this.#listener?.dropped(proposal, reason, fate));
  }
}
