/**
 * What runs work on a node. Adapters: process, python, container (docker). Conformance: test/conformance/runtime.ts.
 *
 * Promises every adapter keeps:
 *  R1. `start` is idempotent per id: an instance that already runs is adopted, never started twice.
 *  R2. Instances outlive this program. After a restart `list` finds those that still run and those that ended meanwhile.
 *  R3. `exited` comes once for every instance that was started or adopted and then ended by itself; never for one that `stop` ended.
 *  R4. `stop` asks, waits the grace, then forces, and resolves when nothing of the instance runs any more. Unknown ids resolve.
 *  R5. stdout and stderr are kept, bounded by limits.instanceLogBytes, also while this program is down.
 *  R6. Expected failures (no such command, no such image) reject with a CodedError; nothing half-started stays.
 */
import type { Assignment, Endpoint } from '../core/model/messages.ts';
import type { RuntimeName } from '../core/model/service.ts';

export interface Detection {
  readonly available: boolean;
  /** Version when available, else why not, for a person to read. */
  readonly detail: string;
}

export interface StartRequest {
  readonly assignment: Assignment;
  /** Host ports that the engine has chosen, by port name. */
  readonly hostPorts: Readonly<Record<string, number>>;
  /** Where the instance can be reached from outside: the node's address. */
  readonly address: string;
}

export interface FoundInstance {
  readonly id: string;
  readonly running: boolean;
  readonly exitCode: number | null;
  readonly endpoints: readonly Endpoint[];
}

export interface RuntimeExit {
  readonly exitCode: number | null;
  /** For a person: `exited with code 1`, `killed by SIGKILL (out of memory)`. */
  readonly reason: string;
}

export interface LogQuery {
  readonly follow: boolean;
  /** Only the last so many lines; all that is kept when undefined. */
  readonly tailLines?: number | undefined;
  readonly signal: AbortSignal;
}

export interface RuntimeListener {
  exited(id: string, exit: RuntimeExit): void;
}

export interface Runtime {
  readonly name: RuntimeName;
  detect(): Promise<Detection>;
  /** Once, before anything else; exits are told to `listener`. */
  open(listener: RuntimeListener): Promise<void>;
  /** Instances of this node (and of no other on the same machine) that this runtime has a trace of; running ones are adopted. */
  list(): Promise<readonly FoundInstance[]>;
  /** Resolves when it runs. */
  start(request: StartRequest): Promise<readonly Endpoint[]>;
  stop(id: string, graceMs: number): Promise<void>;
  /** Ends what still runs and forgets files, containers and logs of the instance. */
  remove(id: string): Promise<void>;
  /** Kept output, oldest first, as bytes with line ends; with `follow` until the instance is removed or `signal` aborts. */
  logs(id: string, query: LogQuery): AsyncIterable<Uint8Array>;
  /** Lets go of everything without stopping any instance. */
  close(): Promise<void>;
}
