/** What a placement was decided on, small enough to be kept with each: the best few, and the others as counts. */
import { busyFraction } from '../capacity/load.ts';
import type { Rejection, SeenCandidate } from '../model/decisions.ts';
import { hasRoom, NO, nameAnswer, takenPort } from './filter.ts';
import type { Candidate, Demand } from './requirement.ts';

/** Why one that `fitOf` turned away was: the reason in one word, found at the filter's own cost. */
export function rejectionOf(demand: Demand, candidate: Candidate): Rejection {
  if (!candidate.connected) return 'not_connected';
  if (candidate.cordoned) return 'cordoned';
  if (demand.exclude.has(candidate.name)) return 'excluded';
  if (takenPort(demand, candidate) !== undefined) return 'host_port';
  if (nameAnswer(demand, candidate) === NO) return 'not_named';
  if (candidate.summary.groups.length === 0) return 'no_nodes';
  return candidate.summary.groups.some((group) => hasRoom(demand, group)) ? 'unsuitable' : 'resources';
}

export function seenCandidate(demand: Demand, { name, summary }: Candidate, score: number): SeenCandidate {
  const { cpuMilli, memoryBytes } = summary.free;
  return { name, score: short(score), load: short(busyFraction(summary, demand.need)), cpuMilli, memoryBytes };
}

/** Six digits tell any two apart that a person would; seventeen would double the record. */
function short(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
