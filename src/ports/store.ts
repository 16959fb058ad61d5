/** Small durable documents of a node: identity, last desired state. Not for anything that changes when idle. */
export interface Store {
  /** null when there is none. Rejects with a CodedError when it cannot be read. */
  read(name: string): Promise<Uint8Array | null>;
  /** Atomic and durable: after it resolves a power cut leaves the new content, before it the old. */
  write(name: string, content: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
}
