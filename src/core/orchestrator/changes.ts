/** What applying one log entry did, besides changing the state: who has to be looked at, told and informed. */
import type { Result } from '../base/result.ts';
import type { RequestOutcome, RequestRefusal } from '../model/requests.ts';
import type { EventView } from '../model/views.ts';

export type RequestAnswer = Result<RequestOutcome, RequestRefusal>;
export type NewEvent = Pick<EventView, 'level' | 'subject' | 'message'>;

export interface Applied {
  /** Of a request; null for everything else. */
  readonly answer: RequestAnswer | null;
  /** Services to reconcile. */
  readonly touched: ReadonlySet<string>;
  /** Instances that a view may show differently. */
  readonly touchedInstances: ReadonlySet<string>;
  /** Members whose desired state changed. */
  readonly told: ReadonlySet<string>;
  /** Members of which something else changed that a view or a summary shows. */
  readonly changedMembers: ReadonlySet<string>;
  /** Whether a child has room again that was given away, be it by a decision that holds no more. */
  readonly roomGrew: boolean;
  /** Instances and services that are no more. */
  readonly removedInstances: readonly string[];
  readonly removedServices: readonly string[];
  /** Whether it is another set of replicas, or one is elsewhere. */
  readonly groupChanged: boolean;
  readonly events: readonly NewEvent[];
}

export class Changes {
  answer: RequestAnswer | null = null;
  readonly touched = new Set<string>();
  readonly touchedInstances = new Set<string>();
  readonly told = new Set<string>();
  readonly changedMembers = new Set<string>();
  readonly removedInstances: string[] = [];
  readonly removedServices: string[] = [];
  roomGrew = false;
  groupChanged = false;
  readonly events: NewEvent[] = [];

  event(subject: string, message: string, level: 'info' | 'warning' = 'info'): void {
    this.events.push({ subject, message, level });
  }
}
