/** What the program's exit code says, for scripts: one table, shown by `tendril --help` and docs/cli.md. */
import type { ErrorCode } from '../core/model/errors.ts';

export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done' },
  failed: {
    code: 1,
    meaning: 'failed; for diff: there are differences; for doctor: a check failed; for decisions verify: a record was changed',
  },
  usage: { code: 2, meaning: 'the command, a flag or a manifest is not valid' },
  notFound: { code: 3, meaning: 'there is no such service, instance, node, cluster or token' },
  refused: { code: 4, meaning: 'understood and refused: token, role, conflict, limit, impossible requirement' },
  unreachable: { code: 5, meaning: 'the orchestrator, or what it needs, cannot be reached now' },
  timedOut: { code: 6, meaning: 'waited as long as --timeout says' },
  interrupted: { code: 130, meaning: 'ended by Ctrl-C' },
} as const satisfies Record<string, { code: number; meaning: string }>;

export type ExitName = keyof typeof EXIT_CODES;

const BY_ERROR: Partial<Record<ErrorCode, ExitName>> = {
  invalid_request: 'usage',
  invalid_manifest: 'usage',
  invalid_config: 'usage',
  no_context: 'usage',
  unknown_kind: 'usage',
  too_large: 'usage',
  token_malformed: 'usage',
  not_found: 'notFound',
  unauthenticated: 'refused',
  forbidden: 'refused',
  token_unknown: 'refused',
  token_expired: 'refused',
  token_used_up: 'refused',
  wrong_ca: 'refused',
  wrong_role: 'refused',
  name_taken: 'refused',
  not_a_member: 'refused',
  certificate_refused: 'refused',
  conflict: 'refused',
  limit_reached: 'refused',
  impossible: 'refused',
  unreachable: 'unreachable',
  unavailable: 'unreachable',
  not_leading: 'unreachable',
  no_quorum: 'unreachable',
  timed_out: 'timedOut',
};

export function exitCodeOf(code: ErrorCode): number {
  return EXIT_CODES[BY_ERROR[code] ?? 'failed'].code;
}

/** Ends the program with this code; what there is to say has been said. */
export class Exit extends Error {
  override readonly name = 'Exit';
  readonly exitCode: number;

  constructor(name: ExitName) {
    super(EXIT_CODES[name].meaning);
    this.exitCode = EXIT_CODES[name].code;
  }
}
