/**
 * What the API needs of the node it runs on; src/node/orchestrator-node.ts provides it. Reads are answered
 * from memory, at once; writes resolve when they are committed.
 */
import type { Duplex, Readable } from 'node:stream';
import type { Result } from '../core/base/result.ts';
import type { ChainVerdict, DecisionRecord } from '../core/model/decisions.ts';
import type { ClientRequest, RequestOutcome, RequestRefusal } from '../core/model/requests.ts';
import type { TokenRole } from '../core/model/token.ts';
import type { Change, ChildView, EventView, InstanceView, ServiceView, StatusView, TokenView } from '../core/model/views.ts';
import type { LogQuery } from '../ports/runtime.ts';

export interface Backend {
  status(): StatusView;
  services(): readonly ServiceView[];
  service(name: string): ServiceView | null;
  instances(): readonly InstanceView[];
  instance(id: string): InstanceView | null;
  children(): readonly ChildView[];
  child(name: string): ChildView | null;
  tokens(): readonly TokenView[];
  /** Events after this sequence number that are still in memory, oldest first. */
  events(afterSequence: number): readonly EventView[];
  /** Records of placements that are kept: the newest, or those after a number; oldest first. */
  decisions(limit: number, after?: number): readonly DecisionRecord[];
  decision(number: number): DecisionRecord | null;
  verifyDecisions(): ChainVerdict;
  /** Called after each change until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void;
  /** A request retried with the same key within memory is applied once and answered as before. */
  submit(request: ClientRequest, idempotencyKey?: string): Promise<Result<RequestOutcome, RequestRefusal>>;
  /** What an instance wrote, wherever below it runs. Rejects with a CodedError. */
  instanceLogs(id: string, options: LogQuery): Promise<Readable>;
  /** A connection on which the child (a cluster) serves its own API; the child dialled it. Rejects with a CodedError. */
  dialChild(child: string): Promise<Duplex>;
  /** The role behind a bearer token. */
  authenticate(tokenText: string): Result<{ readonly role: TokenRole }, RequestRefusal>;
  /** Prometheus text format. */
  metrics(): Promise<string>;
}
