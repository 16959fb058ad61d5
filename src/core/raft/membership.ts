/**
 * Who belongs to the log, and what counts as a quorum of them. A membership counts from the moment its entry is in the
 * log, committed or not (Ongaro's dissertation, section 4.1), so one that is overwritten is taken back.
 */
import { assert, must, unreachable } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import type { ReplicaRole } from '../model/replicas.ts';
import type { MembershipChange } from './contract.ts';

/** The random uid of a replica's data directory: a machine with a new disk is another replica. */
export type ReplicaId = string;

/** It stands in certificates and addresses, so nothing in it needs quotes. */
export function isReplicaId(text: string): text is ReplicaId {
  return /^[a-z0-9]{1,32}$/.test(text);
}

export interface Replica {
  readonly id: ReplicaId;
  /** Name of its node, for people. */
  readonly name: string;
  /** Where the other replicas and its clients reach it: `https://host:port`. */
  readonly url: string;
  readonly role: ReplicaRole;
}

/** Sorted by id. */
export type Membership = readonly Replica[];

export const VOTERS_MAX = limits.orchestratorVoters;
export const REPLICAS_MAX = limits.orchestratorReplicas;

export function votersOf(membership: Membership): readonly ReplicaId[] {
  return membership.filter(({ role }) => role === 'voter').map(({ id }) => id);
}

export function isVoter(membership: Membership, id: ReplicaId): boolean {
  return membership.some((replica) => replica.id === id && replica.role === 'voter');
}

export function isOnlyVoter(membership: Membership, id: ReplicaId): boolean {
  return isVoter(membership, id) && votersOf(membership).length === 1;
}

/** How many of `count` voters decide. */
export function quorumOf(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** The greatest number that a quorum of the voters has reached. */
export function reachedByQuorum(voters: readonly ReplicaId[], reached: (id: ReplicaId) => number): number {
  if (voters.length === 0) return 0;
  const sorted = voters.map(reached).sort((a, b) => b - a);
  return must(sorted[quorumOf(voters.length) - 1], 'a quorum');
}

/** The membership after the change, or why it cannot be made. */
export function changed(membership: Membership, change: MembershipChange): Membership | string {
  const id = change.do === 'add' ? change.replica.id : change.id;
  const known = membership.find((replica) => replica.id === id);
  const others = membership.filter((replica) => replica.id !== id);
  switch (change.do) {
    case 'add':
      if (known) return `${known.name} is a replica already`;
      if (others.some(({ name }) => name === change.replica.name)) return `there is another replica named ${change.replica.name}`;
      if (membership.length >= REPLICAS_MAX) return `there are ${REPLICAS_MAX} replicas already`;
      return checked([...others, change.replica]);
    case 'setRole':
      return known ? checked([...others, { ...known, role: change.role }]) : 'there is no such replica';
    case 'setUrl':
      return known ? checked([...others, { ...known, url: change.url }]) : 'there is no such replica';
    case 'remove':
      return known ? checked(others) : 'there is no such replica';
    default:
      return unreachable(change);
  }
}

function checked(membership: readonly Replica[]): Membership | string {
  const voters = votersOf(membership).length;
  if (voters === 0) return 'the last voter has to stay';
  if (voters > VOTERS_MAX) return `there are ${VOTERS_MAX} voters already`;
  return [...membership].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The memberships of a log, each from the index of its entry on. */
export class MembershipHistory {
  #history: { readonly index: number; readonly membership: Membership }[];

  constructor(index: number, membership: Membership) {
    this.#history = [{ index, membership }];
  }

  get current(): Membership {
    return must(this.#history.at(-1), 'a membership').membership;
  }

  /** Index of the entry that made the current one. */
  get changedAt(): number {
    return must(this.#history.at(-1), 'a membership').index;
  }

  /** The one before the current one, as far as it is kept. */
  get before(): Membership {
    return (this.#history.at(-2) ?? must(this.#history.at(-1), 'a membership')).membership;
  }

  /**
   * All who belong to any membership that may yet count: what is not committed may be taken back, and the leader that
   * takes it back may be one whom it removed.
   */
  since(commit: number): Membership {
    if (this.changedAt <= commit) return this.current;
    const first = this.#history.findLastIndex(({ index }) => index <= commit);
    const byId = new Map(
      this.#history.slice(Math.max(0, first)).flatMap(({ membership }) => membership.map((one) => [one.id, one])),
    );
    return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** From which index on the last membership counts that is committed, as far as it is known. */
  committedAt(commit: number): number {
    return must(
      this.#history.findLast(({ index }) => index <= commit),
      `membership at ${commit}`,
    ).index;
  }

  at(index: number): Membership {
    return must(
      this.#history.findLast((entry) => entry.index <= index),
      `membership at ${index}`,
    ).membership;
  }

  add(index: number, membership: Membership): void {
    assert(index > this.changedAt, 'memberships follow each other');
    this.#history.push({ index, membership });
  }

  /** Takes back what was made at `index` and after it; true if there was any. */
  truncateFrom(index: number): boolean {
    const before = this.#history.length;
    this.#history = this.#history.filter((entry, at) => at === 0 || entry.index < index);
    return this.#history.length < before;
  }

  dropUpTo(index: number): void {
    this.#history = this.#history.filter(
      (entry, at) => entry.index > index || (this.#history[at + 1]?.index ?? Infinity) > index,
    );
  }

  reset(index: number, membership: Membership): void {
    this.#history = [{ index, membership }];
  }
}

/** JSON in ASCII: one byte a character, so that the core needs no encoder. */
export function encodeMembership(membership: Membership): Uint8Array {
  const escaped = JSON.stringify(membership).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return Uint8Array.from(escaped, (character) => character.charCodeAt(0));
}

/** An entry of our own log, whose checksum the storage has verified. */
export function decodeMembership(data: Uint8Array): Membership {
  return JSON.parse(Array.from(data, (byte) => String.fromCharCode(byte)).join('')) as Membership;
}
