/**
 * What a leader knows of one follower (etcd-io/raft's three states).
 *
 *   probe      where the logs agree is not known: one message at a time
 *   replicate  it is: messages follow each other without waiting, up to a window
 *   snapshot   it needs entries that are gone: pieces, one at a time
 */
import { limits } from '../base/limits.ts';
import type { SnapshotHead } from './messages.ts';
import { RoundTrip } from './round-trip.ts';

const PATIENCE_MAX = 64;
/** Entries of so many bytes cost a poor link nothing, however often they are sent again. */
const CHEAP_BYTES = 4_096;
/** A piece of a snapshot is written to a poor SD card, or sent over a poor link, well within this. */
const HEADWAY_MS = 30_000;

export interface ProgressInit {
  readonly next: number;
  /** That the logs agree up to `next`; then it need not be asked first. */
  readonly isLikely: boolean;
  /** Of the round trip. */
  readonly guessMs: number;
  readonly nowMs: number;
}

export class Progress {
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  /** The last index known to agree. */
  match = 0;
  /** The next index to send. */
  next: number;
  /** It has been heard since the leader last looked ... */
  isActive = true;
  /** ... and between the last two looks. */
  #wasActive = true;
  /** The commit index, as far as it has been told of what it has. */
  commitTold = 0;
  /** The last round of reads that it has confirmed. */
  round = 0;
  readonly roundTrip: RoundTrip;
  /** In `probe`: one message is on the way. */
  isWaiting = false;
  /** It needed a snapshot, and has not got to what is committed since. */
  isCatchingUp = false;
  /** In `snapshot`: what is being sent. */
  snapshot: { readonly head: SnapshotHead; piece: number } | null = null;
  #headwayAtMs: number;
  /** When it last made headway, or was given up ... */
  #movedAtMs: number;
  /** ... and for how many timeouts of its own what is on the way is waited for. */
  #patience = 1;
  #inFlight: { readonly lastIndex: number; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  /** In `probe`: of the message on the way. */
  #probeBytes = 0;

  constructor({ next, isLikely, guessMs, nowMs }: ProgressInit) {
    this.next = next;
    this.roundTrip = new RoundTrip(guessMs, nowMs);
    this.#movedAtMs = this.#headwayAtMs = nowMs;
    if (isLikely) this.state = 'replicate';
  }

  get hasRoom(): boolean {
    if (this.state === 'probe') return !this.isWaiting;
    if (this.state === 'snapshot') return false;
    return this.#inFlight.length < limits.raftMessagesInFlight && this.#inFlightBytes < limits.raftBytesInFlight;
  }

  get isInFlight(): boolean {
    return this.isWaiting || this.#inFlight.length > 0 || this.state === 'snapshot';
  }

  /** Shortly after a look nobody has been heard yet, and yet is there. */
  get isThere(): boolean {
    return this.isActive || this.#wasActive;
  }

  look(): void {
    this.#wasActive = this.isActive;
    this.isActive = false;
  }

  sent(lastIndex: number, bytes: number): void {
    if (this.state === 'probe') {
      this.isWaiting = true;
      this.#probeBytes = bytes;
      return;
    }
    this.next = lastIndex + 1;
    this.#inFlight.push({ lastIndex, bytes });
    this.#inFlightBytes += bytes;
  }

  /** It agrees up to `index`; true if that is news. */
  matched(index: number, nowMs: number): boolean {
    const isNews = index > this.match;
    if (isNews) {
      this.match = index;
      this.moved(nowMs);
    }
    this.next = Math.max(this.next, this.match + 1);
    this.#forgetUpTo(index);
    if (this.state !== 'probe') return isNews;
    this.isWaiting = false;
    this.state = 'replicate';
    return isNews;
  }

  /** Back to where the logs are known to agree, or to the hint of a refusal. */
  probeFrom(next: number, nowMs: number): void {
    this.state = 'probe';
    this.next = Math.max(this.match + 1, next);
    this.isWaiting = false;
    this.snapshot = null;
    this.#movedAtMs = nowMs;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
  }

  /** What was on the way may be lost. Where nothing is known yet, the first guess still stands. */
  probeAgain(nowMs: number): void {
    this.probeFrom(this.match === 0 ? this.next : this.match + 1, nowMs);
  }

  moved(nowMs: number): void {
    this.#movedAtMs = this.#headwayAtMs = nowMs;
    this.#patience = Math.max(1, this.#patience / 2);
  }

  /** However slowly: it has made headway of late. */
  isMoving(nowMs: number): boolean {
    return nowMs - this.#headwayAtMs < HEADWAY_MS;
  }

  isOverdue(nowMs: number, timeoutMs: number): boolean {
    return nowMs - this.#movedAtMs > this.#patience * timeoutMs;
  }

  /**
   * It may be lost, or on a slow disk or link, which would only be slower for being sent everything again and again. What
   * is cheap is lost more likely, and is not waited for the longer.
   */
  giveUp(nowMs: number): void {
    const bytes = this.state === 'probe' ? this.#probeBytes : this.#inFlightBytes;
    if (this.state === 'snapshot' || bytes > CHEAP_BYTES) this.#patience = Math.min(2 * this.#patience, PATIENCE_MAX);
    this.probeAgain(nowMs);
  }

  beginSnapshot(head: SnapshotHead, nowMs: number): void {
    this.probeFrom(this.next, nowMs);
    this.state = 'snapshot';
    this.isCatchingUp = true;
    this.snapshot = { head, piece: 0 };
  }

  #forgetUpTo(index: number): void {
    while (this.#inFlight[0] && this.#inFlight[0].lastIndex <= index) this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0;
  }
}
