/**
 * What must never happen, whatever goes wrong: figure 3 of the Raft paper (Ongaro and Ousterhout, 2014) over all
 * replicas, and F1 to F5 of raft.ts; checked as each effect is carried out. It knows what no replica can: all logs, all
 * disks, and who has ever led.
 */
import { assert } from '../../base/assert.ts';
import type { RaftEffect } from '../contract.ts';
import { decodeMembership, isVoter, type Membership, quorumOf, type ReplicaId, votersOf } from '../membership.ts';
import type { RaftEntry, RaftMessage, SnapshotHead } from '../messages.ts';
import type { RaftStatus } from '../raft.ts';
import type { Member } from './member.ts';

interface Committed {
  readonly term: number;
  readonly text: string;
  readonly membership: Membership | null;
  /** The term of the leader that committed it. */
  readonly inTerm: number;
}

interface Written {
  readonly text: string;
  readonly previousTerm: number;
}

export class Invariants {
  /** At each index, from 1 on. */
  readonly committed: Committed[] = [];
  elections = 0;
  readonly #leaders = new Map<number, ReplicaId>();
  /** The index of each leader's first entry. */
  readonly #begun = new Map<number, number>();
  readonly #written = new Map<string, Written>();
  readonly #votes = new Map<string, ReplicaId>();
  /** The term of each replica, over all its lives. */
  readonly #terms = new Map<ReplicaId, number>();
  readonly #answered = new Map<string, number>();
  readonly #dropped = new Map<string, string>();

  /** Acknowledged proposals. */
  get acknowledged(): ReadonlyMap<string, number> {
    return this.#answered;
  }

  /** Before `effect` changes the log: append-only leaders, log matching, F4, F5. */
  persists(member: Member, before: RaftStatus, after: RaftStatus, { entries }: Extract<RaftEffect, { type: 'persist' }>): void {
    const { id, log } = member;
    const [first] = entries;
    if (!first) return;
    const leads = after.role === 'leader';
    const ledBefore = leads && before.role === 'leader' && before.term === after.term;
    assert(!ledBefore || first.index === log.lastIndex + 1, `leader append-only: ${id} replaces ${first.index} of its own log`);
    const last = first.index + entries.length - 1;
    for (let index = first.index; index <= log.lastIndex && index <= this.committed.length; index += 1) {
      const committed = this.committed[index - 1];
      const kept = index <= last ? entries[index - first.index]?.term : null;
      // A leader of an earlier term, cut off, may still overwrite what later ones have committed without this replica.
      if (committed && committed.inTerm <= after.term && committed.term === log.termAt(index))
        assert(kept === committed.term, `F4: ${id} truncates ${index}, which is committed`);
    }
    if (leads) for (const entry of entries) if (entry.kind === 'membership') this.#changes(member, after, entry);
  }

  /**
   * Log matching: an index and a term name one entry, which follows one other. By induction the logs before agree, too.
   * What counts is what a disk holds or another replica is told: a process that ends may take back what only it knew.
   */
  match(id: ReplicaId, entries: readonly RaftEntry[], termBefore: number): void {
    let previousTerm = termBefore;
    for (const entry of entries) {
      this.#matches(id, entry, previousTerm);
      previousTerm = entry.term;
    }
  }

