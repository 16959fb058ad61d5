/**
 * Which of two connections between the same replicas stays. Both may dial, because either may be out of the other's
 * reach, behind a NAT; so two connections can come about at once, and an old one can seem to live on one side only.
 *
 * Each dial of a pair carries a number, one above all that its dialler has seen between the two. The higher number
 * stays; of equal ones, which only come about at the same time, the one that the smaller id has dialled. Both sides
 * know number and dialler of every connection, so they decide alike without a word. Whoever has lost a connection has
 * seen its number, and the next one replaces it; a replica that has started again has not, is told it with the
 * refusal, and dials once more.
 */
import type { ReplicaId } from '../../core/raft/membership.ts';

export interface DialRank {
  readonly number: number;
  readonly dialler: ReplicaId;
}

export function outranks(a: DialRank, b: DialRank): boolean {
  return a.number > b.number || (a.number === b.number && a.dialler < b.dialler);
}

/** As a peer gives it; null when it is none. */
export function parseDialNumber(text: unknown): number | null {
  return typeof text === 'string' && /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : null;
}
