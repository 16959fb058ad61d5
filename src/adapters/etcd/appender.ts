/**
 * Appends records so that each is there once, or says that nobody can know: a transaction that holds only while this
 * replica leads, the record before is what it was, and the first record's number is free. Sent again it does nothing,
 * and its answer tells whose record is there. With the end of the reign whatever is still on its way to etcd can do
 * nothing any more.
 */
import { CodedError } from '../../core/model/errors.ts';
import type { ProposalFate } from '../../core/model/leadership.ts';
import type { Clock } from '../../ports/clock.ts';
import { isExpected, isRefusal } from './etcd-error.ts';
import type { Outcome } from './map.ts';
import { pause, retryPauseMs } from './pause.ts';
import { type Append, termOf } from './records.ts';
import type { Reign } from './reign.ts';
import { readHead, type StoredLog } from './stored-log.ts';

export type AppendOutcome =
  | { readonly type: 'appended'; readonly revision: number }
  | { readonly type: 'dropped'; readonly fate: ProposalFate; readonly reason: string };

export interface AppendComponents {
  readonly clock: Clock;
  readonly stored: StoredLog;
  readonly reign: Reign;
  /** No further try after the one that is under way. */
  readonly closing: AbortSignal;
}

/** `previousRevision`: of the record before; null when there has never been one. Throws `etcd_damaged` when that has changed. */
export async function append(
  { clock, stored, reign, closing }: AppendComponents,
  records: Append,
  previousRevision: number | null,
): Promise<AppendOutcome> {
  const { map, keys } = stored;
  const first = keys.record(records.firstRecord);
  const conditions = [
    { key: keys.leader, revision: reign.term },
    { key: first, revision: 0 },
    ...(previousRevision === null ? [] : [{ key: keys.record(records.firstRecord - 1), revision: previousRevision }]),
  ];
  const puts = records.records.map((value, at) => ({ type: 'put', key: keys.record(records.firstRecord + at), value }) as const);
  const look = [
    { type: 'get', key: keys.leader, keysOnly: true },
    { type: 'get', key: first },
    { type: 'get', key: keys.head },
  ] as const;
  for (let failures = 0; ; failures += 1) {
    let outcome: Outcome | null = null;
    try {
      outcome = await map.transact(conditions, puts, look, reign.expired);
    } catch (error) {
      if (!isExpected(error)) throw error;
      // This try did nothing; one before, whose answer was lost, may have.
      if (isRefusal(error) && failures === 0) return { type: 'dropped', fate: 'never', reason: error.message };
      if (isRefusal(error) || reign.expired.aborted || closing.aborted) {
        reign.end('an append has no answer');
        return { type: 'dropped', fate: 'unknown', reason: error.message };
      }
    }
    if (outcome?.succeeded) return { type: 'appended', revision: outcome.revision };
    if (outcome !== null) return judge(outcome, records.firstRecord, reign);
    await pause(clock, retryPauseMs(failures), AbortSignal.any([reign.over, closing]));
  }
}

/** Why the conditions did not hold, and what that says of the records. */
function judge({ found }: Outcome, firstRecord: number, reign: Reign): AppendOutcome {
  const [leader, record, head] = found.map(({ items }) => items[0]);
  if (record !== undefined && termOf(firstRecord, record.value) === reign.term)
    return { type: 'appended', revision: record.revision };
  // Nobody else writes in my term.
  if (leader?.revision === reign.term) throw new CodedError('etcd_damaged', `record ${firstRecord - 1} is no longer what it was`);
  const reason = 'another replica leads';
  reign.end(reason);
  const isCompacted = record === undefined && (readHead(head)?.oldestRecord ?? 0) > firstRecord;
  return { type: 'dropped', fate: isCompacted ? 'unknown' : 'never', reason };
}
