/** The simulation of replicated logs with the frames that travel in earnest. */
import { decodeFrame, encodeFrame } from '../../src/adapters/peer/frames.ts';
import { type RaftRunResult, runRaftSeed } from '../../src/sim/raft/raft-run.ts';

export function runFramed(seed: number): Promise<RaftRunResult> {
  return runRaftSeed(seed, { encode: encodeFrame, decode: decodeFrame });
}
