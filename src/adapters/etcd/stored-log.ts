/** What of a log lies in etcd: its format, its leader, its snapshot, its records. How keys are laid out: keys.ts. */
import { crc32 } from 'node:zlib';
import * as z from 'zod/mini';
import { must } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { CodedError } from '../../core/model/errors.ts';
import type { Keys } from './keys.ts';
import type { EtcdMap, KeyValue, Page } from './map.ts';

const FORMAT_VERSION = 1;

const formatSchema = z.object({ version: z.number(), id: z.string() });
const leaderSchema = z.object({ id: z.string(), name: z.string(), process: z.string() });
const headSchema = z.object({
  index: z.number(),
  bytes: z.number(),
  checksum: z.number(),
  nextRecord: z.number(),
  oldestRecord: z.number(),
});

export interface Candidate {
  /** Of the replica: that of its data directory. */
  readonly id: string;
  readonly name: string;
  /** Of this life of it. */
  readonly process: string;
}

export interface Leader extends Candidate {
  /** The revision that made it leader. */
  readonly term: number;
  readonly lease: string;
}

export interface Head {
  /** The last entry that the snapshot contains ... */
  readonly index: number;
  readonly bytes: number;
  readonly checksum: number;
  /** ... and the record with which to begin for what follows. */
  readonly nextRecord: number;
  /** Records before it are deleted; the last one never is. */
  readonly oldestRecord: number;
}

export interface StoredHead extends Head {
  readonly revision: number;
}

/** All at one revision. */
export interface Cut {
  readonly revision: number;
  /** null: there is none. */
  readonly id: string | null;
  readonly leader: Leader | null;
  readonly head: StoredHead | null;
  /** The revision of the record before those asked for; null: it is not there. */
  readonly previousRevision: number | null;
  readonly records: Page;
}

export class StoredLog {
  readonly map: EtcdMap;
  readonly keys: Keys;

  constructor(map: EtcdMap, keys: Keys) {
    this.map = map;
    this.keys = keys;
  }

  /** The log's id; with `newId` it is made when there is none. null: there is none, and it was not to be made. */
  async identify(newId: string | null, signal: AbortSignal): Promise<string | null> {
    const { keys, map } = this;
    const look = [{ type: 'get', key: keys.format } as const];
    const any = { type: 'get', key: keys.all.key, end: keys.all.end, limit: 1, keysOnly: true } as const;
    const { found } = await map.look([...look, any], signal);
    const known = readFormat(found[0]?.items[0]);
    if (known !== null) return known;
    if (found[1]?.items.length) throw new CodedError('etcd_foreign', `${keys.all.key} has keys, but no format`);
    if (newId === null) return null;
    const value = Buffer.from(JSON.stringify({ version: FORMAT_VERSION, id: newId }));
    const put = { type: 'put', key: keys.format, value } as const;
    const made = await map.transact([{ key: keys.format, revision: 0 }], [put], look, signal);
    return made.succeeded ? newId : readFormat(made.found[0]?.items[0]);
  }

  /** With a first page of records from `nextRecord` on. */
  async cut(nextRecord: number, signal: AbortSignal): Promise<Cut> {
    const { keys, map } = this;
    const { key, end } = keys.recordsFrom(nextRecord);
    const { found, revision } = await map.look(
      [
        { type: 'get', key: keys.format },
        { type: 'get', key: keys.leader },
        { type: 'get', key: keys.head },
        { type: 'get', key: keys.record(nextRecord - 1), keysOnly: true },
        { type: 'get', key, end, limit: limits.etcdPageRecords },
      ],
      signal,
    );
    const [format, leader, head, previous, records] = found;
    return {
      revision,
      id: readFormat(format?.items[0]),
      leader: readLeader(leader?.items[0]),
      head: readHead(head?.items[0]),
      previousRevision: previous?.items[0]?.revision ?? null,
      records: must(records, 'a page of records'),
    };
  }

  async recordsAt(nextRecord: number, revision: number, signal: AbortSignal): Promise<Page> {
    return await this.map.read(this.keys.recordsFrom(nextRecord), limits.etcdPageRecords, revision, signal);
  }

  /** Of what wrote this record; null when it is not there. */
  async revisionOf(record: number, revision: number, signal: AbortSignal): Promise<number | null> {
    const page = await this.map.read(this.keys.recordsFrom(record), 1, revision, signal);
    const [item] = page.items;
    return item !== undefined && this.keys.recordNumber(item.key) === record ? item.revision : null;
  }

  async snapshotAt(head: Head, revision: number, signal: AbortSignal): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let piece = 0; piece < pieceCount(head.bytes); piece += 1) {
      const key = this.keys.piece(head.index, piece);
      const page = await this.map.read({ key, end: `${key}0` }, 1, revision, signal);
      pieces.push(page.items[0]?.value ?? Buffer.alloc(0));
    }
    const content = Buffer.concat(pieces);
    if (content.length !== head.bytes || crc32(content) !== head.checksum)
      throw new CodedError('etcd_damaged', `the snapshot at ${head.index} is not what was written`);
    return content;
  }
}

export function pieceCount(bytes: number): number {
  return Math.ceil(bytes / limits.snapshotPieceBytes);
}

function readFormat(item: KeyValue | undefined): string | null {
  if (item === undefined) return null;
  const { version, id } = parsed(item, formatSchema);
  if (version !== FORMAT_VERSION) throw new CodedError('etcd_foreign', `${item.key} is of version ${version}`);
  return id;
}

export function readLeader(item: KeyValue | null | undefined): Leader | null {
  if (item === null || item === undefined) return null;
  return { ...parsed(item, leaderSchema), term: item.revision, lease: item.lease };
}

export function readHead(item: KeyValue | undefined): StoredHead | null {
  return item === undefined ? null : { ...parsed(item, headSchema), revision: item.revision };
}

function parsed<T>({ key, value }: KeyValue, schema: z.ZodMiniType<T>): T {
  let content: unknown;
  try {
    content = JSON.parse(value.toString());
  } catch {
    content = undefined;
  }
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  throw new CodedError('etcd_foreign', `${key} has a value that is unknown`);
}
