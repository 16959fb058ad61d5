/** A replica that keeps values under keys, the least that a log can be used for: as etcd, and by the same call. */
import { must } from '../../src/core/base/assert.ts';
import { limits } from '../../src/core/base/limits.ts';
import type { Leadership } from '../../src/core/model/leadership.ts';
import type { RaftLog } from '../../src/node/raft-log.ts';
import { decodePut, encodePut, type Put } from '../load/put.ts';
import { serveParent } from '../parts/serve-parent.ts';
import type { ReplicaConfig, ReplicaStatus } from './group.ts';
import { startMember } from './member.ts';
import { PutServer } from './put-server.ts';

export interface OwnAppends {
  readonly atOnce: number;
  readonly valueBytes: number;
  readonly durationMs: number;
}

export function storeReplica(): void {
  let store: Store | null = null;
  serveParent({
    async start(config: ReplicaConfig) {
      const { log } = await startMember(config);
      store = new Store(log);
      await store.open(config.putPort);
    },
    status: () => store?.status ?? null,
    append: (request: OwnAppends) => must(store, 'a store that has started').append(request),
  });
}

class Store {
  readonly #log: RaftLog;
  #values = new Map<string, Uint8Array>();
  readonly #answers = new Map<number, (isDone: boolean) => void>();
  #leadership: Leadership = { leads: false, term: 0, leader: null };
  #nextProposal = 0;
  #snapshotIndex = 0;

  constructor(log: RaftLog) {
    this.#log = log;
  }

  get status(): ReplicaStatus {
    const { leads, leader } = this.#leadership;
    const { isPaused = false, commit = 0, lastIndex = 0 } = this.#log.status ?? {};
    return { leads, leader, isPaused, commit, lastIndex };
  }

  async open(putPort: number): Promise<void> {
    await this.#log.open({
      restored: (snapshot, index) => {
        this.#values = new Map(
          (JSON.parse(Buffer.from(snapshot).toString()) as [string, string][]).map(([key, value]) => [
            key,
            Buffer.from(value, 'base64'),
          ]),
        );
        this.#snapshotIndex = index;
      },
      committed: (entries) => {
        for (const { data, proposal, index } of entries) {
          const put = decodePut(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
          if (put) this.#values.set(put.key, put.value);
          if (proposal !== undefined) this.#answer(proposal, true);
          if (index - this.#snapshotIndex >= limits.logEntriesPerSnapshot) this.#compact(index);
        }
      },
      ready: (leadership) => {
        this.#leadership = leadership;
      },
      dropped: (proposal) => this.#answer(proposal, false),
      failed: (error) => {
        throw error;
      },
    });
    const server = new PutServer((put, answer) => this.#put(put, answer));
    await server.listen(putPort);
  }

  /** Without a client in between: as many a second as this replica can have committed itself. */
  async append({ atOnce, valueBytes, durationMs }: OwnAppends): Promise<number> {
    const value = Buffer.alloc(valueBytes, 'x');
    const startMs = performance.now();
    let count = 0;
    const one = async (client: number): Promise<void> => {
      while (performance.now() - startMs < durationMs) {
        const isDone = await new Promise<boolean>((resolve) => this.#put({ key: `own/${client}`, value }, resolve));
        if (!isDone) throw new Error('the leadership was lost');
        count += 1;
      }
    };
    await Promise.all(Array.from({ length: atOnce }, (_, client) => one(client)));
    return (count * 1_000) / (performance.now() - startMs);
  }

  #put(put: Put, answer: (isDone: boolean) => void): void {
    // A client that is not told at once would wait for its own patience to end.
    if (!this.#leadership.leads) answer(false);
    else {
      const proposal = this.#nextProposal++;
      this.#answers.set(proposal, answer);
      this.#log.propose(proposal, encodePut(put));
    }
  }

  #answer(proposal: number, isDone: boolean): void {
    this.#answers.get(proposal)?.(isDone);
    this.#answers.delete(proposal);
  }

  #compact(index: number): void {
    this.#snapshotIndex = index;
    const content = [...this.#values].map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
    this.#log.compact(Buffer.from(JSON.stringify(content)), index).catch((error: unknown) => {
      process.stderr.write(`the snapshot could not be taken: ${String(error)}\n`);
    });
  }
}
