/**
 * Who says nothing of those that are spoken to again and again: by a leader, with its heartbeats, or by whoever
 * campaigns. A connection tells much later that the other end is gone, when no packet comes back at all. Nothing is
 * decided by this: it is for people who look what is wrong.
 */
import type { Membership, ReplicaId } from './membership.ts';

export class Hearing {
  readonly #heardAtMs = new Map<ReplicaId, number>();
  #speakingSinceMs: number | null = null;

  heard(from: ReplicaId, nowMs: number): void {
    this.#heardAtMs.set(from, nowMs);
  }

  speaks(isSpeaking: boolean, nowMs: number): void {
    if (!isSpeaking) this.#speakingSinceMs = null;
    else this.#speakingSinceMs ??= nowMs;
  }

  silent(others: Iterable<ReplicaId>, nowMs: number, patienceMs: number): ReadonlySet<ReplicaId> {
    const sinceMs = this.#speakingSinceMs;
    if (sinceMs === null) return new Set();
    const lastMs = (id: ReplicaId) => Math.max(sinceMs, this.#heardAtMs.get(id) ?? 0);
    return new Set([...others].filter((id) => nowMs - lastMs(id) > patienceMs));
  }

  /** Who is new has not been silent yet. */
  membersAre(members: Membership, nowMs: number): void {
    for (const id of this.#heardAtMs.keys()) if (!members.some((member) => member.id === id)) this.#heardAtMs.delete(id);
    for (const { id } of members) if (!this.#heardAtMs.has(id)) this.#heardAtMs.set(id, nowMs);
  }
}
