/** A replica of an orchestrator that follows: its core applies what is committed, and takes snapshots. */
import { assert, must } from '../../src/core/base/assert.ts';
import { Orchestrator, type OrchestratorInput } from '../../src/core/orchestrator/orchestrator.ts';
import type { RaftLog } from '../../src/node/raft-log.ts';
import type { LogListener } from '../../src/ports/log.ts';
import { serveParent } from '../parts/serve-parent.ts';
import { orchestratorInit } from '../placement-site.ts';
import type { ReplicaConfig } from './group.ts';
import { startMember } from './member.ts';

/** With the core of an orchestrator. */
export function coreReplica(): void {
  serve((log) => coreOn(log));
}

/** The log alone. */
export function logReplica(): void {
  serve(() => ({ restored: () => undefined, committed: () => undefined, ready: () => undefined }));
}

type Reader = Pick<LogListener, 'restored' | 'committed' | 'ready'>;

function serve(readerOf: (log: RaftLog) => Reader): void {
  let log: RaftLog | null = null;
  serveParent({
    async start(config: ReplicaConfig) {
      log = (await startMember(config)).log;
      await log.open({
        ...readerOf(log),
        dropped: (_, reason) => assert(false, `a follower proposes nothing (${reason})`),
        failed: (error) => {
          throw error;
        },
      });
    },
    /** Whoever was elected first hands over to the replica that has clients. */
    handOver: (to: string) => must(log, 'a log').transferTo(to),
  });
}

function coreOn(log: RaftLog): Reader {
  const core = new Orchestrator(orchestratorInit('least-loaded'));
  const take = (input: OrchestratorInput): void => {
    for (const effect of core.step(Date.now(), input))
      if (effect.type === 'compact') void log.compact(new TextEncoder().encode(effect.snapshot), effect.index);
  };
  return {
    restored: (snapshot, index) => take({ type: 'snapshotRestored', snapshot: new TextDecoder().decode(snapshot), index }),
    ready: ({ term, leader }) => take({ type: 'logReady', leadership: { leads: false, term, leader } }),
    committed: (entries) => {
      for (const { index, data } of entries) take({ type: 'entryCommitted', index, data: new TextDecoder().decode(data) });
    },
  };
}
