/**
 * Every queue, retry, message and file has a named maximum, here, with its reason.
 * Overload is a tested case: at the limit Tendril refuses with a clear error and loses nothing.
 */
export const limits = {
  /** A manifest that a person writes; inline scripts included. Larger artifacts are blobs, not manifests. */
  manifestBytes: 1024 * 1024,
  /** Resources in one manifest file. */
  manifestDocuments: 500,
  /** One API request's body. */
  requestBodyBytes: 1024 * 1024,
  /** How long a client may take to send a request: a body that never ends holds a socket no longer. */
  requestTimeoutMs: 30_000,
  /** An inline script in a service's spec. */
  scriptBytes: 256 * 1024,
  /** Copies of one service. */
  replicas: 1_000,
  /** Instances that one orchestrator keeps; a larger deployment adds clusters. */
  instances: 100_000,
  /** Services of one orchestrator. */
  services: 10_000,
  /** Children (nodes, clusters) of one orchestrator. */
  children: 10_000,
  /** Tokens of one orchestrator. */
  tokens: 1_000,
  labels: 64,
  labelValueLength: 253,
  envEntries: 256,
  envValueBytes: 32 * 1024,
  commandWords: 256,
  commandWordBytes: 32 * 1024,
  ports: 32,
  mounts: 32,
  /** One message on an uplink; desired state larger than this travels in several. */
  uplinkMessageBytes: 4 * 1024 * 1024,
  /** Assignments in one `desired` message. */
  desiredBatch: 500,
  /** Groups of like nodes that a summary tells apart, before detail is given up. */
  summaryGroups: 64,
  /** Free-capacity points of one group, before neighbours are rounded together. */
  summaryPoints: 64,
  /** Names of nodes that a summary lists, so that "exactly this node" needs no asking around. */
  summaryNodes: 512,
  /** Events kept in memory for `tendril events`. */
  events: 2_000,
  /** Outcomes remembered for requests that are retried after a lost answer. */
  rememberedRequests: 4_096,
  /** Entries in the log between snapshots. */
  logEntriesPerSnapshot: 4_096,
  /** stdout and stderr kept for an instance: this much, twice (the current file and the one before). */
  instanceLogBytes: 5 * 1024 * 1024,
  /** Watch and log streams open at once at one API. */
  openStreams: 256,
} as const;
