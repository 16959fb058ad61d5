import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../../core/base/limits.ts';
import { encodeMembership, type Membership } from '../../core/raft/membership.ts';
import type { PeerMessage, RaftEntry, RaftMessage } from '../../core/raft/messages.ts';
import { decodeFrame, encodeFrame } from './frames.ts';

const whole = fc.oneof(fc.nat(300), fc.maxSafeNat());
const milliseconds = fc.double({ min: 0, max: 1e15, noNaN: true }).map((value) => value + 0);
const bytes = fc.uint8Array({ maxLength: 300 }).map((data) => new Uint8Array(data));
const replicaId = fc.stringMatching(/^[a-z0-9]{1,32}$/);
const membership: fc.Arbitrary<Membership> = fc
  .uniqueArray(
    fc.record({
      id: replicaId,
      name: fc.stringMatching(/^[a-z0-9]{1,20}$/),
      url: fc.stringMatching(/^https:\/\/[a-z0-9:.[\]]{1,40}$/),
      role: fc.constantFrom('voter' as const, 'learner' as const),
    }),
    { minLength: 1, maxLength: 7, selector: ({ id }) => id },
  )
  .map(([first, ...others]) => [...(first ? [{ ...first, role: 'voter' as const }] : []), ...others])
  .map((list) => list.sort((a, b) => (a.id < b.id ? -1 : 1)));

/** Terms up to the message's own, growing. */
const append: fc.Arbitrary<RaftMessage> = fc
  .record({
    terms: fc.array(whole, { minLength: 2, maxLength: 20 }).map((list) => list.sort((a, b) => a - b)),
    previousIndex: fc.nat(1e15),
    contents: fc.array(
      fc.oneof(
        fc.record({ kind: fc.constantFrom('data' as const, 'blank' as const), data: bytes }),
        fc.record({ kind: fc.constant('membership' as const), data: membership.map(encodeMembership) }),
      ),
      { maxLength: 18 },
    ),
    commit: whole,
    round: whole,
    sentAtMs: milliseconds,
    electionTimeoutMs: milliseconds,
    pause: fc.boolean(),
  })
  .map(({ terms, contents, previousIndex, ...others }) => {
    const term = terms.at(-1) ?? 0;
    const entries: RaftEntry[] = contents.map(({ kind, data }, at) => ({
      index: previousIndex + 1 + at,
      term: terms[at + 1] ?? term,
      kind,
      data,
    }));
    return { type: 'append', term, previousIndex, previousTerm: terms[0] ?? 0, entries, ...others };
  });

const snapshotPiece: fc.Arbitrary<RaftMessage> = fc
  .record({ terms: fc.tuple(whole, whole), index: fc.integer({ min: 1 }), membership, data: bytes, fullPieces: fc.nat(3) })
  .filter(({ data, fullPieces }) => data.length > 0 || fullPieces === 0)
  .map(({ terms, index, membership: members, data, fullPieces }) => ({
    type: 'snapshotPiece',
    term: Math.max(...terms),
    head: {
      index,
      term: Math.min(...terms),
      membership: members,
      bytes: fullPieces * limits.snapshotPieceBytes + data.length,
    },
    piece: fullPieces,
    data,
  }));

const under = (build: (term: number, earlier: number) => fc.Arbitrary<RaftMessage>) =>
  fc.tuple(whole, whole).chain(([a, b]) => build(Math.max(a, b), Math.min(a, b)));

const message: fc.Arbitrary<PeerMessage> = fc.oneof(
  append,
  snapshotPiece,
  under((term, lastTerm) =>
    fc.record({ pre: fc.boolean(), transfer: fc.boolean(), lastIndex: whole }).map((rest) => ({
      type: 'voteRequest' as const,
      term,
      lastTerm,
      ...rest,
    })),
  ),
  fc
    .record({
      term: whole,
      pre: fc.boolean(),
      granted: fc.boolean(),
      leader: fc.option(replicaId),
      attachment: fc.option(bytes),
    })
    .map((rest) => ({ type: 'vote' as const, ...rest })),
  under((term, hintTerm) =>
    fc
      .record({ success: fc.boolean(), previousIndex: whole, index: whole, round: whole, sentAtMs: milliseconds })
      .map((rest) => ({ type: 'appended' as const, term, hintTerm, ...rest })),
  ),
  fc.record({ term: whole, snapshotIndex: whole, piece: whole }).map((rest) => ({ type: 'pieceTaken' as const, ...rest })),
  whole.map((term) => ({ type: 'timeoutNow' as const, term })),
  fc.record({ term: whole, read: whole }).map((rest) => ({ type: 'readRequest' as const, ...rest })),
  fc.record({ term: whole, read: whole, index: fc.option(whole) }).map((rest) => ({ type: 'readAnswer' as const, ...rest })),
  whole.map((term) => ({ type: 'ask' as const, term })),
  fc.record({ term: whole, attachment: bytes }).map((rest) => ({ type: 'tell' as const, ...rest })),
  fc.record({ term: whole, version: whole, members: membership }).map((rest) => ({ type: 'members' as const, ...rest })),
);

const heartbeat = {
  type: 'append',
  term: 3,
  previousIndex: 9,
  previousTerm: 2,
  entries: [],
  commit: 9,
  round: 4,
  sentAtMs: 12.5,
  electionTimeoutMs: 150,
  pause: false,
} as const satisfies RaftMessage;

const entry = (change: Partial<RaftEntry> = {}): RaftEntry => ({
  index: 10,
  term: 3,
  kind: 'data',
  data: new Uint8Array(1),
  ...change,
});

