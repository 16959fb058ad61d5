/**
 * What the phases of Messina's experiment (Morabito et al., 2024, section 5.1, "The following execution times were
 * computed") took for each decision, out of what was traced at every replica. All clocks are one, the machine's.
 */
import type { RequestStep, TraceEvent } from './trace.ts';

/** The paper's names, in its order, and what each is here. */
export const PHASES = {
  RequestElab: 'the gateway parses the request',
  ElectionNetworkMean: 'a request for a vote and the vote on their ways, without the time at the voter; mean over the voters',
  VoteElectionMean: 'at the voter, from the request to its vote, which is durable then; mean over the voters',
  ChoosingPhase: 'the leader chooses among the loads',
  VoteConsNetMean: 'the entry and the agreement to it on their ways, without the time at the voter; mean over the voters',
  VoteConsElabMean: 'at the voter, from the entry to its agreement, without the write; mean over the voters',
  WriteLog: 'the entry is written and synced; mean over the replicas',
  TransfertReq: 'the chosen node, when it is another one, learns that it is committed',
} as const;
export type Phase = keyof typeof PHASES;

export interface DecisionTimes {
  readonly id: string;
  /** Of those phases that it had: one that was forwarded had no election. */
  readonly phases: Readonly<Partial<Record<Phase, number>>>;
  /** From the request at the gateway to the chosen node's deploying. */
  readonly wholeMs: number;
  /** Its gateway was elected for it. */
  readonly hadElection: boolean;
}

type Step = Extract<TraceEvent, { readonly what: RequestStep }>;
type Message = Extract<TraceEvent, { readonly what: 'sent' | 'heard' }>;
type Written = Extract<TraceEvent, { readonly what: 'written' }>;

type Traces = ReadonlyMap<string, readonly TraceEvent[]>;

export function decisionTimes(traces: Traces): readonly DecisionTimes[] {
  const steps = new Map<string, Map<RequestStep, Step & { readonly at: string }>>();
  const messages = new Map<string, Message[]>();
  const writes = new Map<string, Written[]>();
  for (const [at, events] of traces) {
    messages.set(at, events.filter(isMessage));
    writes.set(at, events.filter(isWritten));
    for (const event of events.filter(isStep)) {
      const own = steps.get(event.id) ?? new Map();
      // Of what is tried again the last time counts; a request is received and parsed once.
      own.set(event.what, { ...event, at });
      steps.set(event.id, own);
    }
  }
  return [...steps].flatMap(([id, own]) => {
    const [received, deployed, committed] = [own.get('received'), own.get('deployed'), own.get('committed')];
    if (!received || !deployed || !committed) return [];
    const leader = committed.at;
    const hadElection = own.has('wanted') && received.at === leader;
    const followers = [...traces.keys()].filter((replica) => replica !== leader);
    const votes = hadElection
      ? followers.flatMap((voter) => exchange(messages, leader, voter, votesOf(committed.term)) ?? [])
      : [];
    const agreements = followers.flatMap(
      (voter) => exchange(messages, leader, voter, entriesUpTo(committed.index, committed.term)) ?? [],
    );
    const written = [...writes].flatMap(([replica, all]) => {
      const write = all.find(({ from, to }) => from <= committed.index && committed.index <= to);
      return write ? [{ replica, tookMs: write.atMs - write.beganAtMs }] : [];
    });
    const writtenAt = new Map(written.map(({ replica, tookMs }) => [replica, tookMs]));
    return {
      id,
      hadElection,
      wholeMs: deployed.atMs - received.atMs,
      phases: {
        ...between('RequestElab', received, own.get('parsed')),
        ...meanOf(
          'ElectionNetworkMean',
          votes.map(({ networkMs }) => networkMs),
        ),
        ...meanOf(
          'VoteElectionMean',
          votes.map(({ voterMs }) => voterMs),
        ),
        ...between('ChoosingPhase', own.get('choosing'), own.get('chosen')),
        ...meanOf(
          'VoteConsNetMean',
          agreements.map(({ networkMs }) => networkMs),
        ),
        ...meanOf(
          'VoteConsElabMean',
          agreements.map(({ voter, voterMs }) => Math.max(0, voterMs - (writtenAt.get(voter) ?? 0))),
        ),
        ...meanOf(
          'WriteLog',
          written.map(({ tookMs }) => tookMs),
        ),
        ...(deployed.at === leader ? {} : between('TransfertReq', committed, deployed)),
      },
    };
  });
}

interface Exchange {
  readonly voter: string;
  readonly networkMs: number;
  readonly voterMs: number;
}

interface Question {
  readonly asks: (message: Message) => boolean;
  readonly answers: (message: Message) => boolean;
}

function votesOf(term: number): Question {
  return {
    asks: (message) => message.type === 'voteRequest' && message.term === term,
    answers: (message) => message.type === 'vote' && message.term === term,
  };
}

function entriesUpTo(index: number, term: number): Question {
  return {
    asks: (message) => message.type === 'append' && message.term === term && message.index !== null && message.index >= index,
    answers: (message) => message.type === 'appended' && message.term === term && (message.index ?? 0) >= index,
  };
}

/** The first of each: null where one is missing, because the voter was not needed any more or was not there. */
function exchange(
  messages: ReadonlyMap<string, readonly Message[]>,
  leader: string,
  voter: string,
  { asks, answers }: Question,
): Exchange | null {
  const find = (at: string, what: Message['what'], peer: string, wanted: (message: Message) => boolean) =>
    messages.get(at)?.find((message) => message.what === what && message.peer === peer && wanted(message));
  const asked = find(leader, 'sent', voter, asks);
  const heard = find(voter, 'heard', leader, asks);
  const answered = find(voter, 'sent', leader, answers);
  const back = find(leader, 'heard', voter, answers);
  if (!asked || !heard || !answered || !back) return null;
  const voterMs = answered.atMs - heard.atMs;
  return { voter, voterMs, networkMs: back.atMs - asked.atMs - voterMs };
}

function between(phase: Phase, from: Step | undefined, to: Step | undefined): Partial<Record<Phase, number>> {
  return from && to ? { [phase]: to.atMs - from.atMs } : {};
}

function meanOf(phase: Phase, samples: readonly number[]): Partial<Record<Phase, number>> {
  return samples.length === 0 ? {} : { [phase]: samples.reduce((sum, each) => sum + each, 0) / samples.length };
}

function isMessage(event: TraceEvent): event is Message {
  return event.what === 'sent' || event.what === 'heard';
}

function isWritten(event: TraceEvent): event is Written {
  return event.what === 'written';
}

function isStep(event: TraceEvent): event is Step {
  return !isMessage(event) && !isWritten(event);
}
