/** Time at the edges. Drivers read it once per input and hand the core a number; simulation owns a virtual one. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Calls back once after `delayMs`; the returned function cancels. */
  startTimer(delayMs: number, callback: () => void): () => void;
}
