/**
 * The chain of decision records: made where entries are applied, so that each replica makes the same, and kept
 * in the replicated state. Each record's hash covers all of it and the hash of the one before (Haber and
 * Stornetta, How to time-stamp a digital document, section 5.1): to change one is to change all that follow,
 * and the newest is known to others.
 *
 * Invariants (checked by `verifyChain`, in simulation after every entry):
 *  D1. Numbers follow one another without a gap from 1, which builds on the hash of the epoch.
 *  D2. A record's hash is that of its content and of the record before it.
 *  D3. Every replica, and every replay of the log, makes the same chain.
 *  D4. What a round of decisions saw as the end of the chain is in the chain: a log in which an earlier round was
 *      altered contradicts the later ones.
 */
import { Latest } from '../base/latest.ts';
import { limits } from '../base/limits.ts';
import type { ChainLink, ChainVerdict, DecisionRecord, Seen } from '../model/decisions.ts';

/** sha256 as hex, of the text's UTF-8. Injected: the core has no cryptography. */
export type Hash = (text: string) => string;

/** What is kept of the chain; as it stands in a snapshot. */
export interface KeptChain {
  /** What the oldest kept record builds on. */
  readonly anchor: ChainLink;
  readonly tip: ChainLink;
  readonly records: readonly DecisionRecord[];
  /** A record that a later round of decisions saw otherwise (D4). */
  readonly disputed: number | null;
}

type Content = Omit<DecisionRecord, 'number' | 'before' | 'hash'>;

/** A record as it is kept: thousands as objects are most of what the collector would have to go through, again and again. */
interface Sealed {
  /** Canonical. */
  readonly text: string;
  readonly hash: string;
}

export class DecisionChain {
  readonly #hash: Hash;
  #anchor: ChainLink = { number: 0, hash: '' };
  #tip: ChainLink = { number: 0, hash: '' };
  #records = new Latest<Sealed>(limits.decisionRecords);
  #disputed: number | null = null;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  get tip(): ChainLink {
    return this.#tip;
  }

  /** D1. */
  begin(epoch: string): void {
    this.#anchor = this.#tip = { number: 0, hash: this.#hash(epoch) };
  }

  append(content: Content): void {
    const number = this.#tip.number + 1;
    const before = this.#tip.hash;
    const text = canonicalText(content, number, before);
    const hash = this.#hash(text);
    this.#tip = { number, hash };
    this.#keep({ text, hash });
  }

  #keep(sealed: Sealed): void {
    const oldest = this.#records.push(sealed);
    if (oldest) this.#anchor = { number: this.#anchor.number + 1, hash: oldest.hash };
  }

  /** D4. An old link that is not kept any more cannot be compared. */
  witness(link: ChainLink): void {
    const known = link.number === this.#anchor.number ? this.#anchor : this.#records.at(link.number - this.#anchor.number - 1);
    if (known && known.hash !== link.hash) this.#disputed ??= link.number;
    if (link.number > this.#tip.number) this.#disputed ??= link.number;
  }

  record(number: number): DecisionRecord | undefined {
    const sealed = this.#records.at(number - this.#anchor.number - 1);
    return sealed && recordOf(sealed);
  }

  /** Oldest first. Without `after` the newest. */
  list(limit: number, after?: number): readonly DecisionRecord[] {
    const from = after === undefined ? this.#records.length - limit : after - this.#anchor.number;
    return this.#records
      .all()
      .slice(Math.max(0, from), Math.max(0, from) + limit)
      .map(recordOf);
  }

  verify(epoch: string): ChainVerdict {
    return verifyChain(this.toJSON(), epoch, this.#hash);
  }

  toJSON(): KeptChain {
    return { anchor: this.#anchor, tip: this.#tip, records: this.#records.all().map(recordOf), disputed: this.#disputed };
  }

  restore(kept: KeptChain): void {
    this.#anchor = kept.anchor;
    this.#tip = kept.tip;
    this.#records = new Latest(limits.decisionRecords);
    for (const record of kept.records)
      this.#keep({ text: canonicalText(record, record.number, record.before), hash: record.hash });
    this.#disputed = kept.disputed;
  }
}

/** Recomputes every kept hash and finds the first record that is not as it was made. */
export function verifyChain({ anchor, tip, records, disputed }: KeptChain, epoch: string, hash: Hash): ChainVerdict {
  const verdict = (number: number, what: string): ChainVerdict => ({
    ok: false,
    records: records.length,
    anchor,
    tip,
    problem: { number, what },
  });
  if (anchor.number === 0 && anchor.hash !== hash(epoch)) return verdict(1, 'does not begin with the hash of the epoch');
  let last = anchor;
  for (const record of records) {
    const number = last.number + 1;
    if (record.number !== number) return verdict(number, `is missing: the next one there is ${record.number}`);
    if (hash(canonicalText(record, number, record.before)) !== record.hash)
      return verdict(number, 'does not match its hash: it was changed');
    if (record.before !== last.hash) return verdict(number, 'does not build on the one before it');
    last = record;
  }
  if (last.number < tip.number) return verdict(last.number + 1, `is missing: there were ${tip.number}`);
  if (last.number !== tip.number || last.hash !== tip.hash) return verdict(last.number, 'is not the one that was the newest');
  if (disputed !== null) return verdict(disputed, 'is not what a later round of decisions saw: an entry of the log was altered');
  return { ok: true, records: records.length, anchor, tip, problem: null };
}

type Canonical = readonly [
  number: number,
  atMs: number,
  cause: DecisionRecord['cause'],
  service: string,
  instance: string,
  replaces: string | null,
  request: string | null,
  seen:
    | readonly [
        policy: Seen['policy'],
        candidates: readonly (readonly [name: string, score: number, load: number, cpuMilli: number, memoryBytes: number])[],
        others: number,
        rejected: readonly (readonly [reason: string, count: number])[],
      ]
    | null,
  choice: string,
  term: number,
  leader: string,
  votes: readonly (readonly [voter: string, load: number])[],
  before: string,
];

/** What is hashed: a list, so that the order of keys in an object says nothing. Reasons are sorted by name. */
function canonicalText(record: Content, number: number, before: string): string {
  const { seen, votes } = record;
  const canonical: Canonical = [
    number,
    record.atMs,
    record.cause,
    record.service,
    record.instance,
    record.replaces,
    record.request,
    seen && [
      seen.policy,
      seen.candidates.map(({ name, score, load, cpuMilli, memoryBytes }) => [name, score, load, cpuMilli, memoryBytes]),
      seen.others,
      Object.entries(seen.rejected).sort(([a], [b]) => (a < b ? -1 : 1)),
    ],
    record.choice,
    record.term,
    record.leader,
    votes.map(({ voter, load }) => [voter, load]),
    before,
  ];
  return JSON.stringify(canonical);
}

function recordOf({ text, hash }: Sealed): DecisionRecord {
  const [number, atMs, cause, service, instance, replaces, request, seen, choice, term, leader, votes, before] = JSON.parse(
    text,
  ) as Canonical;
  return {
    number,
    atMs,
    cause,
    service,
    instance,
    replaces,
    request,
    seen: seen && seenOf(seen),
    choice,
    term,
    leader,
    votes: votes.map(([voter, load]) => ({ voter, load })),
    before,
    hash,
  };
}

function seenOf([policy, candidates, others, rejected]: NonNullable<Canonical[7]>): Seen {
  return {
    policy,
    candidates: candidates.map(([name, score, load, cpuMilli, memoryBytes]) => ({ name, score, load, cpuMilli, memoryBytes })),
    others,
    rejected: Object.fromEntries(rejected),
  };
}
