/** What the values of records.ts hold: an entry its kind (1 byte), its term (6 bytes) and its data, the others JSON. */
import * as z from 'zod/mini';
import { REPLICA_ROLES } from '../../core/model/replicas.ts';
import type { HardState } from '../../core/raft/contract.ts';
import type { RaftEntry, SnapshotHead } from '../../core/raft/messages.ts';
import { corrupt, type LogDatabase } from './load.ts';
import { entryKey, HARD_KEY, indexInEntryKey, SNAPSHOT_KEY, seal, unseal } from './records.ts';

const KINDS = ['data', 'membership', 'blank'] as const;
const HEADER_BYTES = 7;

const replica = z.strictObject({ id: z.string(), name: z.string(), url: z.string(), role: z.enum(REPLICA_ROLES) });
const snapshotSchema = z.strictObject({
  index: z.int().check(z.minimum(1)),
  term: z.int().check(z.minimum(0)),
  membership: z.array(replica),
  bytes: z.int().check(z.minimum(0)),
  /** Number of its pieces' keys. */
  slot: z.int().check(z.minimum(1)),
  /** The first entry that is kept; at most `index + 1`. */
  firstIndex: z.int().check(z.minimum(1)),
});
export type RaftSnapshotRecord =
  | Readonly<z.output<typeof snapshotSchema>>
  | (SnapshotHead & { slot: number; firstIndex: number });

const hardSchema = z.strictObject({
  term: z.int().check(z.minimum(0)),
  votedFor: z.nullable(z.string()),
  /** Older versions did not write it. */
  commit: z._default(z.int().check(z.minimum(0)), 0),
});

export function sealEntry(key: Buffer, { kind, term, data }: RaftEntry): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header[0] = KINDS.indexOf(kind);
  header.writeUIntBE(term, 1, HEADER_BYTES - 1);
  return seal(key, header, data);
}

/** What is kept under `key`, where the entry `index` has to be. */
export function decodeEntry(index: number, key: Buffer, value: Buffer | undefined): RaftEntry {
  if (value === undefined) throw corrupt(`entry ${index} is missing`);
  if (!key.equals(entryKey(index))) throw corrupt(`entry ${index} is missing; the next one there is ${indexInEntryKey(key)}`);
  const content = unseal(key, value);
  const kind = KINDS[content?.[0] ?? KINDS.length];
  if (!content || content.length < HEADER_BYTES || !kind) throw corrupt(`entry ${index} does not match its checksum`);
  return { index, term: content.readUIntBE(1, HEADER_BYTES - 1), kind, data: content.subarray(HEADER_BYTES) };
}

async function readJson<T>(database: LogDatabase, key: Buffer, what: string, schema: z.ZodMiniType<T>): Promise<T | null> {
  const value = await database.get(key);
  if (value === undefined) return null;
  const content = unseal(key, value);
  if (!content) throw corrupt(`the record of its ${what} does not match its checksum`);
  const record = schema.safeParse(JSON.parse(content.toString()));
  if (!record.success) throw corrupt(`the record of its ${what} cannot be read`);
  return record.data;
}

export async function readHard(database: LogDatabase): Promise<HardState> {
  return (await readJson(database, HARD_KEY, 'term', hardSchema)) ?? { term: 0, votedFor: null, commit: 0 };
}

export function readRaftSnapshot(database: LogDatabase): Promise<RaftSnapshotRecord | null> {
  return readJson(database, SNAPSHOT_KEY, 'snapshot', snapshotSchema);
}

export function headOf({ index, term, membership, bytes }: RaftSnapshotRecord): SnapshotHead {
  return { index, term, membership, bytes };
}
