/** The simulation of groups with the frames that travel in earnest. */
import { decodeFrame, encodeFrame } from '../../src/adapters/peer/frames.ts';
import type { Leadership } from '../../src/core/model/replicas.ts';
import { type GroupResult, runGroupSeed } from '../../src/sim/group/group-run.ts';

export function runFramedGroup(seed: number, mode: Leadership): Promise<GroupResult> {
  return runGroupSeed(seed, mode, { encode: encodeFrame, decode: decodeFrame });
}
