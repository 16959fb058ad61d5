/**
 * Reads the decision records of an orchestrator that does not run, from its data directory or a copy of it: the
 * log is replayed into the state as at a start. LevelDB writes when it opens, so what it opens is a copy that is
 * thrown away; the directory itself is only read.
 */
import { cp, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelRaftStorage } from '../adapters/level/raft-storage.ts';
import type { StoredDecisions } from '../cli/shell.ts';
import { CodedError } from '../core/model/errors.ts';
import { apply } from '../core/orchestrator/apply.ts';
import { decodeCommand } from '../core/orchestrator/commands.ts';
import { OrchestratorState } from '../core/orchestrator/state.ts';
import { restoreReplica } from '../node/restore-replica.ts';
import { sha256 } from '../node/sha256.ts';
import type { RaftStorage } from '../ports/raft-storage.ts';

/** Throws `data_dir_foreign`, `data_dir_corrupt`. */
export async function readStoredDecisions(directory: string): Promise<StoredDecisions> {
  const source = join(directory, 'log');
  const found = await stat(source).catch(() => null);
  if (!found?.isDirectory()) throw new CodedError('data_dir_foreign', `${directory} has no log of an orchestrator`);
  const scratch = await mkdtemp(join(tmpdir(), 'tendril-decisions-'));
  try {
    const copy = join(scratch, 'log');
    await cp(source, copy, { recursive: true });
    const state = await replay(new LevelRaftStorage(copy));
    return {
      list: (limit, after) => state.decisions.list(limit, after),
      record: (number) => state.decisions.record(number) ?? null,
      verify: () => state.decisions.verify(state.firstEpoch),
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Up to the last entry that is durable here; nothing is proposed. A replica that did not lead may have entries at its
 * end that no quorum has yet, or never will have.
 */
async function replay(storage: RaftStorage): Promise<OrchestratorState> {
  const decoder = new TextDecoder();
  try {
    const { restored, content } = await restoreReplica(storage);
    const state =
      content === null ? new OrchestratorState(sha256) : OrchestratorState.fromJSON(JSON.parse(decoder.decode(content)), sha256);
    for (const { index, kind, data } of restored.entries)
      if (kind === 'data' && index > (restored.snapshot?.index ?? 0)) apply(state, decodeCommand(decoder.decode(data)));
    return state;
  } finally {
    await storage.close();
  }
}
