/** On demand: what a replica makes of children that have their links with another one. */

import { expect, it } from 'vitest';
import { sha256 } from '../../node/sha256.ts';
import { summaryOfNode } from '../capacity/summaries.ts';
import type { Leadership } from '../model/leadership.ts';
import type { ClientRequest } from '../model/requests.ts';
import { serviceSpecSchema } from '../model/service.ts';
import { apply } from './apply.ts';
import { type Command, type Decision, encodeCommand } from './commands.ts';
import { Orchestrator, type OrchestratorEffect, type OrchestratorInput } from './orchestrator.ts';
import { OrchestratorState } from './state.ts';
import { testInit } from './testing/init.ts';

const TICK_MS = 500;
const SELF = { id: 'b', name: 'b', url: 'https://b:7443', publicKeyFingerprint: 'b' };
const NOBODY: Leadership = { leads: false, term: 1, leader: null };

/** Replica b, whose proposals are committed at once. */
class Replica {
  readonly core = new Orchestrator(testInit({ leading: 'on-demand', replica: SELF }));
  nowMs = 1_000;
  readonly effects: OrchestratorEffect[] = [];
  #index = 0;

  take(input: OrchestratorInput): void {
    for (const effect of this.core.step(this.nowMs, input)) {
      this.effects.push(effect);
      if (effect.type === 'propose') this.#commit(effect.data, effect.proposal);
    }
  }

  #commit(data: string, proposal?: number): void {
    this.#index += 1;
    this.take({ type: 'entryCommitted', index: this.#index, data, proposal });
  }

  given(...commands: readonly Command[]): void {
    for (const command of commands) this.#commit(encodeCommand({ atMs: this.nowMs, command }));
  }

  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += TICK_MS;
      this.take({ type: 'timePassed' });
    }
  }

  /** The child has its link here. */
  greets(child: string): void {
    const message = { type: 'hello', protocol: 1, session: 's', kind: 'node', software: 'test', epoch: 'e' } as const;
    const hello = { ...message, version: 0, summary: summaryOf(child), instances: [] };
    this.take({ type: 'childMessageReceived', child, message: hello });
  }

  hears(child: string): void {
    const summary = summaryOf(child);
    const one = {
      name: child,
      session: 's',
      software: 'test',
      version: 0,
      summary,
      instances: [],
      runningForMs: {},
      heardAgoMs: 0,
    };
    this.take({ type: 'peerTold', peer: 'a', report: { load: 0, children: [one] } });
  }
}

function summaryOf(name: string) {
  const total = { cpuMilli: 1_000, memoryBytes: 2 ** 30, diskBytes: 0 };
  return summaryOfNode({ ...{ name, total, free: total, load: 0, architecture: 'amd64', runtimes: ['process'], labels: {} } });
}

const request = (asked: ClientRequest): Command => ({ type: 'request', request: asked });
const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['serve'] });
const FOUNDED: readonly Command[] = [
  { type: 'initialise', epoch: 'e', name: 'edge' },
  request({ type: 'createToken', id: 'w', secretHash: 'h', role: 'worker', expiresAtMs: null, uses: null }),
];
const JOINED = request({
  ...{ type: 'registerChild', name: 'n', kind: 'node', publicKeyFingerprint: 'n', tokenId: 'w', secretHash: 'h' },
});
const WEB = request({ type: 'applyService', name: 'web', labels: {}, spec });
const PLACED: Decision = {
  ...{ do: 'create', id: 'web-1', number: 1, service: 'web', generation: 1 },
  ...{ replaces: null, target: null, avoid: null, child: 'n' },
};

it('misses a child that it was never told of, when the replica that had it is gone with it', () => {
  const replica = new Replica();
  replica.take({ type: 'logReady', leadership: NOBODY });
  replica.take({ type: 'peersConnected', peers: ['a', 'c'] });
  replica.take({ type: 'logReady', leadership: { ...NOBODY, leader: 'a' } });
  replica.given(...FOUNDED, JOINED, WEB, { type: 'decide', decisions: [PLACED] });
  replica.take({ type: 'logReady', leadership: { ...NOBODY, pausedUnder: 'a' } });
  expect(replica.effects.map(({ type }) => type)).not.toContain('wantLeadership');
  replica.take({ type: 'peersConnected', peers: ['c'] });
  replica.pass(60_000);
  expect(replica.effects.map(({ type }) => type)).toContain('wantLeadership');
});

/** O4: it would find out by itself only half a minute after something was said to the child. */
it('tells whoever leads at once of a child that comes, and of one that is gone', () => {
  const replica = new Replica();
  replica.take({ type: 'logReady', leadership: { ...NOBODY, leader: 'a' } });
  replica.given(...FOUNDED, JOINED);
  const told = () => replica.effects.splice(0).filter(({ type }) => type === 'tellLeader').length;
  told();
  replica.greets('n');
  expect(told()).toBe(1);
  replica.take({ type: 'childLinkClosed', child: 'n' });
  expect(told()).toBe(1);
});

it('places what waits when the replica is back that has the children', () => {
  const replica = new Replica();
  replica.given(...FOUNDED, JOINED);
  replica.take({ type: 'logReady', leadership: { leads: true, term: 2, leader: 'b', votes: [] } });
  replica.take({ type: 'peersConnected', peers: ['a'] });
  replica.hears('n');
  replica.take({ type: 'peersConnected', peers: [] });
  replica.pass(20_000);
  replica.given(WEB);
  replica.pass(5_000);
  expect(replica.core.state.instances.get('web-1')?.child).toBe(null);
  replica.take({ type: 'peersConnected', peers: ['a'] });
  replica.pass(1_000);
  expect(replica.core.state.instances.get('web-1')?.child).toBe('n');
});

it('knows that what was given away is free when a decision holds no more', () => {
  const state = new OrchestratorState(sha256);
  const decide = (decision: Decision) => apply(state, { atMs: 1, command: { type: 'decide', decisions: [decision] } });
  expect(decide(PLACED).roomGrew).toBe(true);
  expect(decide({ do: 'place', instance: 'web-1', child: 'n' }).roomGrew).toBe(true);
});
