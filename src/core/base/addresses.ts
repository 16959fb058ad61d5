/**
 * Which of the addresses of an orchestrator's replicas to try next, and after which pause: for children and for users'
 * commands. Whoever tries says how it went.
 *
 *  W1. What works is kept to; the others are for when it does not.
 *  W2. In a round each is tried once, with nothing but a little chance between them: whoever leads now is found at once,
 *      and not by thousands in one instant.
 *  W3. The pauses between rounds grow until one serves, so that it is cheap when all are gone; and so do those after the
 *      same one has served for a moment only, time after time: two children of one name that push each other out.
 *  W4. A hint chooses the next one, but skips no pause when that was tried in this round: two may name each other.
 *  W5. The address that was given is kept for good: those that replicas tell may not be reachable from here.
 */
import { limits } from './limits.ts';
import { pick, type Random } from './prng.ts';

export const ADDRESS_PATTERN = /^https:\/\/[^\s/?#@]+$/;

const HASTE_MS = 50;
/** The longest, with half as much again by chance, stays below the patience of an orchestrator that has just restarted (30 s). */
const PAUSES_MS = [100, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000] as const;
/**
 * Where there is another to try, a machine that does not even take the connection gets this long in the first rounds: a
 * lost SYN is sent again after 1 s (RFC 6298, section 2), and twice as long after that.
 */
const CONNECT_MS = [2_000, 4_000] as const;

export interface Step {
  /** Until `present` is to be tried. */
  readonly pauseMs: number;
  /** All have been tried since one served, or since the last time that this was so. */
  readonly roundOver: boolean;
}

export class Addresses {
  readonly #given: string;
  readonly #random: Random;
  #known: readonly string[];
  #present: string;
  readonly #tried = new Set<string>();
  /** Of failures, since one served. */
  #rounds = 0;
  /** Which one has served for a moment only, and how often in a row. */
  #relapses: { readonly at: string; readonly count: number } | null = null;

  /** `known`: those told of before, the best first. */
  constructor(init: { readonly given: string; readonly known?: readonly string[]; readonly random: Random }) {
    this.#given = init.given;
    this.#random = init.random;
    this.#known = this.#withGiven(init.known ?? []);
    this.#present = this.#known[0] ?? this.#given;
  }

  /** The one that works, or else the next to try. */
  get present(): string {
    return this.#present;
  }

  /** The present one first. */
  get all(): readonly string[] {
    return [this.#present, ...this.#known.filter((address) => address !== this.#present)];
  }

  /** Whether there is no other to turn to. */
  get isOnly(): boolean {
    return this.#known.length < 2;
  }

  /** How long a connection to the present one may take to come about; null: as long as it takes. */
  get connectMs(): number | null {
    return this.isOnly ? null : (CONNECT_MS[this.#rounds] ?? null);
  }

  /** Whether there are others than before. Nobody is left because of it. */
  told(addresses: readonly string[]): boolean {
    const before = new Set(this.#known);
    this.#known = this.#withGiven(addresses);
    return this.#known.length !== before.size || this.#known.some((address) => !before.has(address));
  }

  /** The present one serves: what failed before it says nothing of what comes after. */
  serves(): void {
    this.#tried.clear();
    this.#rounds = 0;
  }

  /** It has served for long, and does no more: at once it is tried again. */
  broke(): Step {
    this.#relapses = null;
    return { pauseMs: this.#random.next() * HASTE_MS, roundOver: false };
  }

  /** It has served for long and answers no more: there is no use in trying it again at once. */
  fellSilent(): Step {
    this.#relapses = null;
    return this.failed();
  }

  /** It has served for a moment only. */
  relapsed(): Step {
    const before = this.#relapses?.at === this.#present ? this.#relapses.count : 0;
    this.#relapses = { at: this.#present, count: before + 1 };
    const step = this.failed();
    return before === 0 ? step : { ...step, pauseMs: Math.max(step.pauseMs, this.#pauseMs(before - 1)) };
  }

  /** The present one does not serve; `hint`, who does in its opinion. Another one is present after. */
  failed(hint: string | null = null): Step {
    this.#tried.add(this.#present);
    const left = this.#known.filter((address) => !this.#tried.has(address));
    const isNew = hint !== null && !this.#tried.has(hint) && this.#tried.size < limits.orchestratorAddresses; // W4
    if (isNew || left.length > 0) {
      this.#present = isNew ? hint : pick(this.#random, left);
      return { pauseMs: this.#random.next() * HASTE_MS, roundOver: false };
    }
    const pauseMs = this.#pauseMs(this.#rounds);
    this.#rounds += 1;
    this.#tried.clear();
    this.#present = hint ?? pick(this.#random, this.#known);
    return { pauseMs, roundOver: true };
  }

  #pauseMs(before: number): number {
    return (PAUSES_MS[Math.min(before, PAUSES_MS.length - 1)] ?? 0) * (0.5 + this.#random.next());
  }

  #withGiven(addresses: readonly string[]): readonly string[] {
    const known = [...new Set(addresses)].slice(0, limits.orchestratorAddresses);
    return known.includes(this.#given) ? known : [...known, this.#given];
  }
}
