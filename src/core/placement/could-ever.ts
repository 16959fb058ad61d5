/**
 * Whether waiting makes sense: judged by what machines have when nothing runs there, not by what is free.
 * It errs towards "perhaps" (a cluster tells the most that any of its nodes has resource by resource), so a
 * refusal is certain as far as the known machines go. Cordons, lost links and taken ports count for nothing:
 * they pass.
 */
import { ok, type Result, refused } from '../base/result.ts';
import { everExplainer, type Refusal } from './explain.ts';
import { type Candidate, demandOf, type Requirement } from './requirement.ts';

/** Refused when no candidate could ever take the requirement, with the reason for each; of no candidates, with none. */
export function couldEver(requirement: Requirement, candidates: readonly Candidate[]): Result<null, readonly Refusal[]> {
  const explain = everExplainer(demandOf(requirement));
  const refusals: Refusal[] = [];
  for (const candidate of candidates) {
    const refusal = explain(candidate);
    if (refusal === null) return ok(null);
    refusals.push(refusal);
  }
  return refused(refusals);
}
