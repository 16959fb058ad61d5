/**
 * Where things lie in etcd, below `tendril/NAME/`. Numbers are of fixed width, so that etcd's order is the log's.
 *
 *   format                       {version, id} as JSON: made once
 *   head                         {index, bytes, nextRecord, oldestRecord} as JSON: the snapshot
 *   leader                       {id, name, process} as JSON, on a lease
 *   log/<number>                 a record: records.ts
 *   snapshot/<index>/<piece>     the snapshot's content, in pieces of limits.snapshotPieceBytes
 *
 * `leader` and `log/` are neighbours: one watch sees both, and nothing of snapshots.
 */
const WIDTH = 13;
const PIECE_WIDTH = 8;

const digits = (number: number, width: number): string => number.toString(16).padStart(width, '0');

export interface KeyRange {
  readonly key: string;
  /** Exclusive. */
  readonly end: string;
}

export class Keys {
  readonly #prefix: string;
  readonly format: string;
  readonly head: string;
  readonly leader: string;
  readonly all: KeyRange;
  readonly leaderAndRecords: KeyRange;

  constructor(name: string) {
    this.#prefix = `tendril/${name}/`;
    this.format = `${this.#prefix}format`;
    this.head = `${this.#prefix}head`;
    this.leader = `${this.#prefix}leader`;
    // '0' follows '/'.
    this.all = { key: this.#prefix, end: `tendril/${name}0` };
    this.leaderAndRecords = { key: this.leader, end: `${this.#prefix}log0` };
  }

  record(number: number): string {
    return `${this.#prefix}log/${digits(number, WIDTH)}`;
  }

  recordsFrom(number: number): KeyRange {
    return { key: this.record(number), end: `${this.#prefix}log0` };
  }

  recordsBefore(number: number): KeyRange {
    return { key: `${this.#prefix}log/`, end: this.record(number) };
  }

  /** null when the key is not that of a record. */
  recordNumber(key: string): number | null {
    const start = `${this.#prefix}log/`;
    return key.startsWith(start) && key.length === start.length + WIDTH ? Number.parseInt(key.slice(start.length), 16) : null;
  }

  piece(index: number, piece: number): string {
    return `${this.#prefix}snapshot/${digits(index, WIDTH)}/${digits(piece, PIECE_WIDTH)}`;
  }

  /** Of all snapshots but the one at `index`. */
  otherPieces(index: number): readonly KeyRange[] {
    const start = `${this.#prefix}snapshot/`;
    return [
      { key: start, end: `${start}${digits(index, WIDTH)}/` },
      { key: `${start}${digits(index, WIDTH)}0`, end: `${this.#prefix}snapshot0` },
    ];
  }
}
