/** Small durable documents of a node: identity, last desired state. Not for anything that changes when idle. */
import { assert } from '../core/base/assert.ts';
import { limits } from '../core/base/limits.ts';
import { CodedError } from '../core/model/errors.ts';

export interface Store {
  /** null when there is none. Rejects with a CodedError when it cannot be read. */
  read(name: string): Promise<Uint8Array | null>;
  /**
   * Atomic and durable: after it resolves a power cut leaves the new content, before it the old or the new.
   * Writes to one name take effect in the order of the calls. Rejects with a CodedError (disk full, read-only,
   * too large) and leaves the old content then.
   */
  write(name: string, content: Uint8Array): Promise<void>;
  /** Resolves also when there is none. */
  remove(name: string): Promise<void>;
}

/** Names are file names in one folder, on every file system: no separators, nothing hidden, no case. */
const DOCUMENT_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?$/;

export function assertDocumentName(name: string): void {
  assert(DOCUMENT_NAME.test(name), `not a name for a document: ${JSON.stringify(name)}`);
}

export function checkDocumentSize(name: string, bytes: number): void {
  if (bytes > limits.documentBytes)
    throw new CodedError('too_large', `${name} has ${bytes} bytes; a document may have ${limits.documentBytes}`);
}
