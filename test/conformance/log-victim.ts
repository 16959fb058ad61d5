/**
 * A replica whose only fate is to be killed: it proposes in bursts, from within callbacks too, compacts now
 * and then, and reports each entry of its own once that is delivered. Whoever kills it knows from the reports
 * what has to be there afterwards.
 */
import { chance, integerBetween, Prng } from '../../src/core/base/prng.ts';
import type { Log, LogEntry, LogListener } from '../../src/ports/log.ts';

export interface VictimOrders {
  readonly round: number;
  readonly seed: number;
}

/** What a victim's log says: the name of every proposal, `<round>:<number>`, in the order of the log. */
export class VictimState {
  readonly names: string[] = [];

  restore(snapshot: Uint8Array): void {
    const text = Buffer.from(snapshot).toString();
    const end = text.indexOf('\n');
    this.names.splice(0, Infinity, ...JSON.parse(text.slice(0, end)));
    if (/[^.]/.test(text.slice(end + 1))) throw new Error('the filler of a snapshot is damaged');
  }

  apply({ data, index }: LogEntry): string {
    const [name, filler] = Buffer.from(data).toString().split(' ');
    if (name === undefined || filler === undefined || /[^.]/.test(filler)) throw new Error(`entry ${index} is damaged`);
    this.names.push(name);
    return name;
  }

  /** `fillerBytes` make it large enough to be written in several pieces. */
  snapshot(fillerBytes: number): Uint8Array {
    return Buffer.from(`${JSON.stringify(this.names)}\n${'.'.repeat(fillerBytes)}`);
  }
}

/** Reports `ack <number>`, `compacting` and `compacted`; never ends by itself. */
export async function runVictim(log: Log, { round, seed }: VictimOrders, report: (line: string) => void): Promise<void> {
  const random = new Prng(seed);
  const state = new VictimState();
  let proposed = 0;
  let answered = 0;
  let compacting = false;

  const propose = (): void => {
    for (let count = integerBetween(random, 1, 24); count > 0; count -= 1) {
      const fillerBytes = chance(random, 0.02) ? 200_000 : integerBetween(random, 0, 2_000);
      log.propose(proposed, Buffer.from(`${round}:${proposed} ${'.'.repeat(fillerBytes)}`));
      proposed += 1;
    }
  };
  const compact = async (index: number): Promise<void> => {
    compacting = true;
    report('compacting');
    await log.compact(state.snapshot(integerBetween(random, 0, 3_000_000)), index);
    report('compacted');
    compacting = false;
  };
  const listener: LogListener = {
    restored: (snapshot) => state.restore(snapshot),
    committed(entries) {
      for (const entry of entries) {
        state.apply(entry);
        if (entry.proposal === undefined) continue;
        answered += 1;
        report(`ack ${entry.proposal}`);
      }
      const last = entries.at(-1);
      if (last && !compacting && proposed > 0 && chance(random, 0.1)) void compact(last.index);
      if (proposed > 0 && proposed - answered < 24) propose();
    },
    ready: propose,
    dropped: (proposal, reason) => report(`dropped ${proposal} ${reason}`),
    failed: (error) => report(`failed ${error.message}`),
  };
  await log.open(listener);
}
