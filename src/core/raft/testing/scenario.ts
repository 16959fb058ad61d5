/**
 * Scenarios that a person can read: a line is a command, the indented lines below it are what happened. Nothing moves
 * by itself: messages wait until they are delivered, writes are durable at once unless a disk is held.
 *
 *   replicas a b c [on-demand]   starts them, all voters          learner d        starts one that belongs to nothing yet
 *   elect a                      its election timer fires          want a           on demand: a has something to decide
 *   deliver                      until nothing is on the way       drop             loses everything on the way
 *   cut a b / heal               no messages between them          connect a b      both are told of a connection
 *   wait 500                     time passes at all that run
 *   propose a x                  change a add d learner | role d voter | remove b
 *   read a / transfer a b / compact a / status
 *   hold a / sync a              its disk writes nothing, until it does
 *   crash a / restart a          what was not durable is lost
 */
import { assert, must } from '../../base/assert.ts';
import { Prng } from '../../base/prng.ts';
import type { ReplicaRole } from '../../model/replicas.ts';
import type { HardState, MembershipChange, RaftEffect, RaftInput } from '../contract.ts';
import type { Membership, Replica, ReplicaId } from '../membership.ts';
import type { RaftEntry, RaftMessage, SnapshotHead } from '../messages.ts';
import { Raft } from '../raft.ts';

type Persist = Extract<RaftEffect, { type: 'persist' }>;
type Send = Extract<RaftEffect, { type: 'send' }>;

interface Member {
  readonly id: ReplicaId;
  readonly membership: Membership;
  raft: Raft | null;
  hard: HardState;
  entries: readonly RaftEntry[];
  snapshot: SnapshotHead | null;
  isHeld: boolean;
  unwritten: Persist[];
  unsent: Send[];
}

const SNAPSHOT_BYTES = 4;

function replica(id: ReplicaId, role: ReplicaRole): Replica {
  return { id, name: id, url: `https://${id}:7443`, role };
}

function roleOf(word: string): ReplicaRole {
  assert(word === 'voter' || word === 'learner', `${word} is a role`);
  return word;
}

export class Scenario {
  #nowMs = 1_000;
  #out: string[] = [];
  #leadership: 'standing' | 'on-demand' = 'standing';
  #number = 0;
  readonly #members = new Map<ReplicaId, Member>();
  readonly #names = new Map<number, string>();
  readonly #cut = new Set<string>();
  #onTheWay: { readonly from: ReplicaId; readonly to: ReplicaId; readonly message: RaftMessage }[] = [];

