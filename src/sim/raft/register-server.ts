/**
 * What one process of a replica does for clients: registers on its log. A change goes into the log where it leads, and
 * is sent on to the leader where another one does; on demand whoever is asked takes the lead itself. A read is confirmed
 * by a quorum, wherever it is asked.
 */
import { assert } from '../../core/base/assert.ts';
import type { Leadership, ProposalFate } from '../../core/model/leadership.ts';
import type { RaftLog } from '../../node/raft-log.ts';
import type { LogEntry, LogListener } from '../../ports/log.ts';
import { type Command, decodeCommand, encode, Registers } from './registers.ts';
import type { ReplicaMachine } from './replica.ts';

export type Reply =
  | { readonly type: 'done'; readonly answer: number }
  /** Not done here, and perhaps nowhere: ask again, if it is known there. */
  | { readonly type: 'elsewhere'; readonly leader: string | null };

interface Asked {
  readonly command: Command;
  readonly reply: (reply: Reply) => void;
}

/** What of its log has to hold is checked by whoever watches. */
export interface ServerWatch {
  restored(replica: ReplicaMachine, registers: Registers): void;
  applied(replica: ReplicaMachine, entry: LogEntry, command: Command): void;
  leads(replica: ReplicaMachine, leadership: Leadership): void;
  dropped(replica: ReplicaMachine, command: Command, fate: ProposalFate): void;
  compacted(): void;
  failed(error: unknown): void;
}

export interface RegisterServerInit {
  readonly isOnDemand: boolean;
  readonly entriesPerSnapshot: number;
}

export class RegisterServer implements LogListener {
  readonly registers = new Registers();
  leadership: Leadership = { leads: false, term: 0, leader: null };
  readonly #replica: ReplicaMachine;
  readonly #log: RaftLog;
  readonly #watch: ServerWatch;
  readonly #init: RegisterServerInit;
  #number = 0;
  #snapshotIndex = 0;
  /** Proposed and not answered, by their numbers. */
  readonly #underWay = new Map<number, Asked>();
  /** On demand: what was asked before anybody leads. */
  #waiting: (() => void)[] = [];

  constructor(replica: ReplicaMachine, log: RaftLog, watch: ServerWatch, init: RegisterServerInit) {
    this.#replica = replica;
    this.#log = log;
    this.#watch = watch;
    this.#init = init;
  }

  /** Proposals without an answer. */
  get unanswered(): number {
    return this.#underWay.size;
  }

  change(command: Command, reply: (reply: Reply) => void): void {
    if (this.leadership.leads) this.#propose({ command, reply });
    else if (this.leadership.leader !== null || !this.#init.isOnDemand)
      reply({ type: 'elsewhere', leader: this.leadership.leader });
    else this.#waitForLeader(() => this.change(command, reply));
  }

  read(register: string, reply: (reply: Reply) => void): void {
    this.#log.confirmRead().then(
      (isConfirmed) => {
        if (isConfirmed) reply({ type: 'done', answer: this.registers.read(register) });
        else if (this.leadership.leader !== null || !this.#init.isOnDemand)
          reply({ type: 'elsewhere', leader: this.leadership.leader });
        else this.#waitForLeader(() => this.read(register, reply));
      },
      (error: unknown) => this.#watch.failed(error),
    );
  }

  restored(snapshot: Uint8Array, index: number): void {
    assert(index > this.registers.index, `restored to ${index}, which is behind ${this.registers.index}`);
    this.registers.restore(snapshot, index);
    this.#snapshotIndex = index;
    this.#watch.restored(this.#replica, this.registers);
  }

  committed(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      assert(entry.index > this.registers.index, `entry ${entry.index} comes after ${this.registers.index}`);
      const command = decodeCommand(entry.data);
      this.#watch.applied(this.#replica, entry, command);
      const answer = this.registers.apply(entry.index, command);
      if (entry.proposal !== undefined) this.#answer(entry.proposal, command, { type: 'done', answer });
    }
    this.#compact();
  }

  ready(leadership: Leadership): void {
    this.leadership = leadership;
    if (leadership.leads) this.#watch.leads(this.#replica, leadership);
    if (!leadership.leads && leadership.leader === null) return;
    for (const again of this.#waiting.splice(0)) again();
  }

  #waitForLeader(again: () => void): void {
    this.#waiting.push(again);
    this.#log.wantLeadership();
  }

  dropped(proposal: number, _reason: string, fate: ProposalFate): void {
    const asked = this.#underWay.get(proposal);
    assert(asked, `proposal ${proposal} is answered once`);
    this.#watch.dropped(this.#replica, asked.command, fate);
    this.#answer(proposal, asked.command, { type: 'elsewhere', leader: this.leadership.leader });
  }

  failed(error: Error): void {
    this.#watch.failed(error);
  }

  #propose(asked: Asked): void {
    this.#number += 1;
    this.#underWay.set(this.#number, asked);
    this.#log.propose(this.#number, encode(asked.command));
  }

  #answer(proposal: number, command: Command, reply: Reply): void {
    const asked = this.#underWay.get(proposal);
    assert(asked?.command.attempt === command.attempt, `proposal ${proposal} is answered once, by its own entry`);
    this.#underWay.delete(proposal);
    asked.reply(reply);
  }

  #compact(): void {
    const { index } = this.registers;
    if (index - this.#snapshotIndex < this.#init.entriesPerSnapshot) return;
    this.#snapshotIndex = index;
    this.#watch.compacted();
    this.#log.compact(this.registers.snapshot(), index).catch(() => undefined); // the log has told of it
  }
}
