/**
 * What there is to decide: services that something has happened to, looked at one after the other, in rounds of a bounded
 * size. Which service comes first, and what is still to be looked at when a round is full, is known here; what a service
 * needs, reconcile.ts says.
 */
import { limits } from '../base/limits.ts';
import type { ServiceSpec } from '../model/service.ts';
import type { RefusalView } from '../model/views.ts';
import type { Decision } from './commands.ts';
import type { Observed } from './observed.ts';
import type { Found, Placer, PlaceWish } from './placer.ts';
import { reconcileService } from './reconcile.ts';
import type { OrchestratorState } from './state.ts';

/** There is another reason than before why an instance has no place. */
export type Refused = (service: string, instance: string) => void;

export class Rounds {
  readonly #state: OrchestratorState;
  readonly #observed: Observed;
  readonly #placer: Placer;
  readonly #refused: Refused;
  /** Services to look at. */
  readonly #dirty = new Set<string>();
  /** Services with an instance that found no place. */
  readonly #waiting = new Set<string>();
  #hasRoomGrown = false;
  /** Why there was no place, by instance. */
  readonly #refusals = new Map<string, readonly RefusalView[]>();
  readonly #refusalTexts = new WeakMap<readonly RefusalView[], string>();

  constructor(state: OrchestratorState, observed: Observed, placer: Placer, refused: Refused) {
    this.#state = state;
    this.#observed = observed;
    this.#placer = placer;
    this.#refused = refused;
  }

  get refusals(): ReadonlyMap<string, readonly RefusalView[]> {
    return this.#refusals;
  }

  get isAnyWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  touch(service: string): void {
    this.#dirty.add(service);
  }

  touchAll(): void {
    for (const key of this.#state.services.keys()) this.#dirty.add(key);
  }

  touchWaiting(): void {
    for (const key of this.#waiting) this.#dirty.add(key);
  }

  /** Some child may take what it could not: whoever waits is looked at when time passes. */
  roomGrew(): void {
    this.#hasRoomGrown = true;
  }

  forgetService(key: string): void {
    this.#dirty.delete(key);
    this.#waiting.delete(key);
  }

  forgetInstance(id: string): void {
    this.#refusals.delete(id);
  }

  /** What depends on time is looked at. */
  timePassed(nowMs: number): void {
    for (const instance of this.#state.moving) this.touch(instance.service);
    for (const instance of this.#state.instancesAwaitingProof()) this.touch(instance.service);
    for (const service of this.#state.services.values()) if (service.specs.size > 1) this.touch(service.key); // updating
    if (this.#hasRoomGrown || this.#observed.refusalsExpired(nowMs)) this.touchWaiting();
    this.#hasRoomGrown = false;
  }

  /** `unseenLostAfterMs`: how long a child may take to be heard for the first time. */
  next(nowMs: number, unseenLostAfterMs: number): Decision[] {
    if (this.#dirty.size === 0 || this.#state.epoch === '') return [];
    let number = this.#state.nextNumber;
    this.#placer.beginRound(nowMs);
    const decisions: Decision[] = [];
    for (const key of this.#turns()) {
      const decisionsMax = limits.decisionsPerRound - decisions.length;
      if (decisionsMax <= 0) break; // the others' turn is when this round is committed
      const service = this.#state.services.get(key);
      if (!service) {
        this.#dirty.delete(key);
        continue;
      }
      this.#waiting.delete(key);
      const steps = reconcileService(service, {
        state: this.#state,
        observed: this.#observed,
        nowMs,
        unseenLostAfterMs,
        nextNumber: () => number++,
        findPlace: (spec, wish) => this.#findPlace(key, spec, wish),
        decisionsMax,
      });
      if (steps.length < decisionsMax) this.#dirty.delete(key); // else there may be more
      for (const step of steps) decisions.push(step);
    }
    return decisions;
  }

  /** Whether the next round would decide anything; if so, it still can. */
  isAnyDue(nowMs: number, unseenLostAfterMs: number): boolean {
    const touched = [...this.#dirty];
    if (this.next(nowMs, unseenLostAfterMs).length === 0) return false;
    for (const key of touched) this.#dirty.add(key);
    return true;
  }

  /** Who lacks most comes last, and of these who lacks least first: one is finished, with its ranking at hand, before the next. */
  *#turns(): Iterable<string> {
    const large: { readonly key: string; readonly missing: number }[] = [];
    for (const key of this.#dirty) {
      const missing = this.#state.missingOf(key);
      if (missing < limits.decisionsPerRound) yield key;
      else large.push({ key, missing });
    }
    for (const { key } of large.sort((a, b) => a.missing - b.missing)) yield key;
  }

  #findPlace(service: string, spec: ServiceSpec, wish: PlaceWish): Found | null {
    const found = this.#placer.findPlace(spec, wish);
    if (found.ok) {
      this.#refusals.delete(wish.instance);
      return found.value;
    }
    this.#waiting.add(service);
    if (this.#sameRefusals(found.error, this.#refusals.get(wish.instance))) return null;
    this.#refusals.set(wish.instance, found.error);
    this.#refused(service, wish.instance);
    return null;
  }

  /** Many instances share one list of reasons, which has an item for each child: its text is made once. */
  #sameRefusals(a: readonly RefusalView[], b: readonly RefusalView[] | undefined): boolean {
    if (a === b || b === undefined) return a === b;
    return a.length === b.length && this.#textOf(a) === this.#textOf(b);
  }

  #textOf(refusals: readonly RefusalView[]): string {
    const text = this.#refusalTexts.get(refusals) ?? JSON.stringify(refusals);
    this.#refusalTexts.set(refusals, text);
    return text;
  }
}
