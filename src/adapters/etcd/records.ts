/**
 * How entries lie in records, and how a row of records is entries again. A record is
 *
 *   version 1 | CRC-32 4 | kind 1 | term 6 | index 6 | content
 *
 * numbers with the most significant byte first, the checksum over the record's number and all that follows it. Kinds:
 *
 *   entries    each as its length (4) and its bytes; the first has `index`, the others those after it
 *   piece      the number of the piece (4) and a part of one large entry, more follow
 *   last       the same, and with this one the entry is whole
 *
 * What is told apart, and how:
 *  - A row of pieces that is not followed by its next piece was begun by a leader that was deposed: it is no entry,
 *    for every reader alike, and its index goes to another one.
 *  - A record with another checksum, an unknown version or an index that does not follow is damage, never skipped.
 */
import { crc32 } from 'node:zlib';
import { must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import type { Proposal } from '../../core/log/proposal-queue.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { LogEntry } from '../../ports/log.ts';

const VERSION = 1;
const KIND = { entries: 0, piece: 1, last: 2 } as const;
const CHECKSUM_AT = 1;
const KIND_AT = 5;
const TERM_AT = 6;
const INDEX_AT = 12;
const HEADER_BYTES = 18;
const LENGTH_BYTES = 4;
const CONTENT_BYTES = limits.etcdRecordBytes - HEADER_BYTES;
const PIECE_BYTES = CONTENT_BYTES - LENGTH_BYTES;
const PIECES_MAX = Math.ceil(limits.logEntryBytes / PIECE_BYTES);

/** Entries that lie together: up to `lastIndex`, from this record on, in so many bytes. */
interface Unit {
  readonly record: number;
  readonly lastIndex: number;
  readonly bytes: number;
}

/** What one transaction appends. */
export interface Append {
  readonly firstRecord: number;
  readonly records: readonly Buffer[];
  /** Those that are whole with these records. */
  readonly entries: readonly LogEntry[];
  readonly units: readonly Unit[];
  /** The record in which an entry begins that is not whole yet. */
  readonly begun: number | null;
}

interface Draft {
  readonly record: Buffer;
  readonly entries: readonly LogEntry[];
  /** Of the first part of the entries. */
  readonly begin: number;
  readonly isWhole: boolean;
}

/** Proposals as records from `firstRecord` and entries from `firstIndex` on, in portions of one transaction each. */
export function packAppends(
  proposals: readonly Proposal[],
  at: { readonly term: number; readonly firstRecord: number; readonly firstIndex: number },
): readonly Append[] {
  const drafts: Draft[] = [];
  let waiting: LogEntry[] = [];
  let waitingBytes = 0;
  const nextNumber = (): number => at.firstRecord + drafts.length;
  const flush = (): void => {
    const [first] = waiting;
    if (first === undefined) return;
    const parts = waiting.flatMap(({ data }) => [uint32(data.length), data]);
    const record = makeRecord(nextNumber(), KIND.entries, at.term, first.index, parts);
    drafts.push({ record, entries: waiting, begin: nextNumber(), isWhole: true });
    waiting = [];
    waitingBytes = 0;
  };
  const addPieces = (entry: LogEntry): void => {
    const begin = nextNumber();
    const count = Math.ceil(entry.data.length / PIECE_BYTES);
    for (let piece = 0; piece < count; piece += 1) {
      const isWhole = piece === count - 1;
      const parts = [uint32(piece), entry.data.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES)];
      const record = makeRecord(nextNumber(), isWhole ? KIND.last : KIND.piece, at.term, entry.index, parts);
      drafts.push({ record, entries: isWhole ? [entry] : [], begin, isWhole });
    }
  };
  for (const [offset, { proposal, data }] of proposals.entries()) {
    const entry = { index: at.firstIndex + offset, data, proposal };
    const bytes = LENGTH_BYTES + data.length;
    if (waitingBytes + bytes > CONTENT_BYTES) flush();
    if (bytes > CONTENT_BYTES) addPieces(entry);
    else {
      waiting.push(entry);
      waitingBytes += bytes;
    }
  }
  flush();
  return portions(drafts).map((portion) => {
    const from = drafts.indexOf(must(portion[0], 'a record to append'));
    return appendOf(at.firstRecord + from, portion);
  });
}

function portions(drafts: readonly Draft[]): readonly (readonly Draft[])[] {
  const all: Draft[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const draft of drafts) {
    bytes += draft.record.length;
    if (bytes > limits.etcdTransactionBytes) {
      all.push([]);
      bytes = draft.record.length;
    }
    all.at(-1)?.push(draft);
  }
  return all;
}

function appendOf(firstRecord: number, portion: readonly Draft[]): Append {
  const last = must(portion.at(-1), 'a record to append');
  return {
    firstRecord,
    records: portion.map(({ record }) => record),
    entries: portion.flatMap(({ entries }) => entries),
    units: portion.flatMap(({ begin, entries }) => unitOf(begin, entries)),
    begun: last.isWhole ? null : last.begin,
  };
}

/** Reads records one after the other, and knows what it has read. */
export class RecordReader {
  /** The number of the record that comes next. */
  nextRecord = 1;
  /** Of the last entry. */
  index = 0;
  #begun: { readonly record: number; readonly term: number; readonly index: number; readonly parts: Uint8Array[] } | null = null;
  #units: Unit[] = [];

