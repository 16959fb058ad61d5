/**
 * The link with the parent, as one of several replicas sees it. Only one of them can have it (I5): a leader opens it; on
 * demand whoever led last keeps it while the group is paused, and loses it to whoever leads next.
 *
 * Invariants:
 *  J1. A replica that neither leads nor keeps the paused group has the link for a moment only, as long as an election may take.
 *  J2. What the parent wished on a link that is gone is proposed by nobody: it was made for how things were then.
 */
import type { Leadership } from '../model/leadership.ts';
import type { Desired, Hello, Report } from '../model/messages.ts';
import { ChildSession, type ChildStatus, type Wish } from '../uplink/child-session.ts';

/** An election with its back-off, if nothing is wrong. */
const UNKEPT_MS = 2_000;

export class ParentEnd {
  readonly #session: ChildSession;
  readonly #self: string | null;
  /** Whether the replica that led last keeps the link; else only a leader has it. */
  readonly #isOnDemand: boolean;
  #leadership: Leadership = { leads: false, term: 0, leader: null };
  #isOurs = false;
  /** When this replica led last, or the group was paused under it. */
  #keptAtMs = 0;
  /** Wished while nobody led. */
  #wishes: Wish[] = [];

  /** `self`: name of this replica; null: it has none. */
  constructor(init: { readonly software: string; readonly self: string | null; readonly isOnDemand: boolean }) {
    this.#session = new ChildSession('cluster', init.software);
    this.#self = init.self;
    this.#isOnDemand = init.isOnDemand;
  }

  /** The link is this replica's, to open and to keep. */
  get isOurs(): boolean {
    return this.#isOurs;
  }

  get isOpen(): boolean {
    return this.#session.open;
  }

  leadershipChanged(leadership: Leadership, nowMs: number): void {
    this.#leadership = leadership;
    if (leadership.leads) {
      this.#isOurs = true;
      this.#keptAtMs = nowMs;
    } else if (leadership.leader !== null || !this.#isOnDemand) this.#end();
  }

  /** What to say first; null: it is being closed. */
  opened(session: string, status: () => ChildStatus, nowMs: number): Hello | null {
    if (!this.#isOurs) return null;
    this.#wishes = [];
    return this.#session.linkOpened(session, status(), nowMs);
  }

  /** Only a leader opens it again: in a pause the parent may have another replica's link by now. */
  closed(): void {
    if (this.#leadership.leads) this.#session.linkClosed();
    else this.#end();
  }

  /** Why the session is broken; null: it is not. Wishes are taken by `takeWishes`. */
  received(message: Desired): string | null {
    if (!this.#isOurs) return null;
    const received = this.#session.desiredReceived(message);
    if (received.kind === 'wish') this.#wishes.push(received.wish);
    return received.kind === 'broken' ? received.reason : null;
  }

  get hasWishes(): boolean {
    return this.#wishes.length > 0;
  }

  takeWishes(): readonly Wish[] {
    return this.#wishes.splice(0);
  }

  /** What is to be said now; null: nothing. */
  report(status: () => ChildStatus, nowMs: number): Report | null {
    return this.#session.open ? this.#session.report(status(), nowMs) : null;
  }

  /** J1. `isKeptElsewhere`: another replica has it. True when somebody has to be elected, or to go on leading, for the link. */
  needsLeader(nowMs: number, isKeptElsewhere: boolean): boolean {
    const { leads, leader, pausedUnder = null } = this.#leadership;
    if (leads || pausedUnder === this.#self) this.#keptAtMs = nowMs;
    else if (this.#isOurs && nowMs - this.#keptAtMs > UNKEPT_MS) this.#end();
    if (leads) return !this.#session.open;
    return pausedUnder !== null && leader === null && !this.#isOurs && !isKeptElsewhere;
  }

  #end(): void {
    this.#isOurs = false;
    this.#session.linkClosed();
    this.#wishes = []; // J2
  }
}
