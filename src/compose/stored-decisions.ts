/**
 * Reads the decision records of an orchestrator that does not run, from its data directory or a copy of it: the
 * log is replayed into the state as at a start. LevelDB writes when it opens, so what it opens is a copy that is
 * thrown away; the directory itself is only read.
 */
import { cp, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelLog } from '../adapters/level/log.ts';
import type { StoredDecisions } from '../cli/shell.ts';
import { CodedError } from '../core/model/errors.ts';
import { apply } from '../core/orchestrator/apply.ts';
import { decodeCommand } from '../core/orchestrator/commands.ts';
import { OrchestratorState } from '../core/orchestrator/state.ts';
import { sha256 } from '../node/sha256.ts';
import type { Log } from '../ports/log.ts';

/** Throws `data_dir_foreign`, `data_dir_corrupt`. */
export async function readStoredDecisions(directory: string): Promise<StoredDecisions> {
  const source = join(directory, 'log');
  const found = await stat(source).catch(() => null);
  if (!found?.isDirectory()) throw new CodedError('data_dir_foreign', `${directory} has no log of an orchestrator`);
  const scratch = await mkdtemp(join(tmpdir(), 'tendril-decisions-'));
  try {
    const copy = join(scratch, 'log');
    await cp(source, copy, { recursive: true });
    const state = await replay(new LevelLog(copy));
    return {
      list: (limit, after) => state.decisions.list(limit, after),
      record: (number) => state.decisions.record(number) ?? null,
      verify: () => state.decisions.verify(state.epoch),
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Up to the last entry that is durable; nothing is proposed. */
async function replay(log: Log): Promise<OrchestratorState> {
  let state = new OrchestratorState(sha256);
  const decoder = new TextDecoder();
  try {
    await log.open({
      restored: (snapshot) => {
        state = OrchestratorState.fromJSON(JSON.parse(decoder.decode(snapshot)), sha256);
      },
      committed: (entries) => {
        for (const { data } of entries) apply(state, decodeCommand(decoder.decode(data)));
      },
      ready: () => {},
      dropped: () => {},
      failed: (error) => {
        throw error;
      },
    });
  } finally {
    await log.close();
  }
  return state;
}
