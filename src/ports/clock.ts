/** Time at the edges. Drivers read it once per input and hand the core a number; simulation owns a virtual one. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Milliseconds since some moment, for durations: it never goes back, and setting the clock does not move it. */
  elapsedMs(): number;
  /** Calls back once after `delayMs`; the returned function cancels. */
  startTimer(delayMs: number, callback: () => void): () => void;
}
