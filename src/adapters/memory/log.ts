/**
 * The log of one replica on a simulated disk, for tests and simulation. It keeps the promises of the port
 * the way the real one does (group commit, nothing delivered before its sync has ended), and moves only with
 * its disk's clock: a run replays exactly. On a crash it falls silent.
 */
import { assert } from '../../core/base/assert.ts';
import { type Proposal, ProposalQueue } from '../../core/log/proposal-queue.ts';
import { CodedError } from '../../core/model/errors.ts';
import { ALONE } from '../../core/model/leadership.ts';
import type { Log, LogListener } from '../../ports/log.ts';
import type { DiskAttachment, DiskContent, MemoryDisk } from './disk.ts';

const CLOSED = 'the log is closed';

export class MemoryLog implements Log {
  readonly #disk: DiskAttachment;
  readonly #queue = new ProposalQueue();
  #listener: LogListener | null = null;
  #isReady = false;
  #isAppending = false;
  /** Writes under way; the log lets go of the disk when there are none. */
  #writes = 0;
  /** Why nothing more is taken; null while it is. */
  #ended: string | null = null;
  /** The last index delivered. */
  #index = 0;
  readonly #whenIdle: (() => void)[] = [];

  constructor(disk: MemoryDisk) {
    this.#disk = disk.attach();
  }

  open(listener: LogListener): Promise<void> {
    assert(this.#listener === null, 'a log is opened once');
    const { disk } = this.#disk;
    if (disk.logOwner !== null) return Promise.reject(new CodedError('data_dir_locked'));
    disk.logOwner = this;
    this.#listener = listener;
    return new Promise((resolve) => {
      this.#disk.defer(() => {
        if (this.#ended !== null) return resolve();
        const { snapshot, entries } = disk.content;
        if (snapshot) {
          this.#index = snapshot.index;
          listener.restored(new Uint8Array(snapshot.content), snapshot.index);
        }
        const first = this.#index + 1;
        this.#index += entries.length;
        if (entries.length > 0)
          listener.committed(entries.map((data, at) => ({ index: first + at, data: new Uint8Array(data) })));
        listener.ready(ALONE);
        this.#isReady = true;
        this.#appendNext();
        resolve();
      });
    });
  }

  propose(proposal: number, data: Uint8Array): void {
    const refusal = this.#ended ?? this.#queue.offer({ proposal, data: new Uint8Array(data) });
    if (refusal !== null) this.#disk.defer(() => this.#listener?.dropped(proposal, refusal, 'never'));
    else this.#appendNext();
  }

  compact(snapshot: Uint8Array, index: number): Promise<void> {
    assert(index <= this.#index, `a snapshot up to ${index} of a log that has delivered ${this.#index}`);
    const content = new Uint8Array(snapshot);
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(new CodedError('unavailable', this.#ended));
      const replace = (disk: DiskContent): void => {
        const before = disk.snapshot?.index ?? 0;
        if (index <= before) return;
        disk.snapshot = { content, index };
        disk.entries = disk.entries.slice(index - before);
      };
      this.#write(replace, (failure) => {
        if (!failure) return resolve();
        this.#fail(failure);
        reject(failure);
      });
    });
  }

  close(): Promise<void> {
    this.#end(CLOSED);
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
      this.#disk.defer(() => this.#settle());
    });
  }

  #appendNext(): void {
    if (!this.#isReady || this.#isAppending) return;
    this.#isAppending = true;
    // Later, so that all that is proposed in one go shares the sync.
    this.#disk.defer(() => {
      const batch = this.#queue.takeBatch();
      if (batch.length === 0) {
        this.#isAppending = false;
        return;
      }
      this.#write(
        (content) => content.entries.push(...batch.map(({ data }) => data)),
        (failure) => this.#appended(batch, failure),
      );
    });
  }

  #appended(batch: readonly Proposal[], failure: CodedError | null): void {
    this.#isAppending = false;
    if (failure) {
      this.#fail(failure);
      return;
    }
    const first = this.#index + 1;
    this.#index += batch.length;
    this.#listener?.committed(
      batch.map(({ proposal, data }, at) => ({ index: first + at, data: new Uint8Array(data), proposal })),
    );
    if (this.#queue.size > 0) this.#appendNext();
  }

  #write(apply: (content: DiskContent) => void, done: (failure: CodedError | null) => void): void {
    this.#writes += 1;
    this.#disk.write(apply, (failure) => {
      this.#writes -= 1;
      done(failure);
      this.#settle();
    });
  }

  #settle(): void {
    if (this.#writes > 0 || this.#whenIdle.length === 0) return;
    if (this.#disk.disk.logOwner === this) this.#disk.disk.logOwner = null;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #fail(failure: CodedError): void {
    if (this.#ended !== null && this.#ended !== CLOSED) return;
    this.#end(`the log has failed: ${failure.message}`);
    this.#listener?.failed(failure);
  }

  #end(reason: string): void {
    if (this.#ended === null || this.#ended === CLOSED) this.#ended = reason;
    for (const { proposal } of this.#queue.takeAll()) this.#disk.defer(() => this.#listener?.dropped(proposal, reason, 'never'));
  }
}
