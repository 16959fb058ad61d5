/**
 * Every error that a person or a program can meet, in one table: code, HTTP status, message, hint.
 * `docs/errors.md` and the OpenAPI document are generated from it.
 */
const table = {
  // input
  invalid_request: {
    status: 400,
    message: 'The request is not valid',
    hint: 'Correct what is named and try again.',
  },
  invalid_manifest: {
    status: 400,
    message: 'The manifest is not valid',
    hint: 'See the details: each names file, line and field.',
  },
  no_context: {
    status: 400,
    message: 'No orchestrator is named',
    hint: 'Start one with `tendril up`, choose a context (tendril context list), or give --server and --token.',
  },
  invalid_config: {
    status: 400,
    message: 'The configuration file of the command line cannot be used',
    hint: 'Correct it, or name another with TENDRIL_CONFIG.',
  },
  unknown_kind: { status: 400, message: 'Unknown kind of resource', hint: 'Kinds are: Service.' },
  too_large: { status: 413, message: 'That is too large', hint: 'Split it up; the limits are listed in docs/limits.md.' },
  too_slow: { status: 408, message: 'The request took too long to arrive', hint: 'Send it within 30 seconds.' },
  slow_reader: {
    status: 503,
    message: 'The stream was read too slowly and has been cut off',
    hint: 'Open it again: a watch starts with the present state, events resume after the last id.',
  },
  // who are you
  unauthenticated: {
    status: 401,
    message: 'No valid token',
    hint: 'Use a context that `tendril up` wrote, or --token. New ones: tendril token create --role admin.',
  },
  forbidden: {
    status: 403,
    message: 'This token may not do that',
    hint: 'Ask for a token with a role that may: tendril token create --role admin.',
  },
  token_unknown: {
    status: 401,
    message: 'The token is not known here',
    hint: 'Check that it was made by this orchestrator and has not been revoked: tendril token list.',
  },
  token_expired: { status: 401, message: 'The token has expired', hint: 'Make a new one: tendril token create.' },
  token_used_up: {
    status: 401,
    message: 'The token has been used as often as it may be',
    hint: 'Make a new one: tendril token create --uses N.',
  },
  token_malformed: { status: 400, message: 'That is not a token', hint: 'A token looks like tdl1.<ca-sha256>.<id>.<secret>.' },
  wrong_ca: {
    status: 401,
    message: 'The orchestrator is not the one that made this token',
    hint: 'Its CA has another fingerprint than the token pins. Check the address; if it is right, make a new token.',
  },
  wrong_role: {
    status: 403,
    message: 'The token is for another role',
    hint: 'Workers join with a worker token, clusters with a cluster token, replicas with one for voters or learners.',
  },
  name_taken: {
    status: 409,
    message: 'The name is taken',
    hint: 'Choose another name with --name, or remove the old node first: tendril node remove NAME.',
  },
  clock_skew: {
    status: 400,
    message: 'The clocks of both machines are too far apart',
    hint: 'Set the clocks (NTP), then try again.',
  },
  not_a_member: {
    status: 403,
    message: 'This node is not a member any more',
    hint: 'It was removed. To join again, give it a new token: tendril up --join URL --token T.',
  },
  certificate_refused: {
    status: 401,
    message: 'The certificate is not valid here',
    hint: 'It has expired or another orchestrator issued it. Set the clock, or join again with a new token.',
  },
  // state
  not_found: { status: 404, message: 'There is no such thing', hint: 'List what there is: tendril get KIND.' },
  conflict: { status: 409, message: 'That conflicts with what is there', hint: 'Look at it first: tendril describe KIND NAME.' },
  limit_reached: { status: 409, message: 'A limit is reached', hint: 'The limits are listed in docs/limits.md.' },
  impossible: { status: 422, message: 'No machine could ever satisfy that', hint: 'See the details.' },
  unavailable: { status: 503, message: 'Not possible right now', hint: 'Try again; if it stays so: tendril doctor.' },
  not_leading: {
    status: 503,
    message: 'This replica does not lead now',
    hint: 'Turn to the leader: tendril get replicas. Whoever knows several replicas does so by itself.',
  },
  no_quorum: {
    status: 503,
    message: 'No quorum of the voters can be reached: nothing can be decided',
    hint: 'Instances keep running. Bring the voters back, or the etcd that the log is in; voters that are lost for good: tendril recover.',
  },
  unreachable: {
    status: 502,
    message: 'The other side cannot be reached',
    hint: 'Check the address and the network, then: tendril doctor.',
  },
  timed_out: {
    status: 504,
    message: 'It has not come about in time',
    hint: 'It may yet: look with tendril describe, or wait longer with --timeout.',
  },
  internal: {
    status: 500,
    message: 'Something is wrong in Tendril itself',
    hint: 'Please report it with the log lines around it.',
  },
  // this machine
  data_dir_locked: {
    status: 503,
    message: 'Another tendril uses this data directory',
    hint: 'Stop it, or use another directory: --data-dir.',
  },
  data_dir_newer: {
    status: 503,
    message: 'The data directory was written by a newer version',
    hint: 'Use that version or a later one.',
  },
  data_dir_read_only: {
    status: 503,
    message: 'The data directory cannot be written',
    hint: 'Check its owner and that the file system is not mounted read-only.',
  },
  data_dir_corrupt: {
    status: 503,
    message: 'The data directory is damaged',
    hint: 'Restore it from a backup; docs/operations.md says what can be saved.',
  },
  data_dir_foreign: {
    status: 503,
    message: 'That is not a data directory of Tendril',
    hint: 'Choose an empty directory or one that does not exist yet: --data-dir.',
  },
  etcd_refused: {
    status: 503,
    message: 'etcd refuses this orchestrator',
    hint: 'Check --log-user and --log-password-file, and that the role may read and write the keys of the log: docs/etcd.md.',
  },
  etcd_untrusted: {
    status: 503,
    message: 'There is no trusted connection to etcd',
    hint: 'Check etcd:// (without TLS) or etcds:// (with it), --log-ca, --log-cert, --log-key, and the names in its certificate.',
  },
  etcd_foreign: {
    status: 503,
    message: 'The keys in etcd are not a log that this version can read',
    hint: 'Use a later version, or another name at the end of --log: etcd://HOST:PORT/NAME.',
  },
  etcd_damaged: {
    status: 503,
    message: 'etcd no longer has what it acknowledged',
    hint: 'It was emptied, replaced or restored from an old backup; docs/etcd.md says what can be saved.',
  },
  disk_full: { status: 507, message: 'The disk is full', hint: 'Make room; nothing that was acknowledged is lost.' },
  port_in_use: { status: 503, message: 'The port is in use', hint: 'Stop what uses it, or choose another: --listen HOST:PORT.' },
  // running things
  command_not_found: {
    status: 422,
    message: 'The command does not exist on the node',
    hint: 'Check spec.command and that the program is installed there.',
  },
  image_not_found: {
    status: 422,
    message: 'The image does not exist',
    hint: 'Check spec.image, and that the node can reach the registry or has it loaded.',
  },
  runtime_missing: { status: 422, message: 'The node lacks the runtime', hint: 'tendril describe node NAME lists what it has.' },
  runtime_failed: { status: 503, message: 'The runtime refused', hint: 'See the reason and the log of the runtime on the node.' },
} as const satisfies Record<string, { status: number; message: string; hint: string }>;

export type ErrorCode = keyof typeof table;

export const ERRORS: Readonly<Record<ErrorCode, { readonly status: number; readonly message: string; readonly hint: string }>> =
  table;

/** One finding in what somebody wrote. */
export interface ErrorDetail {
  /** Path of the field, dotted: `spec.resources.cpu`; empty for the whole. */
  readonly field: string;
  readonly message: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

/** An I/O failure or a refusal, with its code; adapters throw it, the API and the CLI show it. */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: ErrorCode;
  readonly details: readonly ErrorDetail[];

  constructor(code: ErrorCode, what = '', details: readonly ErrorDetail[] = [], cause?: unknown) {
    super(what ? `${ERRORS[code].message}: ${what}` : ERRORS[code].message, { cause });
    this.code = code;
    this.details = details;
  }

  get hint(): string {
    return ERRORS[this.code].hint;
  }
}