  /** The scenario with what happens now below each command. */
  run(text: string): string {
    const lines: string[] = [];
    for (const line of text.split('\n')) {
      if (line.startsWith('  ')) continue;
      lines.push(line);
      if (line === '' || line.startsWith('#')) continue;
      this.#out = [];
      const [command = '', ...words] = line.split(' ');
      this.#command(command, words);
      lines.push(...this.#out.map((out) => `  ${out}`));
    }
    return lines.join('\n');
  }

  #command(command: string, words: readonly string[]): void {
    const [id = '', other = ''] = words;
    switch (command) {
      case 'replicas': {
        const ids = words.filter((word) => word !== 'on-demand');
        if (ids.length < words.length) this.#leadership = 'on-demand';
        for (const each of ids)
          this.#add(
            each,
            ids.map((one) => replica(one, 'voter')),
          );
        return;
      }
      case 'learner':
        this.#add(id, []);
        return;
      case 'elect':
        this.#nowMs = must(this.#running(id).wakeAtMs, 'a timer');
        this.#step(id, { type: 'timePassed' });
        return;
      case 'want':
        this.#step(id, { type: 'leadershipWanted' });
        return;
      case 'deliver':
        this.#deliver();
        return;
      case 'drop':
        this.#onTheWay = [];
        return;
      case 'cut':
        this.#cut.add(`${id} ${other}`).add(`${other} ${id}`);
        return;
      case 'heal':
        this.#cut.clear();
        return;
      case 'connect':
        this.#step(id, { type: 'peerConnected', peer: other });
        this.#step(other, { type: 'peerConnected', peer: id });
        return;
      case 'wait':
        this.#wait(Number(id));
        return;
      case 'propose':
        this.#step(id, {
          type: 'proposed',
          proposals: [{ proposal: this.#name(other), data: Uint8Array.from(other, (c) => c.charCodeAt(0)) }],
        });
        return;
      case 'change':
        this.#step(id, {
          type: 'membershipProposed',
          proposal: this.#name(words.slice(1).join(' ')),
          change: changeOf(words),
        });
        return;
      case 'read':
        this.#step(id, { type: 'readRequested', read: this.#name('read') });
        return;
      case 'transfer':
        this.#step(id, { type: 'transferRequested', to: other });
        return;
      case 'compact':
        this.#compact(id);
        return;
      case 'hold':
        this.#member(id).isHeld = true;
        return;
      case 'sync':
        this.#member(id).isHeld = false;
        this.#write(this.#member(id));
        return;
      case 'crash':
        this.#crash(this.#member(id));
        return;
      case 'restart':
        this.#start(this.#member(id));
        return;
      case 'status':
        for (const member of this.#members.values()) this.#out.push(`${member.id} ${describe(member)}`);
        return;
      default:
        assert(false, `${command} is a command`);
    }
  }

  #member(id: ReplicaId): Member {
    return must(this.#members.get(id), `replica ${id}`);
  }

  #running(id: ReplicaId): Raft {
    return must(this.#member(id).raft, `${id} runs`);
  }

  #name(name: string): number {
    this.#number += 1;
    this.#names.set(this.#number, name);
    return this.#number;
  }

  #add(id: ReplicaId, membership: Membership): void {
    const hard = { term: 0, votedFor: null, commit: 0 };
    const member = { id, membership, raft: null, hard, entries: [], snapshot: null, isHeld: false, unwritten: [], unsent: [] };
    this.#members.set(id, member);
    this.#start(member);
  }

  #start(member: Member): void {
    const { id, membership, hard, entries, snapshot } = member;
    const times = { electionTimeoutMinMs: 100, electionTimeoutMaxMs: 1_000, quietMs: 200 };
    const init = { id, membership, leadership: this.#leadership, ...times };
    member.raft = new Raft(init, { hard, entries, snapshot }, new Prng(this.#members.size));
    this.#step(id, { type: 'timePassed' });
  }

  #crash(member: Member): void {
    Object.assign(member, { raft: null, unwritten: [], unsent: [], isHeld: false });
  }

  #compact(id: ReplicaId): void {
    const head = this.#running(id).headAt(this.#running(id).status.commit, SNAPSHOT_BYTES);
    if (!head) return;
    const member = this.#member(id);
    member.snapshot = head;
    member.entries = member.entries.filter(({ index }) => index > head.index);
    this.#step(id, { type: 'snapshotTaken', head });
  }

  #wait(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (; this.#nowMs < endMs; this.#nowMs += 10) {
      for (const { id, raft } of this.#members.values()) {
        const wakeAtMs = raft?.wakeAtMs ?? null;
        if (wakeAtMs !== null && wakeAtMs <= this.#nowMs) this.#step(id, { type: 'timePassed' });
      }
      this.#deliver();
    }
  }

  #deliver(): void {
    for (let next = this.#onTheWay.shift(); next; next = this.#onTheWay.shift()) {
      const { from, to, message } = next;
      if (this.#cut.has(`${from} ${to}`) || !this.#members.get(to)?.raft) continue;
      const attachment = message.type === 'voteRequest' && this.#leadership === 'on-demand' ? Uint8Array.of(1) : null;
      this.#step(to, { type: 'messageReceived', from, message, attachment });
    }
  }

  #step(id: ReplicaId, input: RaftInput): void {
    const member = this.#member(id);
    for (const effect of this.#running(id).step(this.#nowMs, input)) this.#carryOut(member, effect);
    if (!member.isHeld) this.#write(member);
  }

  #write(member: Member): void {
    for (let write = member.unwritten.shift(); write; write = member.unwritten.shift()) {
      member.hard = write.hard;
      const first = write.entries[0]?.index ?? Number.POSITIVE_INFINITY;
      member.entries = [...member.entries.filter(({ index }) => index < first), ...write.entries];
      this.#durable(member, write.write);
    }
  }

  #durable(member: Member, write: number): void {
    for (const { to, message } of member.unsent.filter(({ after }) => after <= write))
      this.#onTheWay.push({ from: member.id, to, message });
    member.unsent = member.unsent.filter(({ after }) => after > write);
    this.#step(member.id, { type: 'persisted', write });
  }

  #carryOut(member: Member, effect: RaftEffect): void {
    const { id } = member;
    const say = (what: string) => this.#out.push(`${id} ${what}`);
    switch (effect.type) {
      case 'persist':
        member.unwritten.push(effect);
        return;
      case 'send':
        if (effect.after > 0 && member.unwritten.some(({ write }) => write <= effect.after)) member.unsent.push(effect);
        else this.#onTheWay.push({ from: id, to: effect.to, message: effect.message });
        return;
      case 'sendPiece': {
        const { term, head, piece } = effect;
        const message: RaftMessage = { type: 'snapshotPiece', term, head, piece, data: new Uint8Array(SNAPSHOT_BYTES) };
        this.#onTheWay.push({ from: id, to: effect.to, message });
        return;
      }
      case 'keepPiece':
      case 'adoptSnapshot':
        if (effect.type === 'adoptSnapshot') {
          Object.assign(member, { snapshot: effect.head, entries: [] });
          say(`takes the snapshot up to ${effect.head.index}`);
        }
        this.#durable(member, effect.write);
        return;
      case 'committed':
        for (const entry of effect.entries)
          say(`commits ${entry.index}/${entry.term} ${entry.kind === 'data' ? String.fromCharCode(...entry.data) : entry.kind}`);
        return;
      case 'dropped':
        say(`drops ${this.#names.get(effect.proposal)}: ${effect.reason} (${effect.fate})`);
        return;
      case 'readReady':
        say(effect.index === null ? 'refuses the read' : `reads at ${effect.index}`);
        return;
      case 'leadershipChanged': {
        const loads = effect.votes.filter(({ attachment }) => attachment).map(({ voter }) => voter);
        const told = loads.length > 0 ? `, with the load of ${loads.join(' and ')}` : '';
        say(`term ${effect.term}: ${effect.leader ?? 'nobody'} leads${told}`);
        return;
      }
      case 'membershipChanged':
        say(`members: ${effect.membership.map((one) => `${one.id} ${one.role}`).join(', ')}`);
        return;
    }
  }
}

function changeOf([, verb, id = '', role = '']: readonly string[]): MembershipChange {
  if (verb === 'add') return { do: 'add', replica: replica(id, roleOf(role)) };
  if (verb === 'role') return { do: 'setRole', id, role: roleOf(role) };
  assert(verb === 'remove', `${verb} is a change`);
  return { do: 'remove', id };
}

function describe({ raft }: Member): string {
  if (!raft) return 'is down';
  const { role, term, commit, lastIndex, isPaused } = raft.status;
  return `${role}${isPaused ? ' paused' : ''} term ${term} commit ${commit} last ${lastIndex}${raft.wakeAtMs === null ? ' no timer' : ''}`;
}
