import type { Assignment } from '../../core/model/messages.ts';
import type { RuntimeName } from '../../core/model/service.ts';
import type { Detection } from '../../ports/runtime.ts';

/** What is to be executed, all checked to be there. */
export interface Launch {
  /** Absolute. */
  readonly executable: string;
  readonly args: readonly string[];
  /** Absolute. */
  readonly workingDir: string;
}

/** Where an instance may leave things; all of it goes with the instance. */
export interface InstanceFolders {
  readonly own: string;
  /** Where it runs when its spec names no other place. */
  readonly work: string;
}

/** What tells the native runtimes apart: how an assignment becomes a program to execute. */
export interface Launcher {
  readonly name: RuntimeName;
  detect(): Promise<Detection>;
  /** Rejects with a CodedError when it cannot be executed here. */
  prepare(assignment: Assignment, folders: InstanceFolders): Promise<Launch>;
}