  #matches(id: ReplicaId, entry: RaftEntry, previousTerm: number): void {
    const key = `${entry.index}/${entry.term}`;
    const text = textOf(entry);
    const known = this.#written.get(key);
    if (known === undefined) this.#written.set(key, { text, previousTerm });
    else
      assert(
        known.text === text && known.previousTerm === previousTerm,
        `log matching: entry ${key} of ${id} is ${text} after a term ${previousTerm}, elsewhere ${known.text} after ${known.previousTerm}`,
      );
  }

  /** F5, where a leader puts down a change. */
  #changes(member: Member, status: RaftStatus, entry: RaftEntry): void {
    const { id, log } = member;
    const begun = this.#begun.get(status.term) ?? Number.POSITIVE_INFINITY;
    assert(status.commit >= begun, `F5: ${id} changes the replicas before an entry of its term ${status.term} is committed`);
    for (let index = status.commit + 1; index <= log.lastIndex; index += 1)
      assert(log.at(index)?.kind !== 'membership', `F5: ${id} makes change ${entry.index} while ${index} is under way`);
  }

  /** After a step, before anybody is told of it. */
  stepped(member: Member, before: RaftStatus, after: RaftStatus, members: ReadonlyMap<ReplicaId, Member>): void {
    const { id, log } = member;
    assert(after.term >= before.term && after.commit >= before.commit, `F1: term or commit of ${id} goes back`);
    assert(after.lastIndex === log.lastIndex, `${id} has ${after.lastIndex} entries and has written ${log.lastIndex}`);
    const newest = this.#terms.get(id) ?? 0;
    assert(after.term >= newest, `F1: ${id} was in term ${newest} and is in ${after.term}`);
    // The only voter leads before its disk knows of the term, and nobody hears of it until then: it may yet be forgotten.
    if (after.role === 'leader' && member.disk.hard.term >= after.term) {
      const known = this.#leaders.get(after.term);
      assert(known === undefined || known === id, `election safety: ${known} and ${id} lead term ${after.term}`);
      if (known === undefined) this.#elected(member, after);
    }
    if (after.role === 'leader' && !isVoter(after.membership, id)) {
      let index = after.commit + 1;
      while (index <= log.lastIndex && log.at(index)?.kind !== 'membership') index += 1;
      assert(index <= log.lastIndex, `${id} leads term ${after.term}, and is no voter since that was committed`);
    }
    // One that steps down or pauses in the very step in which it commits has led until then.
    const led = after.role === 'leader' || (before.role === 'leader' && before.term === after.term);
    if (led && after.commit > this.committed.length) this.#commits(member, after, members);
    assert(after.commit <= this.committed.length, `${id} takes ${after.commit} for committed, which no leader has committed`);
  }

  /** Leader completeness; and the votes of a quorum. */
  #elected({ id, log }: Member, { term, membership }: RaftStatus): void {
    const voters = votersOf(membership);
    const votes = voters.filter((voter) => voter === id || this.#votes.get(`${voter}/${term}`) === id);
    assert(
      votes.length >= quorumOf(voters.length),
      `votes: ${id} leads term ${term} by ${votes.join(' ')} of ${voters.join(' ')}`,
    );
    this.elections += 1;
    this.#leaders.set(term, id);
    let first = log.lastIndex;
    while (log.termAt(first - 1) === term) first -= 1;
    this.#begun.set(term, first);
    for (let index = log.baseIndex + 1; index <= this.committed.length; index += 1) {
      const entry = this.committed[index - 1];
      if (entry && entry.inTerm < term)
        assert(log.termAt(index) === entry.term, `leader completeness: ${id} leads term ${term} without ${index}/${entry.term}`);
    }
  }

  /** What a leader takes for committed is on the disks of a quorum. */
  #commits({ id, log }: Member, { term, commit, membership }: RaftStatus, members: ReadonlyMap<ReplicaId, Member>): void {
    const voters = votersOf(membership);
    const holders = voters.filter((voter) => {
      const holder = members.get(voter);
      if (!holder || holder.isLost) return true;
      const { disk } = holder;
      return (disk.snapshot?.head.index ?? 0) >= commit || disk.termAt(commit) === log.termAt(commit);
    });
    assert(
      holders.length >= quorumOf(voters.length),
      `quorum: ${id} commits ${commit} in term ${term}, which is on the disks of ${holders.join(' ')} of ${voters.join(' ')}`,
    );
    for (let index = this.committed.length + 1; index <= commit; index += 1) {
      const entry = log.at(index);
      assert(entry, `${id} commits ${index}, which it has`);
      const changed = entry.kind === 'membership' ? decodeMembership(entry.data) : null;
      this.committed.push({ term: entry.term, text: textOf(entry), membership: changed, inTerm: term });
      assert(!this.#dropped.has(textOf(entry)), `${textOf(entry)} is committed, but was dropped for good`);
    }
  }

  /** State machine safety; L1: durable here before it is delivered. */
  applies({ id, disk, appliedIndex }: Member, entry: RaftEntry): string {
    assert(entry.index === appliedIndex + 1, `entry ${entry.index} of ${id} follows ${appliedIndex}`);
    assert(disk.termAt(entry.index) === entry.term, `L1: ${id} delivers ${entry.index}, which is not on its disk`);
    this.holds(id, entry.index, textOf(entry));
    return textOf(entry);
  }

  holds(id: ReplicaId, index: number, text: string): void {
    const known = this.committed[index - 1]?.text;
    assert(known === text, `state machine safety: index ${index} is ${text} at ${id}, and was committed as ${known}`);
  }

  acknowledges(name: string, text: string, index: number): void {
    assert(name === text && !this.#answered.has(name), `${name} is answered once, by its own entry, not by ${text}`);
    this.#answered.set(name, index);
  }

  drops(name: string, reason: string): void {
    this.#dropped.set(name, reason);
    const index = this.committed.findIndex(({ text }) => text === name);
    assert(index < 0, `${name} was dropped for good (${reason}), but is committed at ${index + 1}`);
  }

  /** A snapshot says who belonged to the log at its end. */
  snapshots(id: ReplicaId, head: SnapshotHead, founders: Membership): void {
    assert(
      this.committed[head.index - 1]?.term === head.term,
      `the snapshot of ${id} up to ${head.index} ends with term ${head.term}`,
    );
    const last = this.committed.slice(0, head.index).findLast(({ membership }) => membership !== null)?.membership ?? null;
    // One that joined knows of nobody before the first change.
    const isNobody = last === null && head.membership.length === 0;
    assert(
      isNobody || namesOf(head.membership) === namesOf(last ?? founders),
      `the snapshot of ${id} up to ${head.index} has ${namesOf(head.membership)} for ${namesOf(last ?? founders)}`,
    );
  }

  /** F1 and F2, where a message leaves. */
  sends({ id, disk, status }: Member, to: ReplicaId, message: RaftMessage): void {
    const isAhead = (message.type === 'voteRequest' || message.type === 'vote') && message.pre;
    assert(
      isAhead || disk.hard.term >= message.term,
      `F2: ${id} speaks in term ${message.term}, its disk knows ${disk.hard.term}`,
    );
    this.#terms.set(id, Math.max(this.#terms.get(id) ?? 0, disk.hard.term));
    if (message.type === 'append') this.match(id, message.entries, message.previousTerm);
    if (message.type === 'vote' && message.granted && !message.pre) this.#votesFor(id, message.term, to);
    if (message.type === 'voteRequest' && !message.pre) this.#votesFor(id, message.term, id);
    if (message.type === 'vote' && message.granted && !message.pre)
      assert(
        disk.hard.term > message.term || disk.hard.votedFor === to,
        `F2: ${id} votes for ${to}, its disk knows ${disk.hard.votedFor}`,
      );
    if (message.type === 'appended' && message.success && status?.term === message.term)
      assert(
        Math.max(disk.lastIndex, disk.snapshot?.head.index ?? 0) >= message.index,
        `F2: ${id} has ${message.index}, it says, and its disk ends at ${disk.lastIndex}`,
      );
  }

  #votesFor(id: ReplicaId, term: number, candidate: ReplicaId): void {
    const key = `${id}/${term}`;
    const known = this.#votes.get(key);
    assert(known === undefined || known === candidate, `F1: ${id} votes for ${known} and for ${candidate} in term ${term}`);
    this.#votes.set(key, candidate);
  }
}

const texts = new WeakMap<RaftEntry, string>();

/** What an entry says; the same object says the same. */
export function textOf(entry: RaftEntry): string {
  const known = texts.get(entry);
  if (known !== undefined) return known;
  const { kind, term, data } = entry;
  const said = String.fromCharCode(...data);
  const text = kind === 'data' ? said : `(${kind} of ${term} ${said})`;
  texts.set(entry, text);
  return text;
}

function namesOf(membership: Membership): string {
  return membership.map(({ id, role }) => `${id} ${role}`).join(', ');
}
