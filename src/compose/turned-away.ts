/** Log lines about those who were turned away. */
import { Allowance } from '../core/base/allowance.ts';
import { isName } from '../core/base/ids.ts';
import { CodedError } from '../core/model/errors.ts';
import type { Clock } from '../ports/clock.ts';

/** Lines at once; a site that was set up wrongly shows itself in fewer. */
const BURST = 20;

/** Somebody who knocks without end must not fill the disk with log lines: after a burst one a second, with the count of the others. */
export function throttled(clock: Clock, tell: (reason: string, who: string) => void): (reason: string, who: string) => void {
  const lines = new Allowance({ burst: BURST, oneEachMs: 1_000, nowMs: clock.nowMs() });
  let unsaid = 0;
  return (reason, who) => {
    if (!lines.take(clock.nowMs())) {
      unsaid += 1;
      return;
    }
    tell(unsaid === 0 ? reason : `${reason} (and ${unsaid} others)`, who);
    unsaid = 0;
  };
}

/** A refusal is of interest on both sides: whoever made the token reads it in the log. */
export async function toldOf<T>(answer: Promise<T>, who: string, tell: (reason: string, who: string) => void): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof CodedError) tell(`${error.message} (${error.code})`, who);
    throw error;
  }
}

/** Who asks to join, as far as it says so. */
export function nameIn(body: unknown): string {
  const name = typeof body === 'object' && body !== null && 'name' in body ? body.name : null;
  return typeof name === 'string' && isName(name) ? name : 'unknown';
}
