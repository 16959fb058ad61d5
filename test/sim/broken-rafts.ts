/** Rafts that each break one rule: what the simulation must find, or it is worth nothing. */
import type { RunName } from '../../src/core/raft/testing/runs.ts';
import type { Break } from './broken-program.ts';

export interface BrokenRaft extends Break {
  /** The rule that it breaks. */
  readonly rule: string;
  /** The kind of run that finds it, and what that says. */
  readonly run: RunName;
  readonly caught: RegExp;
}

const raft = 'src/core/raft/raft.ts';

export const BROKEN_RAFTS: Readonly<Record<string, BrokenRaft>> = {
  'says things before they are durable': {
    rule: 'F2: what a message promises is durable before it is sent',
    file: raft,
    find: 'message, after: Math.max(after, hardWrite) }',
    replace: 'message, after: 0 }',
    run: 'misfortunes',
    caught: /F2/,
  },
  'agrees to entries before they are durable': {
    rule: 'F2: a follower answers when its disk has it (section 5.3)',
    file: raft,
    find: 'const after = success && index <= this.#durable ? 0 : this.#thisWrite();',
    replace: 'const after = 0;',
    run: 'misfortunes',
    caught: /F2/,
  },
  'counts itself before its own disk has the entry': {
    rule: 'a leader counts itself when the entry is durable (dissertation 10.2.1)',
    file: raft,
    find: 'id === this.#init.id ? this.#durable :',
    replace: 'id === this.#init.id ? this.#log.lastIndex :',
    run: 'misfortunes',
    caught: /quorum:|F2/,
  },
  'takes writes for durable that are not': {
    rule: 'F2: `persisted` is told of the writes that have ended',
    file: raft,
    find: 'while (this.#writes[0] && this.#writes[0].write <= write) {',
    replace: 'while (this.#writes[0]) {',
    run: 'misfortunes',
    caught: /quorum:|L1/,
  },
  'forgets its vote': {
    rule: 'F1: one vote in a term, also over a crash (section 5.2)',
    file: raft,
    find: `        this.#hard = { term, votedFor: from };
        this.#isHardUnsaved = true;`,
    replace: '        this.#hard = { term, votedFor: from };',
    run: 'misfortunes',
    caught: /F1|F2/,
  },
  'forgets its term': {
    rule: 'F1: the term never goes back, also over a crash',
    file: raft,
    find: `      this.#hard = { term, votedFor: null };
      this.#isHardUnsaved = true;`,
    replace: '      this.#hard = { term, votedFor: null };',
    run: 'misfortunes',
    caught: /F1|F2/,
  },
  'votes for whoever asks in a term': {
    rule: 'F1: one vote in a term (section 5.2)',
    file: raft,
    find: `(votedFor === null || votedFor === from);
    const granted`,
    replace: `true;
    if (isFree && !message.pre) this.#hard = { term, votedFor: null };
    const granted`,
    run: 'misfortunes',
    caught: /F1|election safety/,
  },
  'votes for logs that lack what is committed': {
    rule: 'the candidate has all that the voter has (section 5.4.1)',
    file: raft,
    find: 'const granted = !isHeld && upToDate && isFree;',
    replace: 'const granted = !isHeld && isFree;',
    run: 'misfortunes',
    caught: /leader completeness|F4|state machine safety/,
  },
  'counts a promise of a vote for a vote': {
    rule: 'a pre-vote elects nobody (dissertation 9.6)',
    file: raft,
    find: `!message.pre && message.term === this.#hard.term : message.pre;
    if (!asked) return;
    if (message.granted && message.pre && message.term !== this.#hard.term + 1) return; // of an earlier campaign`,
    replace: `true : message.pre;
    if (!asked) return;`,
    run: 'churn',
    caught: /votes:|election safety/,
  },

  'counts votes of an earlier term': {
    rule: 'a vote is of its term (section 5.2)',
    file: raft,
    find: 'if (message.term < this.#hard.term && !isPreVote) {',
    replace:
      "if (message.type === 'vote' && !message.pre) { this.#voteReceived(from, { ...message, term: this.#hard.term }); return; }\n    if (message.term < this.#hard.term && !isPreVote) {",
    run: 'churn',
    caught: /votes:|election safety/,
  },
  'elects by half of the voters': {
    rule: 'two quorums have a replica in common (section 5.2)',
    file: 'src/core/raft/membership.ts',
    find: 'return Math.floor(count / 2) + 1;',
    replace: 'return Math.max(1, Math.ceil(count / 2));',
    run: 'misfortunes',
    caught: /election safety|leader completeness|state machine safety/,
  },
  'counts learners': {
    rule: 'learners have no say (dissertation 4.2.1)',
    file: 'src/core/raft/membership.ts',
    find: `return membership.filter(({ role }) => role === 'voter').map(({ id }) => id);`,
    replace: 'return membership.map(({ id }) => id);',
    run: 'growsAndShrinks',
    caught: /./,
  },
  'commits an entry of an earlier term by counting': {
    rule: 'F3: only an entry of the own term is committed by counting (section 5.4.2, figure 8)',
    file: raft,
    find: 'if (reached > this.#commit && this.#log.termAt(reached) === this.#hard.term) this.#commit = reached;',
    replace: 'if (reached > this.#commit) this.#commit = reached;',
    run: 'leadersCutShort',
    caught: /leader completeness|F4|state machine safety|election safety/,
  },
  'takes more for committed than it has been told agrees': {
    rule: 'a follower commits up to the last entry of the message (section 5.3)',
    file: raft,
    find: 'Math.min(message.commit, last)',
    replace: 'Math.min(message.commit, this.#log.lastIndex)',
    run: 'churn',
    caught: /F4|state machine safety/,
  },
  'takes entries without looking at the one before': {
    rule: 'log matching: the follower checks what comes before (section 5.3)',
    file: raft,
    find: 'if (previousIndex < this.#log.firstIndex - 1 || this.#log.termAt(previousIndex) !== previousTerm) {',
    replace: 'if (previousIndex < this.#log.firstIndex - 1 || this.#log.termAt(previousIndex) === null) {',
    run: 'churn',
    caught: /log matching|F4|state machine safety|takes/,
  },
  'truncates what a message does not mention': {
    rule: 'only a conflict truncates: a late message must not (section 5.3)',
    file: raft,
    find: `    const firstNew = entries.find(`,
    replace: `    if (entries.length > 0 && last < this.#log.lastIndex && last >= this.#commit) this.#truncateFrom(last + 1);
    const firstNew = entries.find(`,
    run: 'misfortunes',
    caught: /F4|quorum:|has written/,
  },
  'delivers before its own disk has it': {
    rule: 'L1: an entry is delivered when it is durable',
    file: raft,
    find: 'const until = Math.min(this.#commit, this.#durable);',
    replace: 'const until = this.#commit;',
    run: 'misfortunes',
    caught: /L1/,
  },
  'remembers as committed what is only written': {
    rule: 'what is written down as committed is',
    file: raft,
    find: 'const hard = { term, votedFor, commit: this.#commit };',
    replace: 'const hard = { term, votedFor, commit: this.#log.lastIndex };',
    run: 'misfortunes',
    caught: /state machine safety|leader completeness|F4|L1|committed/,
  },
  'throws away what follows a late snapshot': {
    rule: 'what follows a snapshot that agrees is kept (section 7)',
    file: raft,
    find: 'if (this.#log.termAt(head.index) === head.term) this.#commit',
    replace: 'if (false) this.#commit',
    run: 'compaction',
    seed: 1908,
    caught: /quorum:|leader completeness|F4/,
  },
  'takes a snapshot that is not all there': {
    rule: 'all pieces of a snapshot come first (section 7)',
    file: raft,
    find: 'if (incoming.piece === piecesOf(head)) this.#adopt(head);',
    replace: 'if (incoming.piece === 1) this.#adopt(head);',
    run: 'misfortunes',
    caught: /all its pieces/,
  },
  'writes snapshots that know of no members': {
    rule: 'a snapshot holds the membership of its end (dissertation 5.1)',
    file: raft,
    find: 'membership: this.#memberships.at(index), bytes }',
    replace: 'membership: [], bytes }',
    run: 'misfortunes',
    caught: /the snapshot of .* for /,
  },
  'reads the members of a snapshot not at all': {
    rule: 'a snapshot holds the membership of its end (dissertation 5.1)',
    file: raft,
    find: 'this.#memberships.reset(head.index, head.membership);',
    replace: 'this.#memberships.reset(head.index, this.#memberships.current);',
    run: 'misfortunes',
    caught: /./,
  },
  'makes two changes of its members at once': {
    rule: 'F5: one change is under way at a time (dissertation 4.1)',
    file: raft,
    find: "(this.#memberships.changedAt > this.#commit ? 'another change of the replicas is under way' : null)",
    replace: 'null',
    run: 'misfortunes',
    caught: /F5/,
  },
  'changes its members before it has committed anything': {
    rule: "F5: no change before an entry of the leader's term is committed (Ongaro, raft-dev, 2015)",
    file: raft,
    find: "(this.#commit < this.#ownTermIndex ? 'the leader is too new: try again' : null) ??",
    replace: '',
    run: 'misfortunes',
    caught: /F5/,
  },
  'leads on when it is no voter any more': {
    rule: 'a removed leader steps down when that is committed (dissertation 4.2.2)',
    file: raft,
    find: 'if (this.#stepsDown()) return;',
    replace: '',
    run: 'misfortunes',
    caught: /is no voter since/,
  },
  'serves a read without asking anybody': {
    rule: 'a leader that reads has a quorum confirm that it leads (dissertation 6.4)',
    file: raft,
    find: 'if (votersOf(this.#memberships.current).length === 1 && isVoter(this.#memberships.current, this.#init.id)) {',
    replace: '{',
    run: 'leadersCutShort',
    caught: /stale read/,
  },
  'serves a read from what it knew before it led': {
    rule: 'a leader reads once an entry of its own term is committed (dissertation 6.4, step 1)',
    file: raft,
    find: 'return this.#commit >= this.#ownTermIndex ? this.#commit : null;',
    replace: 'return this.#commit;',
    run: 'misfortunes',
    caught: /stale read/,
  },
  'has one replica confirm a read': {
    rule: 'a quorum confirms that the leader leads (dissertation 6.4, step 2)',
    file: raft,
    find: 'reachedByQuorum(voters, (id) => (id === this.#init.id ? this.#reads.round : (this.#progress.get(id)?.round ?? 0))),',
    replace: 'Math.max(...voters.map((id) => this.#progress.get(id)?.round ?? 0)),',
    run: 'leadersCutShort',
    caught: /stale read/,
  },

  'serves a read before it has applied it': {
    rule: 'a read waits until its index is applied (dissertation 6.4, step 3)',
    file: 'src/core/raft/reads.ts',
    find: 'const ready = this.#confirmed.filter(({ index }) => index <= delivered);',
    replace: 'const ready = this.#confirmed;',
    run: 'misfortunes',
    caught: /stale read/,
  },
  'answers a proposal by the entry that took its place': {
    rule: 'L2: a proposal is answered by its own entry',
    file: raft,
    find: 'if (own.term === term) return',
    replace: 'if (own.term > 0) return',
    run: 'misfortunes',
    caught: /answered once, by its own entry/,
  },
  'gives up its proposals for good when it loses the leadership': {
    rule: 'L2: what is dropped for good is never delivered',
    file: raft,
    find: 'if (led) this.#progress.clear();',
    replace: `if (led) {
      this.#progress.clear();
      for (const { number } of this.#proposals.takeWithin(0, Infinity)) this.#drop(number, 'it leads no more', 'never');
    }`,
    run: 'misfortunes',
    caught: /dropped for good/,
  },

  'gives out a torn record': {
    rule: 'T2: a damaged record is found by its checksum and never given out',
    file: 'src/core/raft/testing/disk.ts',
    find: 'if (torn && sumOfChange(torn.value) === torn.checksum)',
    replace: 'if (torn)',
    run: 'misfortunes',
    caught: /log matching|state machine safety|JSON|F1|F2/,
  },
  'gives out a record that has rotted': {
    rule: 'T2: a damaged record is found by its checksum and never given out',
    file: 'src/core/raft/testing/disk.ts',
    find: 'if (sumOf(value) !== checksum) throw',
    replace: 'if (value.index < 0) throw',
    run: 'misfortunes',
    caught: /log matching|JSON/,
  },
  'campaigns without asking first': {
    rule: 'pre-vote (dissertation 9.6)',
    file: raft,
    find: "this.#campaign('pre', false);",
    replace: "this.#campaign('real', false);",
    run: 'comesBack',
    caught: /disruption/,
  },
  'votes against a leader that it hears': {
    rule: 'a voter that hears a leader votes for nobody (dissertation 4.2.3)',
    file: raft,
    find: "const isHeld = (this.#role === 'leader' || hearsLeader) && !message.transfer;",
    replace: 'const isHeld = hearsLeader && false;',
    run: 'comesBack',
    caught: /disruption/,
  },
  'leads on when it hears nobody': {
    rule: 'check-quorum (dissertation 6.2)',
    file: raft,
    find: 'return heard.length >= quorumOf(voters.length);',
    replace: 'return heard.length >= 0;',
    run: 'isAlone',
    caught: /check-quorum/,
  },
  'hands over to one whom nobody may vote for': {
    rule: 'an election that the leader asked for is not held back (dissertation 3.10)',
    file: raft,
    find: "if (this.#role !== 'leader') this.#campaign('real', true);",
    replace: "if (this.#role !== 'leader') this.#campaign('real', false);",
    run: 'handsOver',
    caught: /hands over to/,
  },
  'takes a lost answer for an answer': {
    rule: 'a follower is asked until it is known to have everything (section 5.3)',
    file: raft,
    find: 'if (isIdle && progress.match < this.#log.lastIndex) progress.probeFrom(this.#log.lastIndex, this.#nowMs);',
    replace: '',
    run: 'losesMuch',
    caught: /has not everything/,
  },
  'waits for the answer of a leader that it has left': {
    rule: 'every read is answered',
    file: raft,
    find: `    this.#leader = null;
    this.#dropReads();`,
    replace: '    this.#leader = null;',
    run: 'churn',
    caught: /liveness: .* reads/,
  },
  'leaves somebody behind in silence': {
    rule: 'on demand: whoever has missed something is told of it',
    file: raft,
    find: 'if (this.#isPaused && !upToDate && this.#belongs(from)) this.#resume();',
    replace: '',
    run: 'fallsSilent',
    caught: /nobody tells it/,
  },
  'sends everything again and again to whoever is slow': {
    rule: 'what is on the way is waited for the longer, the more often it came late',
    file: 'src/core/raft/progress.ts',
    find: 'this.#movedAtMs > this.#patience * timeoutMs',
    replace: 'this.#movedAtMs > timeoutMs',
    run: 'isSlow',
    caught: /is sent/,
  },
  'cuts its log short while a slow replica catches up': {
    rule: 'a replica that makes headway catches up, however much is decided meanwhile',
    file: raft,
    find: ' || this.#isNeeded(index)) return null;',
    replace: ') return null;',
    run: 'isSlow',
    caught: /has not caught up/,
  },
  'takes ten milliseconds for the farthest there is': {
    rule: 'the election timeout follows the round trip',
    file: 'src/core/raft/election-timeout.ts',
    find: 'if (ROUND_TRIPS * roundTripMs > this.#ms) this.follow(roundTripMs, nowMs);',
    replace: '',
    run: 'farApart',
    caught: /round trips|nobody leads/,
  },
  'tells the others to wait for less than it keeps silent': {
    rule: 'F7: a leader is never silent for as long as it has told the others to wait',
    file: raft,
    find: '      electionTimeoutMs: this.#electionTimeout.ms,',
    replace: '      electionTimeoutMs: this.#init.electionTimeoutMinMs,',
    run: 'leadersStop',
    caught: /is voted out/,
  },
  'cuts into an election that is under way': {
    rule: 'on demand: only who is paused campaigns at once; the others wait for their timers',
    file: raft,
    find: "if (this.#isPaused) this.#campaign('real', false);",
    replace: "if (this.#role !== 'leader') this.#campaign('real', false);",
    run: 'gatewaysDuel',
    caught: /livelock|spins/,
  },
};
