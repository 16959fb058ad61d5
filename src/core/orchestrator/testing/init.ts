/** An orchestrator for tests of the core: as all of them want it, but for what one says otherwise. */
import { sha256 } from '../../../node/sha256.ts';
import { Prng } from '../../base/prng.ts';
import type { OrchestratorInit } from '../orchestrator.ts';

export function testInit(changes: Partial<OrchestratorInit> = {}): OrchestratorInit {
  return {
    name: 'edge',
    epoch: 'e',
    software: 'test',
    random: new Prng(1),
    policy: 'spread',
    heartbeatMs: 1_000,
    entriesPerSnapshot: 4_096,
    hash: sha256,
    ...changes,
  };
}