  /** Goes on behind a snapshot that reaches to `index`. */
  restore(index: number, nextRecord: number): void {
    this.index = index;
    this.nextRecord = nextRecord;
    this.#begun = null;
    this.#units = [];
  }

  /** The new entries that are whole with the next record. */
  read(value: Buffer): readonly LogEntry[] {
    const number = this.nextRecord;
    if (!isRecord(number, value)) throw damaged(number, 'is not what was written');
    if (value[0] !== VERSION) throw new CodedError('etcd_foreign', `record ${number} has version ${value[0]}`);
    const term = value.readUIntBE(TERM_AT, 6);
    const index = value.readUIntBE(INDEX_AT, 6);
    const content = value.subarray(HEADER_BYTES);
    let begin = number;
    let entries: readonly LogEntry[];
    if (value[KIND_AT] === KIND.entries) {
      this.#begun = null;
      entries = readEntries(number, index, content);
    } else {
      const begun = this.#takePiece(number, term, index, content);
      const isWhole = value[KIND_AT] === KIND.last;
      begin = begun.record;
      entries = isWhole ? [{ index, data: Buffer.concat(begun.parts) }] : [];
      this.#begun = isWhole ? null : begun;
    }
    this.nextRecord += 1;
    // Behind a snapshot, the first record may begin before it ends.
    const fresh = entries.filter((entry) => entry.index > this.index);
    const [first] = fresh;
    if (first === undefined) return fresh;
    if (first.index !== this.index + 1) throw damaged(number, `has entry ${first.index}, but ${this.index + 1} comes next`);
    this.index += fresh.length;
    this.#units.push(...unitOf(begin, fresh));
    return fresh;
  }

  #takePiece(number: number, term: number, index: number, content: Buffer) {
    const piece = content.readUInt32BE();
    const part = content.subarray(LENGTH_BYTES);
    const begun = piece === 0 ? { record: number, term, index, parts: [] } : this.#begun;
    if (begun === null || begun.term !== term || begun.index !== index || begun.parts.length !== piece)
      throw damaged(number, `is piece ${piece} of an entry that has not begun`);
    if (piece > PIECES_MAX) throw damaged(number, 'belongs to an entry that is too large');
    begun.parts.push(part);
    return begun;
  }

  /** What this replica has appended itself it need not read. */
  appended(append: Append): void {
    this.nextRecord = append.firstRecord + append.records.length;
    this.index = append.entries.at(-1)?.index ?? this.index;
    this.#units.push(...append.units);
    this.#begun = append.begun === null ? null : { record: append.begun, term: 0, index: 0, parts: [] };
  }

  /** The record with which to begin for what follows `index`. */
  recordAfter(index: number): number {
    return this.#units.find(({ lastIndex }) => lastIndex > index)?.record ?? this.#begun?.record ?? this.nextRecord;
  }

  /**
   * Of the entries up to `index`, the record with which the last of them begin, so many and so large as may be kept; what
   * is before it need not be known any more.
   */
  cutTail(index: number, entries: number, bytes: number): number {
    const behind = this.#units.filter(({ lastIndex }) => lastIndex > index);
    const tail: Unit[] = [];
    let room = bytes;
    for (const unit of this.#units.slice(0, this.#units.length - behind.length).reverse()) {
      room -= unit.bytes;
      if (room < 0 || unit.lastIndex <= index - entries) break;
      tail.unshift(unit);
    }
    this.#units = [...tail, ...behind];
    return tail[0]?.record ?? this.recordAfter(index);
  }
}

function unitOf(record: number, entries: readonly LogEntry[]): readonly Unit[] {
  const last = entries.at(-1);
  const bytes = entries.reduce((sum, { data }) => sum + data.length, 0);
  return last === undefined ? [] : [{ record, lastIndex: last.index, bytes }];
}

/** The term of the leader that wrote this record; null when it is none. */
export function termOf(number: number, value: Buffer): number | null {
  return isRecord(number, value) ? value.readUIntBE(TERM_AT, 6) : null;
}

function readEntries(number: number, firstIndex: number, content: Buffer): readonly LogEntry[] {
  const entries: LogEntry[] = [];
  for (let at = 0; at < content.length; ) {
    if (at + LENGTH_BYTES > content.length) throw damaged(number, 'ends within a length');
    const end = at + LENGTH_BYTES + content.readUInt32BE(at);
    if (end > content.length) throw damaged(number, 'ends within an entry');
    entries.push({ index: firstIndex + entries.length, data: content.subarray(at + LENGTH_BYTES, end) });
    at = end;
  }
  return entries;
}

function makeRecord(number: number, kind: number, term: number, index: number, parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = VERSION;
  header[KIND_AT] = kind;
  header.writeUIntBE(term, TERM_AT, 6);
  header.writeUIntBE(index, INDEX_AT, 6);
  const record = Buffer.concat([header, ...parts]);
  record.writeUInt32BE(checksum(number, record), CHECKSUM_AT);
  return record;
}

function isRecord(number: number, value: Buffer): boolean {
  return value.length >= HEADER_BYTES && value.readUInt32BE(CHECKSUM_AT) === checksum(number, value);
}

/** The version is not in it, so that a later one can be told from damage. */
function checksum(number: number, record: Buffer): number {
  return crc32(record.subarray(KIND_AT), crc32(String(number)));
}

function uint32(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES);
  bytes.writeUInt32BE(number);
  return bytes;
}

function damaged(number: number, how: string): CodedError {
  return new CodedError('etcd_damaged', `record ${number} ${how}`);
}
