/**
 * The output of an instance, followed over connections that break: the instance goes on writing while its orchestrator
 * changes leaders, and its node keeps what it writes. After a break what is kept is read again and goes on where what
 * was shown ends, found by its last bytes. So nothing is shown twice or left out, unless
 *  - more was written meanwhile than the node keeps: that is told;
 *  - the program repeats itself to the letter for as far as is remembered here: then some repetitions may be left out.
 */
import type { ApiClient } from './api-client.ts';
import { Reopening } from './reopening.ts';

export interface FollowLogsOptions {
  readonly tail?: number | undefined;
  /** Told once each time the connection is gone. */
  readonly lost: () => void;
  /** Told when some of what was written meanwhile is not kept any more. */
  readonly missing: () => void;
}

const REMEMBERED_BYTES = 64 * 1024;
/** More than most programs write in some seconds; where it is not enough, all that is kept is read. */
const TAIL_LINES = 1_000;
const NEWLINE = 0x0a;

export async function* followLogs(client: ApiClient, id: string, options: FollowLogsOptions): AsyncGenerator<Uint8Array> {
  const reopening = new Reopening(client.transport.ended, options.lost);
  const shown = new Shown();
  for (let again = false; ; again = true) {
    let end: unknown = null;
    try {
      const source =
        again && !shown.isEmpty ? goOn(client, id, shown, options.missing) : client.logs(id, { ...options, follow: true, again });
      for await (const bytes of source) {
        reopening.alive();
        shown.add(bytes);
        yield bytes;
      }
      return;
    } catch (error) {
      end = error;
    }
    await reopening.pause(end);
  }
}

/** What comes after what was shown: first what is kept of it, then what is written from now. */
async function* goOn(client: ApiClient, id: string, shown: Shown, missing: () => void): AsyncGenerator<Uint8Array> {
  const read = (tail?: number) => readAll(client.logs(id, { follow: false, tail, again: true }));
  let kept = await read(TAIL_LINES);
  let from = shown.endIn(kept);
  if (from === null) {
    kept = await read();
    from = shown.endIn(kept);
  }
  if (from === null) missing();
  if (kept.length === 0) {
    yield* client.logs(id, { follow: true, again: true });
    return;
  }
  yield kept.subarray(from ?? 0);
  // By now what was shown ends with all that was kept a moment ago: the last lines of that are looked for once more.
  const lines = Math.min(TAIL_LINES, countLines(kept));
  yield* after(shown, lines, client.logs(id, { follow: true, tail: lines + 1, again: true }));
}

/** Of a stream that begins with `lines` lines which were shown, or a few more: what comes after them. */
async function* after(shown: Shown, lines: number, stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Buffer | null = Buffer.alloc(0);
  for await (const bytes of stream) {
    if (head === null) {
      yield bytes;
      continue;
    }
    head = Buffer.concat([head, bytes]);
    const count = countLines(head);
    const from: number | null = count < lines ? null : shown.endIn(head);
    // So much was written in a moment that what was shown is out of sight: what comes is news, as far as anybody can tell.
    if (from === null && count < lines + TAIL_LINES) continue;
    yield head.subarray(from ?? 0);
    head = null;
  }
}

/** The last bytes that were shown. */
class Shown {
  #bytes: Buffer = Buffer.alloc(0);

  get isEmpty(): boolean {
    return this.#bytes.length === 0;
  }

  add(bytes: Uint8Array): void {
    const joined = Buffer.concat([this.#bytes, bytes]);
    // A copy: the rest of a large piece is not held for the sake of its end.
    this.#bytes = joined.length <= REMEMBERED_BYTES ? joined : Buffer.from(joined.subarray(-REMEMBERED_BYTES));
  }

  /** Where it ends in `text`, which begins with a line; null when nothing of it is there. */
  endIn(text: Buffer): number | null {
    const whole = text.lastIndexOf(this.#bytes);
    if (whole >= 0) return whole + this.#bytes.length;
    // The text begins somewhere within it.
    for (
      let at = this.#bytes.indexOf(NEWLINE) + 1;
      at > 0 && at < this.#bytes.length;
      at = this.#bytes.indexOf(NEWLINE, at) + 1
    ) {
      const rest = this.#bytes.subarray(at);
      if (rest.length <= text.length && text.subarray(0, rest.length).equals(rest)) return rest.length;
    }
    return null;
  }
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

function countLines(text: Buffer): number {
  let count = 0;
  for (let at = text.indexOf(NEWLINE); at >= 0; at = text.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
