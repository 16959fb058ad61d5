/** Who decides among an orchestrator's replicas. */

/** Per term one replica leads at most; terms only grow. */
export interface Leadership {
  /** Whether this replica may decide and propose; what another one proposes is dropped. */
  readonly leads: boolean;
  readonly term: number;
  /** Name of the replica that leads, as far as this one knows. */
  readonly leader: string | null;
  /** On demand: names of the replicas whose votes it came to lead by. */
  readonly votes?: readonly string[];
  /** On demand: the group has nothing to decide; name of the replica that led it last, this one or another. */
  readonly pausedUnder?: string | null;
}

/** Of the only replica there is. */
export const ALONE: Leadership = { leads: true, term: 1, leader: null };

/** Of a proposal that is not answered by its entry: whether it will never be delivered, or nobody here can know. */
export type ProposalFate = 'never' | 'unknown';

/** Of an answer by a replica that does not lead: the URL of the one that does, where it is known. */
export const LEADER_HEADER = 'tendril-leader';

/** Of a request that a replica has forwarded: the names of those that did. Its connection shows their certificate, not the sender's. */
export const FORWARDED_HEADER = 'tendril-forwarded-by';

/** Of an answer to a user: the URLs of all replicas, apart by blanks. */
export const REPLICAS_HEADER = 'tendril-replicas';