describe('frames', () => {
  it('carry any message unaltered', () => {
    fc.assert(
      fc.property(message, (sent) => {
        expect(decodeFrame(encodeFrame(sent))).toEqual(sent);
      }),
      { numRuns: 2_000 },
    );
  });

  it('W1: random bytes never throw', () => {
    fc.assert(
      fc.property(fc.nat(9), fc.uint8Array({ maxLength: 200 }), (type, rest) => {
        decodeFrame(Uint8Array.of(type, ...rest));
      }),
      { numRuns: 5_000 },
    );
  });

  it('W1: every truncation is refused, and so is whatever follows the end', () => {
    fc.assert(
      fc.property(message, fc.nat(255), (sent, more) => {
        const frame = encodeFrame(sent);
        for (let length = 0; length < frame.length; length += Math.ceil(frame.length / 100))
          expect(decodeFrame(frame.subarray(0, length))).toBeNull();
        expect(decodeFrame(Uint8Array.of(...frame, more))).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it('W1: with bits flipped a frame is refused, or is another message that could have been sent', () => {
    fc.assert(
      fc.property(message, fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 4 }), (sent, flips) => {
        const frame = new Uint8Array(encodeFrame(sent));
        for (const [at, bit] of flips) frame[at % frame.length] = (frame[at % frame.length] ?? 0) ^ (1 << bit);
        const read = decodeFrame(frame);
        if (read !== null) expect(decodeFrame(encodeFrame(read))).toEqual(read);
      }),
      { numRuns: 5_000 },
    );
  });

  it('W3: what is read does not change with the buffer that it came in', () => {
    const buffer = Buffer.from(encodeFrame({ ...heartbeat, entries: [entry({ data: Buffer.from('kept') })] }));
    const read = decodeFrame(buffer);
    buffer.fill(0);
    expect(read?.type === 'append' && Buffer.from(read.entries[0]?.data ?? []).toString()).toBe('kept');
  });

  it('a heartbeat is small', () => {
    expect(encodeFrame(heartbeat).length).toBeLessThan(30);
  });

  const tooMany = Array.from({ length: limits.logBatchEntries + 1 }, (_, at) => entry({ index: 10 + at }));
  const members = (count: number, role: 'voter' | 'learner'): Membership =>
    Array.from({ length: count }, (_, at) => ({ id: `r${10 + at}`, name: `n${at}`, url: 'https://a:1', role }));
  const asEntry = (list: unknown) => entry({ kind: 'membership', data: Buffer.from(JSON.stringify(list)) });
  it.each<[string, RaftMessage]>([
    ['more entries than a batch has', { ...heartbeat, entries: tooMany }],
    ['an entry over its limit', { ...heartbeat, entries: [entry({ data: new Uint8Array(limits.logEntryBytes + 1) })] }],
    ['an entry of a later term', { ...heartbeat, entries: [entry({ term: 4 })] }],
    ['terms that go back', { ...heartbeat, entries: [entry({ term: 1 })] }],
    ['a time that is none', { ...heartbeat, sentAtMs: Number.NaN }],
    ['a time without end', { ...heartbeat, electionTimeoutMs: Number.POSITIVE_INFINITY }],
    ['a membership that is no JSON', { ...heartbeat, entries: [entry({ kind: 'membership' })] }],
    ['a membership of nobody', { ...heartbeat, entries: [asEntry([])] }],
    ['a membership without a voter', { ...heartbeat, entries: [asEntry(members(2, 'learner'))] }],
    ['a membership of too many voters', { ...heartbeat, entries: [asEntry(members(8, 'voter'))] }],
    ['a membership out of order', { ...heartbeat, entries: [asEntry(members(2, 'voter').toReversed())] }],
    ['a leader with no name', { type: 'vote', term: 1, pre: false, granted: false, leader: 'a/b', attachment: null }],
    [
      'an attachment over its limit',
      {
        type: 'vote',
        term: 1,
        pre: false,
        granted: true,
        leader: null,
        attachment: new Uint8Array(limits.peerAttachmentBytes + 1),
      },
    ],
    [
      'a piece that is not whole',
      {
        type: 'snapshotPiece',
        term: 1,
        head: { index: 1, term: 1, membership: members(1, 'voter'), bytes: 10 },
        piece: 0,
        data: new Uint8Array(9),
      },
    ],
    [
      'a piece after the last',
      {
        type: 'snapshotPiece',
        term: 1,
        head: { index: 1, term: 1, membership: members(1, 'voter'), bytes: limits.snapshotPieceBytes },
        piece: 1,
        data: new Uint8Array(0),
      },
    ],
  ])('W1: refuses %s', (_what, sent) => {
    expect(decodeFrame(encodeFrame(sent))).toBeNull();
  });

  it('the largest batch and the largest piece fit into a frame', () => {
    const data = new Uint8Array(limits.logBatchBytes / limits.logBatchEntries);
    const entries = Array.from({ length: limits.logBatchEntries }, (_, at) =>
      entry({ index: Number.MAX_SAFE_INTEGER - limits.logBatchEntries + 1 + at, term: Number.MAX_SAFE_INTEGER, data }),
    );
    const previousIndex = Number.MAX_SAFE_INTEGER - limits.logBatchEntries;
    const frame = encodeFrame({ ...heartbeat, term: Number.MAX_SAFE_INTEGER, previousIndex, entries });
    expect(frame.length).toBeLessThanOrEqual(limits.peerFrameBytes);
    expect(decodeFrame(frame)).not.toBeNull();
    const one = encodeFrame({ ...heartbeat, entries: [entry({ data: new Uint8Array(limits.logEntryBytes) })] });
    expect(decodeFrame(one)).not.toBeNull();
  });
});
