/**
 * The life of an instance: edgeIO's job states (edgeIO, section 3.1.6, figure 3.5) and what a real system
 * needs besides. One table; an illegal step is a broken invariant and asserts.
 *
 * Two states name why a running copy is about to leave: MIGRATING while its successor starts elsewhere
 * (start new, then stop old), SCALING when the service needs fewer copies.
 */
import { assert } from '../base/assert.ts';

export const INSTANCE_STATES = [
  'REQUESTED', // wanted, no place yet; the reason says why
  'SCHEDULED_CLUSTER', // given to a cluster that has not chosen a node yet
  'SCHEDULED_NODE', // given to a node that has not begun
  'REFUSED', // the child will not take it; its parent tries the next choice
  'STARTING', // the node prepares and starts it
  'RUNNING',
  'FAILED', // it ended by itself; the node starts it again after a back-off
  'LOST', // its node or cluster cannot be reached: it may or may not run
  'MIGRATING', // runs, and its successor is on the way
  'SCALING', // runs, and goes because fewer copies are wanted
  'STOPPING', // told to stop
  'TERMINATED', // stopped for good
] as const;

export type InstanceState = (typeof INSTANCE_STATES)[number];

/** To REQUESTED leads from everywhere: a child's refusal takes effect when it is committed, and other news may come before. */
const NEXT: Readonly<Record<InstanceState, readonly InstanceState[]>> = {
  REQUESTED: ['SCHEDULED_CLUSTER', 'SCHEDULED_NODE', 'TERMINATED'],
  SCHEDULED_CLUSTER: [
    'SCHEDULED_NODE',
    'STARTING',
    'RUNNING',
    'FAILED',
    'REFUSED',
    'REQUESTED',
    'LOST',
    'MIGRATING',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  SCHEDULED_NODE: [
    'SCHEDULED_CLUSTER',
    'STARTING',
    'RUNNING',
    'FAILED',
    'REFUSED',
    'REQUESTED',
    'LOST',
    'MIGRATING',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  // A cluster that refused may find room before its parent has taken the instance back.
  REFUSED: [
    'REQUESTED',
    'SCHEDULED_CLUSTER',
    'SCHEDULED_NODE',
    'STARTING',
    'RUNNING',
    'FAILED',
    'LOST',
    'MIGRATING',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  STARTING: [
    'REQUESTED',
    'RUNNING',
    'FAILED',
    'REFUSED',
    'SCHEDULED_CLUSTER',
    'SCHEDULED_NODE',
    'LOST',
    'MIGRATING',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  RUNNING: [
    'REQUESTED',
    'FAILED',
    'STARTING',
    'REFUSED',
    'SCHEDULED_CLUSTER',
    'SCHEDULED_NODE',
    'LOST',
    'MIGRATING',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  FAILED: [
    'REQUESTED',
    'STARTING',
    'RUNNING',
    'REFUSED',
    'SCHEDULED_CLUSTER',
    'SCHEDULED_NODE',
    'LOST',
    'MIGRATING',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  LOST: [
    'REQUESTED',
    'SCHEDULED_CLUSTER',
    'SCHEDULED_NODE',
    'STARTING',
    'RUNNING',
    'FAILED',
    'REFUSED',
    'MIGRATING',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  MIGRATING: [
    'REQUESTED',
    'SCHEDULED_CLUSTER',
    'SCHEDULED_NODE',
    'STARTING',
    'RUNNING',
    'FAILED',
    'REFUSED',
    'LOST',
    'SCALING',
    'STOPPING',
    'TERMINATED',
  ],
  SCALING: ['LOST', 'STOPPING', 'TERMINATED'],
  STOPPING: ['LOST', 'TERMINATED'],
  TERMINATED: [],
};

/** Whether an instance seen in `from` may next be seen in `to`. Staying is always legal. */
export function canFollow(from: InstanceState, to: InstanceState): boolean {
  return from === to || NEXT[from].includes(to);
}

export function assertFollows(from: InstanceState, to: InstanceState, instance: string): void {
  assert(canFollow(from, to), `instance ${instance}: ${from} cannot become ${to}`);
}
