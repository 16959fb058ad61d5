/** What a replica of the log starts from. */
import type { RestoredReplica } from '../core/raft/contract.ts';
import type { RaftStorage } from '../ports/raft-storage.ts';

export interface Restored {
  readonly restored: RestoredReplica;
  /** Of the snapshot, when there is one. */
  readonly content: Uint8Array | null;
}

/** Lets go of a storage whose snapshot cannot be read, as `load` does of one whose entries cannot. */
export async function restoreReplica(storage: RaftStorage): Promise<Restored> {
  const restored = await storage.load();
  try {
    return { restored, content: restored.snapshot === null ? null : await storage.readSnapshot() };
  } catch (error) {
    await storage.close();
    throw error;
  }
}
