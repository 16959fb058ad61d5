/** etcd as a map: what the log asks of it, in its own terms instead of JSON and base64. */
import * as z from 'zod/mini';
import { unreachable } from '../../core/base/assert.ts';
import { EtcdError } from './etcd-error.ts';
import type { EtcdGateway } from './gateway.ts';
import type { KeyRange } from './keys.ts';

export interface KeyValue {
  readonly key: string;
  readonly value: Buffer;
  /** The revision that wrote it last. */
  readonly revision: number;
  readonly lease: string;
}

export interface Condition {
  readonly key: string;
  /** That wrote it last; 0: it is not there. */
  readonly revision: number;
}

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array; readonly lease?: string }
  | { readonly type: 'get'; readonly key: string; readonly end?: string; readonly limit?: number; readonly keysOnly?: boolean }
  | { readonly type: 'delete'; readonly key: string; readonly end?: string };

export interface Outcome {
  readonly succeeded: boolean;
  /** Of the whole map, when this was carried out. */
  readonly revision: number;
  /** What each operation found, in their order; nothing of puts and deletes. */
  readonly found: readonly Page[];
}

export interface Page {
  readonly items: readonly KeyValue[];
  readonly hasMore: boolean;
}

export interface Change {
  readonly key: string;
  /** null: it was deleted. */
  readonly item: KeyValue | null;
  readonly revision: number;
}

/** 64-bit numbers travel as text. */
const int64Schema = z.pipe(z._default(z.string(), '0'), z.transform(Number));
const bytesSchema = z.pipe(
  z._default(z.string(), ''),
  z.transform((text) => Buffer.from(text, 'base64')),
);
const keySchema = z.pipe(
  z._default(z.string(), ''),
  z.transform((text) => Buffer.from(text, 'base64').toString()),
);
const headerSchema = z.object({ revision: int64Schema });
const itemSchema = z.object({
  key: keySchema,
  value: bytesSchema,
  mod_revision: int64Schema,
  lease: z._default(z.string(), '0'),
});
const pageSchema = z.object({ kvs: z._default(z.array(itemSchema), []), more: z._default(z.boolean(), false) });
const transactionSchema = z.object({
  header: headerSchema,
  succeeded: z._default(z.boolean(), false),
  responses: z._default(z.array(z.object({ response_range: z.optional(pageSchema) })), []),
});
const rangeSchema = z.extend(pageSchema, { header: headerSchema });
const grantSchema = z.object({ ID: z.string(), TTL: int64Schema });
const keepAliveSchema = z.object({ result: z.object({ TTL: int64Schema }) });
const watchSchema = z.object({
  result: z.object({
    header: headerSchema,
    canceled: z._default(z.boolean(), false),
    compact_revision: int64Schema,
    cancel_reason: z._default(z.string(), ''),
    events: z._default(z.array(z.object({ type: z._default(z.string(), 'PUT'), kv: itemSchema })), []),
  }),
});

export class EtcdMap {
  readonly #gateway: EtcdGateway;

  constructor(gateway: EtcdGateway) {
    this.#gateway = gateway;
  }

  /** All `operations` if all conditions hold, else all of `otherwise`, at one revision. */
  async transact(
    conditions: readonly Condition[],
    operations: readonly Operation[],
    otherwise: readonly Operation[],
    signal?: AbortSignal,
  ): Promise<Outcome> {
    const body = {
      compare: conditions.map(({ key, revision }) => ({
        key: base64(key),
        target: 'MOD',
        result: 'EQUAL',
        mod_revision: String(revision),
      })),
      success: operations.map(operationBody),
      failure: otherwise.map(operationBody),
    };
    const answer = await this.#gateway.call('/v3/kv/txn', body, transactionSchema, signal);
    return {
      succeeded: answer.succeeded,
      revision: answer.header.revision,
      found: answer.responses.map(({ response_range }) => pageOf(response_range)),
    };
  }

  /** Several looks at one revision. */
  async look(gets: readonly (Operation & { readonly type: 'get' })[], signal?: AbortSignal): Promise<Outcome> {
    return await this.transact([], gets, [], signal);
  }

  /** As it was at `revision`. */
  async read(range: KeyRange, limit: number, revision: number, signal?: AbortSignal): Promise<Page> {
    const body = { key: base64(range.key), range_end: base64(range.end), limit: String(limit), revision: String(revision) };
    return pageOf(await this.#gateway.call('/v3/kv/range', body, rangeSchema, signal));
  }

  async grantLease(seconds: number, signal?: AbortSignal): Promise<{ readonly id: string; readonly seconds: number }> {
    const { ID, TTL } = await this.#gateway.call('/v3/lease/grant', { TTL: String(seconds) }, grantSchema, signal);
    return { id: ID, seconds: TTL };
  }

  /** For how many seconds more; 0: it is over. */
  async renewLease(id: string, signal?: AbortSignal): Promise<number> {
    const { result } = await this.#gateway.call('/v3/lease/keepalive', { ID: id }, keepAliveSchema, signal);
    return result.TTL;
  }

  async revokeLease(id: string, signal?: AbortSignal): Promise<void> {
    await this.#gateway.call('/v3/lease/revoke', { ID: id }, z.object({}), signal);
  }

  /**
   * Every change from that revision on, in order, until `signal` ends it. Throws `EtcdError`, `compacted` when the
   * history no longer goes back that far.
   */
  async watch(
    range: KeyRange | { readonly key: string },
    fromRevision: number,
    signal: AbortSignal,
    changed: (changes: readonly Change[]) => void,
  ): Promise<void> {
    const create = {
      key: base64(range.key),
      ...('end' in range ? { range_end: base64(range.end) } : {}),
      start_revision: String(fromRevision),
      // Of many changes at once; without it an answer has no bound.
      fragment: true,
    };
    await this.#gateway.stream('/v3/watch', { create_request: create }, watchSchema, signal, ({ result }) => {
      if (result.compact_revision > 0) throw new EtcdError('compacted', `what was before ${result.compact_revision} is gone`);
      if (result.canceled) throw new EtcdError('away', `the watch was cancelled: ${result.cancel_reason}`);
      if (result.events.length === 0) return;
      changed(
        result.events.map(({ type, kv }) => ({
          key: kv.key,
          item: type === 'DELETE' ? null : itemOf(kv),
          revision: kv.mod_revision,
        })),
      );
    });
  }
}

function operationBody(operation: Operation): object {
  const { key } = operation;
  switch (operation.type) {
    case 'put': {
      const { value, lease } = operation;
      return { request_put: { key: base64(key), value: base64(value), ...(lease === undefined ? {} : { lease }) } };
    }
    case 'get':
      return {
        request_range: {
          key: base64(key),
          ...(operation.end === undefined ? {} : { range_end: base64(operation.end) }),
          ...(operation.limit === undefined ? {} : { limit: String(operation.limit) }),
          keys_only: operation.keysOnly ?? false,
        },
      };
    case 'delete':
      return {
        request_delete_range: { key: base64(key), ...(operation.end === undefined ? {} : { range_end: base64(operation.end) }) },
      };
    default:
      return unreachable(operation);
  }
}

function pageOf(page: z.output<typeof pageSchema> | undefined): Page {
  return page === undefined ? { items: [], hasMore: false } : { items: page.kvs.map(itemOf), hasMore: page.more };
}

function itemOf({ key, value, mod_revision, lease }: z.output<typeof itemSchema>): KeyValue {
  return { key, value, revision: mod_revision, lease };
}

function base64(content: string | Uint8Array): string {
  return (typeof content === 'string' ? Buffer.from(content) : asBuffer(content)).toString('base64');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
