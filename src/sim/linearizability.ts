/**
 * Whether what clients saw can be explained by one thing that does one operation at a time, each at some moment
 * between its call and its return: linearizability (Herlihy & Wing 1990). The search is Wing & Gong's (1993): take
 * an operation that was called before any other returned, see whether the model allows it, go on, go back.
 * Lowe (2017) remembers what was reached by another order already. Histories of different keys are checked one by
 * one (Horn & Kroening 2015): a history is linearizable when that of each key is.
 *
 *  Z1. Of two operations, the one that returned before the other was called comes first. At the very same moment
 *      they overlap.
 *  Z2. Every operation that returned is in the order; one whose answer was lost may be, after its call.
 *  Z3. A set of operations done together with the state they lead to is gone on from once.
 *  Z4. What changes no state is placed as soon as it fits, and no other choice is tried instead.
 *  Z5. `linearizable` and `not linearizable` are proved; when the work is too much, the verdict is `undecided`.
 */
import { assert } from '../core/base/assert.ts';
import { explain } from './linearizability-report.ts';

export interface Operation<Op> {
  readonly client: string;
  readonly key: string;
  readonly invokedAtMs: number;
  /** Null: the answer was lost, so it may have happened at any time since, or never. */
  readonly returnedAtMs: number | null;
  /** What was asked and, if it was, what was answered. */
  readonly op: Op;
}

export interface Model<State, Op> {
  readonly initial: State;
  /** The states that `op`, with the answer that it got, may lead to; none when it cannot have had that answer. */
  step(state: State, op: Op): readonly State[];
  /** Whether `op`, with its answer, leaves every state as it is: a read, a swap that failed. */
  changesNothing(op: Op): boolean;
  /** The same text for the same state, and for no other. */
  keyOf(state: State): string;
  describe(op: Op): string;
}

export type Verdict<Op> =
  | { readonly verdict: 'linearizable'; readonly states: number }
  | {
      readonly verdict: 'not linearizable';
      readonly states: number;
      readonly key: string;
      /** The longest order that explains a part; none of `stuck` can come next. */
      readonly order: readonly Operation<Op>[];
      readonly stuck: readonly Operation<Op>[];
      readonly explanation: string;
    }
  | { readonly verdict: 'undecided'; readonly states: number; readonly key: string };

/** States visited for one key before the answer is `undecided`: a few seconds, and some 100 MB to remember them. */
const STATES_MAX = 500_000;

export function checkHistory<State, Op>(
  history: readonly Operation<Op>[],
  model: Model<State, Op>,
  statesMax = STATES_MAX,
): Verdict<Op> {
  const byKey = new Map<string, Operation<Op>[]>();
  for (const operation of history) {
    const same = byKey.get(operation.key);
    if (same) same.push(operation);
    else byKey.set(operation.key, [operation]);
  }
  let states = 0;
  for (const [key, operations] of byKey) {
    const search = new Search(operations, model, statesMax);
    const verdict = search.run();
    states += search.visited;
    if (verdict === 'undecided') return { verdict, states, key };
    if (verdict === 'linearizable') continue;
    const { order, state, stuck } = search.furthest();
    const explanation = explain({ key, model, operations, order, state, stuck });
    return { verdict, states, key, order, stuck, explanation };
  }
  return { verdict: 'linearizable', states };
}

/** A choice that was made, and what has to be known to make the next one instead. */
interface Choice<State> {
  readonly at: number;
  readonly before: State;
  readonly options: readonly State[];
  /** The option that was taken. */
  readonly option: number;
  readonly baseBefore: number;
  readonly highestBefore: number;
  /** It changes no state, ever, so to do it as soon as it fits is right: no other choice has to be tried. */
  readonly certain: boolean;
}

/**
 * Calls and returns in order of time, as a list from which the pair of an operation is lifted when it is done and
 * put back when it is undone (dancing links). Operations are numbered by their calls, those that returned first.
 */
