/**
 * Leadership in etcd: a key on a lease. While the key has the revision with which this replica made it, what this
 * replica appends is taken; its own clock only says when to stop claiming so.
 */
import { limits } from '../../core/base/limits.ts';
import type { Clock } from '../../ports/clock.ts';
import { isExpected, isTrouble } from './etcd-error.ts';
import { pause, retryPauseMs } from './pause.ts';
import { type Candidate, type Leader, readLeader, type StoredLog } from './stored-log.ts';

const DEPOSED = 'another replica leads';

export class Reign {
  readonly term: number;
  readonly #clock: Clock;
  readonly #stored: StoredLog;
  readonly #lease: string;
  readonly #over = new AbortController();
  readonly #expired = new AbortController();
  #cancelExpiry: () => void = () => undefined;
  readonly #keeping: Promise<unknown>;

  /**
   * Makes `candidate` the leader unless another one came first: then null. `rival` is the leader whose place it takes,
   * this replica itself in an earlier life; null when there is none.
   */
  static async claim(
    { clock, stored }: { readonly clock: Clock; readonly stored: StoredLog },
    candidate: Candidate,
    rival: Leader | null,
    signal: AbortSignal,
  ): Promise<Reign | null> {
    const { map, keys } = stored;
    const sentMs = clock.elapsedMs();
    const lease = await map.grantLease(limits.etcdLeaseSeconds, signal);
    const value = Buffer.from(JSON.stringify(candidate));
    const { succeeded, revision, found } = await map.transact(
      [{ key: keys.leader, revision: rival?.term ?? 0 }],
      [{ type: 'put', key: keys.leader, value, lease: lease.id }],
      [{ type: 'get', key: keys.leader }],
      signal,
    );
    const leader = readLeader(found[0]?.items[0]);
    // Sent twice, because the first answer was lost.
    const term = succeeded ? revision : leader?.lease === lease.id ? leader.term : null;
    if (term !== null) return new Reign(clock, stored, term, lease.id, sentMs + lease.seconds * 1_000);
    await map.revokeLease(lease.id, signal);
    return null;
  }

  private constructor(clock: Clock, stored: StoredLog, term: number, lease: string, validUntilMs: number) {
    this.#clock = clock;
    this.#stored = stored;
    this.term = term;
    this.#lease = lease;
    this.#validUntil(validUntilMs);
    this.#keeping = Promise.all([this.#renew(), this.#watchKey()]);
  }

  /** Aborted, with the reason as text, when this replica no longer leads. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Aborted when it ended because etcd did not answer: there is no use in waiting for more answers. */
  get expired(): AbortSignal {
    return this.#expired.signal;
  }

  /** Whether nobody else can have appended anything until now. */
  async isCurrent(): Promise<boolean> {
    const { map, keys } = this.#stored;
    try {
      const { found } = await map.look([{ type: 'get', key: keys.leader, keysOnly: true }], this.#expired.signal);
      if (found[0]?.items[0]?.revision !== this.term) this.end(DEPOSED);
      return !this.over.aborted;
    } catch (error) {
      if (!isExpected(error)) throw error;
      return false;
    }
  }

  end(reason: string): void {
    this.#cancelExpiry();
    if (!this.#over.signal.aborted) this.#over.abort(reason);
  }

  /** Others can lead at once. */
  async resign(): Promise<void> {
    this.end('it has resigned');
    await this.#keeping;
    try {
      await this.#stored.map.revokeLease(this.#lease);
    } catch (error) {
      // Then it runs out.
      if (!isExpected(error)) throw error;
    }
  }

  #validUntil(validUntilMs: number): void {
    this.#cancelExpiry();
    this.#cancelExpiry = this.#clock.startTimer(validUntilMs - this.#clock.elapsedMs(), () => {
      this.end(`etcd has not renewed the lease within ${limits.etcdLeaseSeconds} s`);
      this.#expired.abort();
    });
  }

  async #renew(): Promise<void> {
    const everyMs = (limits.etcdLeaseSeconds * 1_000) / 3;
    for (let failures = 0; !this.over.aborted; ) {
      await pause(this.#clock, failures === 0 ? everyMs : retryPauseMs(failures), this.over);
      if (this.over.aborted) return;
      const sentMs = this.#clock.elapsedMs();
      try {
        const seconds = await this.#stored.map.renewLease(this.#lease, this.over);
        failures = 0;
        if (this.over.aborted) return;
        if (seconds > 0) this.#validUntil(sentMs + seconds * 1_000);
        else this.end('the lease has run out');
      } catch (error) {
        if (!isExpected(error)) throw error;
        if (isTrouble(error, 'leaseGone')) this.end('the lease has run out');
        failures += 1;
      }
    }
  }

  /** Somebody may delete it: an operator, or etcd when the lease ends while this process stands still. */
  async #watchKey(): Promise<void> {
    const { map, keys } = this.#stored;
    const depose = (): void => this.end(DEPOSED);
    for (let failures = 0; !this.over.aborted; failures += 1) {
      try {
        const { found, revision } = await map.look([{ type: 'get', key: keys.leader, keysOnly: true }], this.over);
        if (found[0]?.items[0]?.revision !== this.term) return depose();
        await map.watch({ key: keys.leader }, revision + 1, this.over, depose);
      } catch (error) {
        if (!isExpected(error)) throw error;
      }
      await pause(this.#clock, retryPauseMs(failures), this.over);
    }
  }
}
