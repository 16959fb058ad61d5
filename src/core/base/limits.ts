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
  /** Replicas of one orchestrator ... */
  orchestratorReplicas: 32,
  /** ... and those of them that vote: more cost every commit, and no longer make anything safer in practice. */
  orchestratorVoters: 7,
  /** Tokens of one orchestrator. */
  tokens: 1_000,
  /** Labels of one service or node. */
  labels: 64,
  /** Characters of a label's value: a DNS name fits. */
  labelValueLength: 253,
  /** Environment entries of one service ... */
  envEntries: 256,
  /** ... and the length of one value. */
  envValueBytes: 32 * 1024,
  /** Words of a command ... */
  commandWords: 256,
  /** ... and the length of one. */
  commandWordBytes: 32 * 1024,
  /** Ports of one service. */
  ports: 32,
  /** Mounts of one service. */
  mounts: 32,
  /** One message on an uplink; desired state larger than this travels in several. A hello is one: a cluster can have some 15,000 of its parent's instances. */
  uplinkMessageBytes: 4 * 1024 * 1024,
  /** Bytes waiting for a child, parent or watcher that does not read; at twice the largest message its link is cut. */
  uplinkOutgoingBytes: 8 * 1024 * 1024,
  /** Addresses of one orchestrator's replicas that its children and users keep: as many as a group has. */
  orchestratorAddresses: 32,
  /** Characters of such an address: the longest host name and a port, twice. */
  addressLength: 512,
  /** Connections of one certificate that only watch, beside the node's own. */
  uplinkWatchers: 8,
  /** Assignments in one `desired` message. */
  desiredBatch: 500,
  /** ... and the characters of their JSON, when there is more than one: in UTF-8 they are at most three times as many bytes. */
  desiredBatchLength: 1024 * 1024,
  /** Groups of like nodes that a summary tells apart, before detail is given up. */
  summaryGroups: 64,
  /** Free-capacity points of one group, before neighbours are rounded together. */
  summaryPoints: 64,
  /** Characters of the reason that is told of an instance: an engine's words may go on for pages. */
  reasonLength: 1024,
  /** Characters of the path to the node that runs an instance: four levels of names. */
  nodePathLength: 255,
  /** Names of nodes that a summary lists, so that "exactly this node" needs no asking around. */
  summaryNodes: 512,
  /** Events kept in memory for `tendril events`. */
  events: 2_000,
  /** Decision records kept by every replica: hours of an ordinary cluster, and about a megabyte of its snapshot. */
  decisionRecords: 2_048,
  /** Candidates that a decision record lists: the chosen one and who came next; the others are counted. */
  decisionCandidates: 3,
  /**
   * Steps decided in one round, after which everything else has its turn before the rest is decided (docs/adr/0014): some
   * ten milliseconds (bench/commit.ts), and well within `logEntryBytes` with all that was seen.
   */
  decisionsPerRound: 256,
  /** Different demands for which the candidates are kept in order; each holds an item for every child. */
  placementRankings: 16,
  /** Outcomes remembered for requests that are retried after a lost answer. */
  rememberedRequests: 4_096,
  /** Entries in the log between snapshots. */
  logEntriesPerSnapshot: 4_096,
  /** ... or this much of them, when the last snapshot was not larger: all of it is in every replica's memory. */
  logBytesPerSnapshot: 8 * 1024 * 1024,
  /** One entry: the largest request body as a command, with room for what the orchestrator adds to it. */
  logEntryBytes: 4 * 1024 * 1024,
  /** Entries made durable by one sync: past some hundreds a larger group gains nothing (bench/log-append.ts). */
  logBatchEntries: 512,
  /** ... and their bytes: what a group holds in memory a second time while it is written. */
  logBatchBytes: 4 * 1024 * 1024,
  /** Proposals waiting for the disk; more are dropped with a reason, and their requests answered `unavailable`. */
  logQueueEntries: 16_384,
  /** ... and their bytes. */
  logQueueBytes: 32 * 1024 * 1024,
  /** Messages with entries on the way to one follower, so that a long link is full ... */
  raftMessagesInFlight: 64,
  /** ... and their bytes: what a follower that stops reading can cost a leader. */
  raftBytesInFlight: 16 * 1024 * 1024,
  /** Entries kept behind a snapshot, so that a replica that was away for a moment needs no snapshot. */
  logTailEntries: 1_024,
  /** ... and their bytes: every replica holds them in memory. */
  logTailBytes: 4 * 1024 * 1024,
  /** A log as long as what lies between so many snapshots is cut short, also when a replica that is catching up needs it. */
  raftSnapshotsHeld: 4,
  /** Reads that wait for a quorum's word at once. */
  raftReads: 4_096,
  /** One frame between replicas: a full batch of entries, or a piece of a snapshot, with room for what surrounds it. */
  peerFrameBytes: 4 * 1024 * 1024 + 64 * 1024,
  /** Bytes waiting for a replica that does not read: all that Raft has on the way, and the batch that went past it. More is dropped. */
  peerOutgoingBytes: 24 * 1024 * 1024,
  /** What a replica tells of its children along with its vote: a hundred nodes of some labels, with what they run. */
  peerAttachmentBytes: 256 * 1024,
  /** A membership as it travels: all replicas with names and addresses at their longest. */
  peerMembershipBytes: 32 * 1024,
  /** Members of an etcd that are tried in turn; etcd advises against more than seven. */
  etcdEndpoints: 9,
  /** How long an etcd may take to answer before the next member is asked: within a lease there is time for three. */
  etcdRequestTimeoutMs: 3_000,
  /** Leadership on etcd outlives its leader by so much at most; it is renewed three times as often. */
  etcdLeaseSeconds: 10,
  /** How long an etcd may be away when an orchestrator starts: after a power cut both come up at once. */
  etcdOpenMs: 30_000,
  /** Pauses between tries while etcd is away: from this ... */
  etcdRetryMinMs: 50,
  /** ... up to this. */
  etcdRetryMaxMs: 2_000,
  /** One value of the log in etcd: small enough that a page of them can be read whole. */
  etcdRecordBytes: 256 * 1024,
  /** Records kept behind a snapshot beside `logTailEntries`: etcd's room is small. */
  etcdTailBytes: 8 * 1024 * 1024,
  /** What one append carries: etcd refuses requests over 1.5 MiB unless it is told otherwise. */
  etcdTransactionBytes: 1024 * 1024,
  /** Records in one read: at their largest 8 MiB, which travel as 11 MiB of text, within `responseBodyBytes`. */
  etcdPageRecords: 32,
  /** Snapshots are written in pieces of this size, so that proposals do not wait for a whole one. */
  snapshotPieceBytes: 1024 * 1024,
  /** One document of a node's store: its desired state, hundreds of assignments with inline scripts. */
  documentBytes: 64 * 1024 * 1024,
  /** stdout and stderr kept for an instance: this much, twice (the current file and the one before). */
  instanceLogBytes: 5 * 1024 * 1024,
  /** Connections to the container engine for short requests; it does little more at a time on a small box. */
  engineConnections: 8,
  /** A container engine under load may take long, over an SD card; one that is silent for longer hangs. */
  engineReplyTimeoutMs: 120_000,
  /** A pull whose registry or disk makes no progress for this long has failed. */
  imagePullIdleMs: 300_000,
  /** Pauses between tries to reach a container engine that went away with instances running: from this ... */
  engineRetryMinMs: 100,
  /** ... up to this. */
  engineRetryMaxMs: 5_000,
  /** A certificate, key or certificate request as text: ten times what an ordinary one takes, room for many names. */
  pemBytes: 16 * 1024,
  /** Names and addresses in an orchestrator's certificate; a host with more interfaces is reached by some of them. */
  certificateNames: 128,
  /** An answer that a client reads whole; longer ones are streams. */
  responseBodyBytes: 16 * 1024 * 1024,
  /** TCP accepted, TLS not finished: longer than any honest handshake over a satellite link with losses. */
  handshakeTimeoutMs: 10_000,
  /** Connections that have shown no valid certificate, all together ... */
  strangers: 2_048,
  /** ... and from one address: a site behind one NAT, reconnecting. */
  strangersPerAddress: 256,
  /** Leadership on demand: so often at once can those who are not known yet (they may want to join) wake a paused group ... */
  strangerWakes: 5,
  /** ... and once more each such while; other requests of theirs are refused then. */
  strangerWakeEachMs: 10_000,
  /** Open connections at the TLS port: every child has an uplink and a stream or two. */
  connections: 32_768,
  /** Watch and log streams open at once at one API. */
  openStreams: 256,
  /** A reader of a watch that falls behind: changes of different things kept for it, the last of each. */
  watchBacklog: 10_000,
  /** How often a quiet stream says that it lives; twice unread, and its reader is cut off. */
  streamHeartbeatMs: 15_000,
  /** How long an answer may wait to be read before its connection is ended: refusals of large bodies, last words to slow readers. */
  lingerMs: 5_000,
  /** How long a cluster may take to answer a question that was asked of its parent. */
  childAnswerMs: 3_000,
  /** Findings about one input: whoever has made more mistakes fixes these first. */
  errorDetails: 50,
} as const;
