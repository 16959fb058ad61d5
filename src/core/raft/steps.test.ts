/** What one replica does with one message that came too late. */
import { expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import type { RaftEffect, RaftInit, RaftInput } from './contract.ts';
import { encodeMembership, type Replica } from './membership.ts';
import type { RaftEntry, RaftMessage } from './messages.ts';
import { Raft } from './raft.ts';
import { withLimits } from './testing/small-limits.ts';

const MEMBERSHIP: readonly Replica[] = ['a', 'b', 'c'].map((id) => ({
  id,
  name: id,
  url: `https://${id}:7443`,
  role: 'voter',
}));
const APPEND = {
  type: 'append',
  previousTerm: 1,
  commit: 5,
  round: 0,
  sentAtMs: 0,
  electionTimeoutMs: 100,
  pause: false,
} as const;
const entry = (index: number): RaftEntry => ({ index, term: 1, kind: 'data', data: Uint8Array.of(index) });

/** Replica b, with five entries of term 1 on its disk, of which it knows that `commit` are committed. */
function follower(leadership: RaftInit['leadership'] = 'standing', commit = 0) {
  const times = { electionTimeoutMinMs: 100, electionTimeoutMaxMs: 1_000, quietMs: 200 };
  const hard = { term: 1, votedFor: 'a', commit };
  const entries = [1, 2, 3, 4, 5].map(entry);
  const raft = new Raft(
    { id: 'b', membership: MEMBERSHIP, leadership, ...times },
    { hard, snapshot: null, entries },
    new Prng(1),
  );
  let nowMs = 0;
  const step = (input: RaftInput) => {
    nowMs += 10;
    return raft.step(nowMs, input);
  };
  const first = step({ type: 'timePassed' });
  return {
    raft,
    first,
    step,
    now: () => nowMs,
    received: (message: RaftMessage) => step({ type: 'messageReceived', from: 'a', message }),
  };
}

it('knows when it starts what it knew to be committed, and writes that with what there is to write', () => {
  const { first, received } = follower('standing', 3);
  const delivered = first.flatMap((effect) => (effect.type === 'committed' ? effect.entries.map(({ index }) => index) : []));
  expect(delivered).toEqual([1, 2, 3]);
  const told = received({ ...APPEND, term: 1, previousIndex: 5, entries: [], commit: 5 });
  expect(told.map(({ type }) => type)).not.toContain('persist');
  const [written] = received({ ...APPEND, term: 1, previousIndex: 5, entries: [entry(6)], commit: 5 });
  expect(written).toMatchObject({ type: 'persist', hard: { term: 1, votedFor: 'a', commit: 5 } });
});

it('keeps what it has agreed to when a snapshot of less comes in (section 7)', () => {
  const { raft, received } = follower();
  const head = { index: 3, term: 1, membership: MEMBERSHIP, bytes: 4 };
  const effects = received({ type: 'snapshotPiece', term: 1, head, piece: 0, data: new Uint8Array(4) });
  expect(effects.map(({ type }) => type)).not.toContain('adoptSnapshot');
  expect(raft.status).toMatchObject({ commit: 3, lastIndex: 5 });
  expect(effects).toContainEqual({
    type: 'send',
    to: 'a',
    message: { type: 'pieceTaken', term: 1, snapshotIndex: 3, piece: 1 },
    after: 0,
  });
});

it('stays silent when a heartbeat comes after the last word of its leader', () => {
  const { raft, received } = follower('on-demand');
  const append = (pause: boolean): RaftMessage => ({
    type: 'append',
    term: 1,
    previousIndex: 5,
    previousTerm: 1,
    entries: [],
    commit: 5,
    round: 0,
    sentAtMs: 0,
    electionTimeoutMs: 100,
    pause,
  });
  received(append(false));
  received(append(true));
  expect(raft.status.isPaused).toBe(true);
  received(append(false));
  expect(raft.status.isPaused).toBe(true);
  expect(raft.wakeAtMs).toBeNull();
});

it('keeps in touch with whom a change removes, until that is committed: the next leader may be one of them', () => {
  const { raft, received } = follower();
  const names = () => raft.status.peers.map(({ id }) => id).join(' ');
  const without = MEMBERSHIP.filter(({ id }) => id !== 'c');
  const change: RaftEntry = { index: 6, term: 1, kind: 'membership', data: encodeMembership(without) };
  received({ ...APPEND, term: 1, previousIndex: 5, entries: [change] });
  expect(raft.status.membership).toHaveLength(2);
  expect(names()).toBe('a b c');
  const told = received({ ...APPEND, term: 1, previousIndex: 6, entries: [], commit: 6 });
  expect(told).toContainEqual({ type: 'peersChanged' });
  expect(names()).toBe('a b');
});

it('does not want to be woken for an election that it may not call, when a snapshot tells it that its demotion is committed', () => {
  const { raft, step, now, received } = follower();
  const learning = MEMBERSHIP.map((one) => (one.id === 'b' ? { ...one, role: 'learner' as const } : one));
  const change: RaftEntry = { index: 6, term: 1, kind: 'membership', data: encodeMembership(learning) };
  received({ ...APPEND, term: 1, previousIndex: 5, entries: [change] });
  const head = { index: 6, term: 1, membership: learning, bytes: 4 };
  received({ type: 'snapshotPiece', term: 1, head, piece: 0, data: new Uint8Array(4) });
  for (let times = 0; times < 30; times += 1) {
    step({ type: 'timePassed' });
    expect(raft.wakeAtMs ?? Number.POSITIVE_INFINITY).toBeGreaterThan(now());
  }
  expect(raft.status.role).toBe('follower');
});

/** Replica b, elected on demand by its own vote and that of a; c has not answered. */
function elected() {
  const replica = follower('on-demand', 5);
  replica.received({ ...APPEND, term: 1, previousIndex: 5, entries: [], pause: true });
  replica.step({ type: 'leadershipWanted' });
  replica.step({ type: 'persisted', write: 1 });
  const vote = { type: 'vote', term: 2, pre: false, granted: true, leader: null, attachment: null } as const;
  const effects = replica.received(vote);
  expect(replica.raft.status.role).toBe('leader');
  return { ...replica, effects };
}

function entriesIn(effects: readonly RaftEffect[]): Readonly<Record<string, readonly string[]>> {
  const kinds = (entries: readonly RaftEntry[]) => entries.map(({ kind }) => kind);
  return Object.fromEntries(
    effects.flatMap((effect) => {
      if (effect.type === 'persist') return [['disk', kinds(effect.entries)]];
      return effect.type === 'send' && effect.message.type === 'append' ? [[effect.to, kinds(effect.message.entries)]] : [];
    }),
  );
}

it('on demand begins its term with what is decided: one message to each, and one sync', () => {
  const { effects, step } = elected();
  expect(entriesIn(effects)).toEqual({});
  const decided = step({ type: 'proposed', proposals: [{ proposal: 7, data: Uint8Array.of(1) }] });
  expect(entriesIn(decided)).toEqual({ disk: ['blank', 'data'], a: ['blank', 'data'], c: ['blank', 'data'] });
});

it('on demand begins its term without the rest of the votes when they take as long again as the quorum did', () => {
  const { raft, step, now } = elected();
  const wakeAtMs = raft.wakeAtMs ?? 0;
  expect(wakeAtMs - now()).toBe(20); // asked at 30 ms, elected at 50
  expect(entriesIn(step({ type: 'timePassed' }))).toEqual({});
  expect(entriesIn(step({ type: 'timePassed' }))).toEqual({ disk: ['blank'], a: ['blank'], c: ['blank'] });
});

it('on demand tells what is committed once, and not what it said with the entries', () => {
  const { step, received } = elected();
  step({ type: 'proposed', proposals: [{ proposal: 7, data: Uint8Array.of(1) }] });
  const agreed = { type: 'appended', term: 2, success: true, previousIndex: 5, index: 7, hintTerm: 2, round: 0 } as const;
  // All of the earlier term is committed; of this one nothing is, before a quorum has it on its disks.
  expect(entriesIn(received({ ...agreed, sentAtMs: 0 }))).toEqual({});
  expect(entriesIn(step({ type: 'persisted', write: 2 }))).toEqual({ a: [] });
});

it('on demand tells one that agrees late, to what is gone from the log here, once and not with every step', () => {
  withLimits({ logTailEntries: 0, raftMessagesInFlight: 1 }, () => {
    const { raft, step, received } = elected();
    const agrees = (from: string, index: number) => {
      const agreed = {
        type: 'appended',
        term: 2,
        success: true,
        previousIndex: index - 1,
        index,
        hintTerm: 2,
        round: 0,
      } as const;
      return step({ type: 'messageReceived', from, message: { ...agreed, sentAtMs: 0 } });
    };
    for (let at = 0; at < 3; at += 1) {
      step({ type: 'proposed', proposals: [{ proposal: at, data: Uint8Array.of(at) }] });
      agrees('a', raft.status.lastIndex);
      step({ type: 'persisted', write: 2 + at });
    }
    expect(raft.status).toMatchObject({ commit: 9, lastIndex: 9 });
    step({ type: 'snapshotTaken', head: { index: 9, term: 2, membership: MEMBERSHIP, bytes: 1 } });
    expect(entriesIn(agrees('c', 7))).toEqual({ c: [] });
    expect(entriesIn(received({ type: 'readAnswer', term: 2, read: 1, index: null }))).toEqual({});
  });
});
