/** I5: which replica of a cluster that leads on demand has the link with the parent. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { Leadership } from '../model/leadership.ts';
import type { DownMessage } from '../model/messages.ts';
import { type Command, encodeCommand } from './commands.ts';
import { Orchestrator, type OrchestratorEffect, type OrchestratorInput } from './orchestrator.ts';
import { testInit } from './testing/init.ts';

const leading: Leadership = { leads: true, term: 2, leader: 'a', pausedUnder: null, votes: [] };
const pausedUnder = (name: string): Leadership => ({ leads: false, term: 2, leader: null, pausedUnder: name });
const FOUNDED: readonly Command[] = [
  { type: 'initialise', epoch: 'e', name: 'edge' },
  { type: 'foundGroup', replica: { id: 'a', name: 'a', url: 'https://a:7443', publicKeyFingerprint: 'a' } },
];
const EMPTY_WISH: Command = { type: 'parentDesired', epoch: 'p', version: 1, all: true, set: [], unset: [] };

let core: Orchestrator;
let nowMs: number;
let index: number;
const take = (input: OrchestratorInput): readonly OrchestratorEffect[] => core.step(nowMs, input);
const told = (leadership: Leadership) => take({ type: 'logReady', leadership });
const commit = (command: Command) =>
  take({ type: 'entryCommitted', index: ++index, data: encodeCommand({ atMs: nowMs, command }), proposal: undefined });
const wish = (session: string, from: number, to: number): Extract<DownMessage, { type: 'desired' }> => ({
  ...{ type: 'desired', session, epoch: 'p', from, to, more: false, set: [], unset: [], heartbeatMs: 1_000 },
});
const types = (effects: readonly OrchestratorEffect[]) => effects.map(({ type }) => type);
const afterMs = (passedMs: number) => {
  nowMs += passedMs;
  return take({ type: 'timePassed' });
};

beforeEach(() => {
  nowMs = 100_000;
  index = 0;
  const replica = { id: 'a', name: 'a', url: 'https://a:7443', publicKeyFingerprint: 'a' };
  core = new Orchestrator(testInit({ leading: 'on-demand', replica }));
  for (const command of FOUNDED) commit(command);
  take({ type: 'peersConnected', peers: ['b', 'c'] });
});

/** Replica a has led and has the link; its parent has wished nothing yet. */
function linked(): void {
  told(leading);
  take({ type: 'uplinkOpened', session: 's1' });
  take({ type: 'uplinkMessageReceived', message: wish('s1', 0, 1) });
  commit(EMPTY_WISH);
}

const wished = (from: number, to: number) => take({ type: 'uplinkMessageReceived', message: wish('s1', from, to) });

describe('the replica that led last', () => {
  beforeEach(() => {
    linked();
    told(pausedUnder('a'));
  });

  it('keeps the link while the group is paused, and is heard on it', () => {
    expect(core.speaksToParent).toBe(true);
    expect(core.pausedUnder).toBe(null);
    expect(types(afterMs(1_000))).toContain('sendToParent');
  });

  it('wants to lead for a wish of the parent, and proposes it when it does, in its order', () => {
    expect(types(wished(1, 2))).toEqual(['wantLeadership']);
    expect(types(wished(2, 3))).toEqual(['wantLeadership']);
    const proposals = told({ ...leading, term: 3 }).filter((effect) => effect.type === 'propose');
    expect(proposals.map(({ data }) => JSON.parse(data).command)).toMatchObject([{ version: 2 }, { version: 3 }]);
    told(pausedUnder('a'));
    expect(types(told({ ...leading, term: 4 }))).not.toContain('propose');
  });

  it('has the link no more once another one leads', () => {
    told({ leads: false, term: 3, leader: 'b', pausedUnder: null });
    expect(core.speaksToParent).toBe(false);
    expect(wished(1, 2)).toEqual([]);
    told(pausedUnder('b'));
    expect(core.speaksToParent).toBe(false);
  });

  it('proposes nothing that was wished on a link that is gone: by now it would undo what came after', () => {
    wished(1, 2);
    told({ leads: false, term: 3, leader: 'b', pausedUnder: null });
    expect(types(told({ ...leading, term: 4 }))).not.toContain('propose');
    told(pausedUnder('a'));
    take({ type: 'uplinkOpened', session: 's2' });
    take({ type: 'uplinkMessageReceived', message: wish('s2', 0, 3) });
    take({ type: 'uplinkClosed' });
    expect(types(told({ ...leading, term: 5 }))).not.toContain('propose');
  });

  it('keeps it while it is being elected, and not for long when it is not', () => {
    told({ leads: false, term: 3, leader: null, pausedUnder: null });
    expect(core.speaksToParent).toBe(true);
    afterMs(1_000);
    expect(core.speaksToParent).toBe(true);
    afterMs(1_500);
    expect(core.speaksToParent).toBe(false);
  });

  it('that has lost it opens it only when it is elected again', () => {
    take({ type: 'uplinkClosed' });
    expect(core.speaksToParent).toBe(false);
    expect(types(afterMs(500))).toContain('wantLeadership');
    told({ ...leading, term: 3 });
    expect(core.speaksToParent).toBe(true);
  });
});

it('a leader without the link does not let the group pause: only leaders dial', () => {
  linked();
  expect(types(afterMs(500))).not.toContain('wantLeadership');
  take({ type: 'uplinkClosed' });
  expect(core.speaksToParent).toBe(true);
  expect(types(afterMs(500))).toContain('wantLeadership');
});

describe('another replica', () => {
  beforeEach(() => {
    commit(EMPTY_WISH);
    told({ leads: false, term: 2, leader: 'b', pausedUnder: null });
    told(pausedUnder('b'));
  });

  it('leaves it to that one to decide while there is a connection with it', () => {
    expect([core.speaksToParent, core.pausedUnder]).toEqual([false, 'b']);
    expect(types(afterMs(500))).not.toContain('wantLeadership');
  });

  it('wants to lead when that one is gone: somebody has to have the link', () => {
    take({ type: 'peersConnected', peers: ['c'] });
    expect(core.pausedUnder).toBe(null);
    expect(types(afterMs(500))).toContain('wantLeadership');
  });
});

it('without a parent it makes no difference who led last', () => {
  told({ leads: false, term: 2, leader: 'b', pausedUnder: null });
  told(pausedUnder('b'));
  expect(core.pausedUnder).toBe(null);
  take({ type: 'peersConnected', peers: ['c'] });
  expect(types(afterMs(500))).not.toContain('wantLeadership');
});
