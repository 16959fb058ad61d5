/**
 * What stands in the log. Requests come from clients, decisions from the leader's reconciliation, and
 * `parentDesired` from the orchestrator above. Each entry carries the time at which it was proposed: apply
 * reads no clock.
 */
import { must } from '../base/assert.ts';
import type { ChainLink, DecidedBy, Seen, SeenCandidate } from '../model/decisions.ts';
import type { Assignment } from '../model/messages.ts';
import type { ReplicaRecord } from '../model/replicas.ts';
import type { ClientRequest } from '../model/requests.ts';
import type { Leaving, Target } from './state.ts';

/** One step that reconciliation decided. Its preconditions are checked again when it is applied: what no longer holds is skipped. */
export type Decision =
  /** A new instance, at once with a place if there is one. `id` was the next free one when it was decided. */
  | {
      readonly do: 'create';
      readonly id: string;
      readonly number: number;
      readonly service: string;
      readonly generation: number;
      readonly replaces: string | null;
      readonly target: Target | null;
      readonly avoid: string | null;
      readonly child: string | null;
      /** On what the child was chosen; entries of older versions do not say. */
      readonly seen?: Seen | undefined;
    }
  | { readonly do: 'place'; readonly instance: string; readonly child: string; readonly seen?: Seen | undefined }
  /** Its child refused it. */
  | { readonly do: 'unplace'; readonly instance: string }
  | { readonly do: 'stop'; readonly instance: string; readonly leaving: Leaving }
  /** Nothing of it is left anywhere. */
  | { readonly do: 'forget'; readonly instance: string }
  | { readonly do: 'lose'; readonly instance: string }
  | { readonly do: 'regain'; readonly instance: string }
  /** The move took too long: it stays where it is. */
  | { readonly do: 'giveUpMove'; readonly instance: string };

export type Command =
  | { readonly type: 'initialise'; readonly epoch: string; readonly name: string }
  /** The first replica of an orchestrator is in its own group. */
  | {
      readonly type: 'foundGroup';
      readonly replica: Pick<ReplicaRecord, 'id' | 'name' | 'url' | 'publicKeyFingerprint'>;
    }
  /** A lost majority was given up: one replica went on alone (`tendril recover`). */
  | {
      readonly type: 'recovered';
      readonly epoch: string;
      readonly id: string;
      readonly name: string;
      readonly former: readonly string[];
    }
  | { readonly type: 'request'; readonly request: ClientRequest; readonly idempotencyKey?: string | undefined }
  | {
      readonly type: 'decide';
      readonly decisions: readonly Decision[];
      /** Entries of before there were replicas do not say: then there was one, in term 1. */
      readonly by?: DecidedBy | undefined;
      /** The end of the chain of decision records, as the decider knew it (D4). */
      readonly tip?: ChainLink | undefined;
    }
  | {
      readonly type: 'parentDesired';
      readonly epoch: string;
      readonly version: number;
      /** All that the parent wants; instances not in it are not wanted any more. */
      readonly all: boolean;
      readonly set: readonly Assignment[];
      readonly unset: readonly string[];
    };

export interface LoggedCommand {
  readonly atMs: number;
  readonly command: Command;
}

type SeenAs<T> = Omit<Seen, 'candidates'> & { readonly candidates: readonly T[] };
type Decide = Extract<Command, { type: 'decide' }>;
/** Who comes second to one choice is the next one: a round lists each candidate once, and decisions name its place. */
type WrittenDecide = Omit<Decide, 'decisions'> & {
  readonly decisions: readonly { readonly do: Decision['do']; seen?: SeenAs<SeenCandidate | number> | undefined }[];
  /** Entries of older versions have none: there each decision shows its candidates itself. */
  readonly candidates?: readonly SeenCandidate[] | undefined;
};

export function encodeCommand(logged: LoggedCommand): string {
  if (logged.command.type !== 'decide') return JSON.stringify(logged);
  // A ranking shows the same object for as long as nothing about the candidate changes (`seenOf`).
  const places = new Map<SeenCandidate, number>();
  const placeOf = (candidate: SeenCandidate): number => {
    const place = places.get(candidate) ?? places.size;
    places.set(candidate, place);
    return place;
  };
  const decisions = logged.command.decisions.map((decision) =>
    'seen' in decision && decision.seen
      ? { ...decision, seen: { ...decision.seen, candidates: decision.seen.candidates.map(placeOf) } }
      : decision,
  );
  const command: WrittenDecide = { ...logged.command, decisions, candidates: [...places.keys()] };
  return JSON.stringify({ ...logged, command });
}

/** An entry of our own log, whose checksum the log has verified. */
export function decodeCommand(text: string): LoggedCommand {
  const logged = JSON.parse(text) as { readonly atMs: number; readonly command: Command | WrittenDecide };
  const { command } = logged;
  if ('candidates' in command && command.candidates) {
    const { candidates } = command;
    const shown = (one: SeenCandidate | number) => (typeof one === 'number' ? must(candidates[one], 'a candidate') : one);
    for (const decision of command.decisions)
      if (decision.seen) decision.seen = { ...decision.seen, candidates: decision.seen.candidates.map(shown) };
  }
  return logged as LoggedCommand;
}
