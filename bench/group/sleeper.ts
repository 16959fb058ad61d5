/**
 * Wakes at a time, to some hundredths of a millisecond: timers of Node and epoll are a whole one coarse. A thread sleeps in
 * Atomics.wait, which costs nothing meanwhile.
 */
import { Worker } from 'node:worker_threads';

/**
 * Turns begin when `turn[0]` grows. A word of it may come when its turn is long over: whoever does not look whether there
 * is another one runs ahead of the turns, and then never waits again.
 */
const THREAD = `
const { workerData: { turn, due }, parentPort } = require('node:worker_threads');
for (let seen = 0; ; seen += 1) {
  while (Atomics.load(turn, 0) === seen) Atomics.wait(turn, 0, seen);
  const restMs = due[0] - Number(process.hrtime.bigint()) / 1e6;
  if (restMs > 0) Atomics.wait(turn, 1, 0, restMs);
  parentPort.postMessage(null);
}`;

export class Sleeper {
  readonly #turn = new Int32Array(new SharedArrayBuffer(8));
  readonly #due = new Float64Array(new SharedArrayBuffer(8));
  readonly #thread: Worker;
  #isAsleep = false;

  constructor(wake: () => void) {
    this.#thread = new Worker(THREAD, { eval: true, workerData: { turn: this.#turn, due: this.#due } });
    this.#thread.on('message', () => {
      this.#isAsleep = false;
      wake();
    });
  }

  /** On the machine's clock. One that sleeps already wakes when it was to. */
  sleepUntil(dueMs: number): void {
    if (this.#isAsleep) return;
    this.#isAsleep = true;
    this.#due[0] = dueMs;
    Atomics.add(this.#turn, 0, 1);
    this.stir();
  }

  /** Has it look whether a turn has begun; true when it was waiting for one. */
  stir(): boolean {
    return Atomics.notify(this.#turn, 0) > 0;
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }
}