class Search<State, Op> {
  readonly #model: Model<State, Op>;
  /** Those that returned, by their calls; then those that did not. */
  readonly #operations: readonly Operation<Op>[];
  readonly #returned: number;
  /** Call and return of an operation: two places of the list. */
  readonly #callAt: Int32Array;
  readonly #returnAt: Int32Array;
  readonly #operationAt: Int32Array;
  readonly #isCall: Uint8Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** One bit for each that is done. */
  readonly #done: Uint32Array;
  readonly #pendingWord: number;
  /** All that returned below `base` are done, none above `highest` is: only what is between tells two sets apart. */
  #base = 0;
  #highest = -1;
  readonly #seen = new Set<string>();
  readonly #choices: Choice<State>[] = [];
  #state: State;
  #returnedDone = 0;
  #furthestDone = -1;
  #furthest: { readonly order: number[]; readonly state: State; readonly stuck: number[] } | null = null;
  visited = 0;
  readonly #statesMax: number;

  constructor(operations: readonly Operation<Op>[], model: Model<State, Op>, statesMax: number) {
    this.#model = model;
    this.#state = model.initial;
    this.#statesMax = statesMax;
    for (const { invokedAtMs, returnedAtMs } of operations)
      assert(returnedAtMs === null || returnedAtMs >= invokedAtMs, 'an answer comes after its question');
    const byCall = [...operations].sort((a, b) => a.invokedAtMs - b.invokedAtMs);
    const returned = byCall.filter(({ returnedAtMs }) => returnedAtMs !== null);
    this.#operations = [...returned, ...byCall.filter(({ returnedAtMs }) => returnedAtMs === null)];
    this.#returned = returned.length;
    const count = this.#operations.length;
    // A word boundary between the two kinds, so that each has words of its own.
    this.#pendingWord = (returned.length + 31) >>> 5;
    this.#done = new Uint32Array(this.#pendingWord + ((count - returned.length + 31) >>> 5));
    const events = this.#operations.flatMap(({ invokedAtMs, returnedAtMs }, operation) => [
      { operation, atMs: invokedAtMs, call: true },
      ...(returnedAtMs === null ? [] : [{ operation, atMs: returnedAtMs, call: false }]),
    ]);
    // At one moment calls come before returns: those operations overlap (Z1).
    events.sort((a, b) => a.atMs - b.atMs || Number(b.call) - Number(a.call) || a.operation - b.operation);
    const places = events.length + 1;
    this.#callAt = new Int32Array(count);
    this.#returnAt = new Int32Array(count);
    this.#operationAt = new Int32Array(places);
    this.#isCall = new Uint8Array(places);
    // Place 0 is the head of the list; it is also what comes after the last.
    this.#next = Int32Array.from({ length: places }, (_, at) => (at + 1) % places);
    this.#previous = Int32Array.from({ length: places }, (_, at) => (at + places - 1) % places);
    for (const [index, { operation, call }] of events.entries()) {
      this.#operationAt[index + 1] = operation;
      this.#isCall[index + 1] = call ? 1 : 0;
      (call ? this.#callAt : this.#returnAt)[operation] = index + 1;
    }
  }

  run(): Verdict<Op>['verdict'] {
    let at = valueAt(this.#next, 0);
    let option = 0;
    while (this.#returnedDone < this.#returned) {
      if (at !== 0 && this.#isCall[at] === 1) {
        const taken = this.#take(at, option);
        if (this.visited > this.#statesMax) return 'undecided';
        at = valueAt(this.#next, taken ? 0 : at);
        option = 0;
        continue;
      }
      // The operation that returns here has to be done by now, and is not.
      this.#noteFurthest();
      const choice = this.#undo();
      if (choice === null) return 'not linearizable';
      at = choice.at;
      option = choice.option + 1;
    }
    return 'linearizable';
  }

  furthest(): { readonly order: readonly Operation<Op>[]; readonly state: State; readonly stuck: readonly Operation<Op>[] } {
    assert(this.#furthest, 'a search that failed got stuck somewhere');
    const named = (numbers: readonly number[]) => numbers.flatMap((number) => this.#operations[number] ?? []);
    const { order, state, stuck } = this.#furthest;
    return { order: named(order), state, stuck: named(stuck) };
  }

  /** Does the operation called at `at` now, with the first option from `from` on that leads to something new. */
  #take(at: number, from: number): boolean {
    const number = valueAt(this.#operationAt, at);
    const operation = this.#operations[number];
    assert(operation, 'every call is of an operation');
    const before = this.#state;
    const options = this.#model.step(before, operation.op);
    const certain = this.#model.changesNothing(operation.op);
    if (operation.returnedAtMs === null) {
      // Without an answer and without an effect it may as well happen later, or never.
      if (certain) return false;
      const [only] = options;
      if (options.length === 1 && this.#model.keyOf(only as State) === this.#model.keyOf(before)) return false;
    }
    for (let option = from; option < options.length; option++) {
      const baseBefore = this.#base;
      const highestBefore = this.#highest;
      const after = options[option] as State;
      this.#setDone(number);
      const key = this.#setKey(after);
      if (!this.#seen.has(key)) {
        this.#seen.add(key);
        this.visited += 1;
        this.#choices.push({ at, before, options, option, baseBefore, highestBefore, certain });
        this.#state = after;
        this.#lift(number);
        return true;
      }
      this.#clearDone(number, baseBefore, highestBefore);
    }
    return false;
  }

  /** Undoes the last choice that another could have been made instead of; null when there is none. */
  #undo(): Choice<State> | null {
    for (let choice = this.#choices.pop(); choice; choice = this.#choices.pop()) {
      const number = valueAt(this.#operationAt, choice.at);
      this.#putBack(number);
      this.#clearDone(number, choice.baseBefore, choice.highestBefore);
      this.#state = choice.before;
      if (!choice.certain) return choice;
    }
    return null;
  }

  #noteFurthest(): void {
    if (this.#returnedDone <= this.#furthestDone) return;
    this.#furthestDone = this.#returnedDone;
    const stuck: number[] = [];
    let at = valueAt(this.#next, 0);
    for (; at !== 0 && this.#isCall[at] === 1; at = valueAt(this.#next, at)) stuck.push(valueAt(this.#operationAt, at));
    const order = this.#choices.map((choice) => valueAt(this.#operationAt, choice.at));
    this.#furthest = { order, state: this.#state, stuck };
  }

  #lift(number: number): void {
    for (const at of this.#placesOf(number)) {
      const previous = valueAt(this.#previous, at);
      const next = valueAt(this.#next, at);
      this.#next[previous] = next;
      this.#previous[next] = previous;
    }
    if (number < this.#returned) this.#returnedDone += 1;
  }

  #putBack(number: number): void {
    for (const at of this.#placesOf(number).reverse()) {
      this.#next[valueAt(this.#previous, at)] = at;
      this.#previous[valueAt(this.#next, at)] = at;
    }
    if (number < this.#returned) this.#returnedDone -= 1;
  }

  #placesOf(number: number): number[] {
    const call = valueAt(this.#callAt, number);
    return number < this.#returned ? [call, valueAt(this.#returnAt, number)] : [call];
  }

  #bitOf(number: number): number {
    return number < this.#returned ? number : this.#pendingWord * 32 + (number - this.#returned);
  }

  #isDone(bit: number): boolean {
    return ((valueAt(this.#done, bit >>> 5) >>> (bit & 31)) & 1) === 1;
  }

  #setDone(number: number): void {
    const bit = this.#bitOf(number);
    this.#done[bit >>> 5] = valueAt(this.#done, bit >>> 5) | (1 << (bit & 31));
    if (number >= this.#returned) return;
    if (number > this.#highest) this.#highest = number;
    while (this.#base < this.#returned && this.#isDone(this.#base)) this.#base += 1;
  }

  #clearDone(number: number, base: number, highest: number): void {
    const bit = this.#bitOf(number);
    this.#done[bit >>> 5] = valueAt(this.#done, bit >>> 5) & ~(1 << (bit & 31));
    this.#base = base;
    this.#highest = highest;
  }

  /** What is done and where it leads, as text: the whole of it, for a hash could take two for one (Z3, Z5). */
  #setKey(state: State): string {
    let key = `${this.#base}`;
    for (let word = this.#base >>> 5; word <= this.#highest >> 5; word++) key += `,${valueAt(this.#done, word).toString(36)}`;
    for (let word = this.#pendingWord; word < this.#done.length; word++) key += `;${valueAt(this.#done, word).toString(36)}`;
    return `${key} ${this.#model.keyOf(state)}`;
  }
}

/** An element that is there: an index of the list is always one of its places. */
function valueAt(array: Int32Array | Uint32Array, at: number): number {
  return array[at] as number;
}
