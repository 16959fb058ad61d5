import { describe, expect, it } from 'vitest';
import { sha256 } from '../../node/sha256.ts';
import { limits } from '../base/limits.ts';
import { summaryOfNode } from '../capacity/summaries.ts';
import type { InstanceState } from '../model/instance-state.ts';
import { ALONE } from '../model/leadership.ts';
import { type Assignment, type Desired, type InstanceReport, type UpMessage, upMessageSchema } from '../model/messages.ts';
import type { ClientRequest } from '../model/requests.ts';
import { serviceSpecSchema } from '../model/service.ts';
import type { Summary } from '../model/summary.ts';
import { apply } from './apply.ts';
import type { RequestAnswer } from './changes.ts';
import { decodeCommand } from './commands.ts';
import { Orchestrator, type OrchestratorEffect, type OrchestratorInput } from './orchestrator.ts';
import { UNSEEN_LOST_AFTER_MS } from './reconcile.ts';
import { assertState, OrchestratorState } from './state.ts';
import { testInit } from './testing/init.ts';
import { instanceView, serviceView } from './views.ts';

const INIT = testInit({ name: 'site', epoch: 'e1', entriesPerSnapshot: 50 });

/** An orchestrator whose log commits at once, and children that a test speaks for. */
class Site {
  readonly core = new Orchestrator(INIT);
  nowMs = 1_000_000;
  readonly told = new Map<string, Map<string, Assignment>>();
  readonly versions = new Map<string, number>();
  readonly answers: RequestAnswer[] = [];
  readonly saidToParent: UpMessage[] = [];
  readonly saidToChildren: Desired[] = [];
  snapshot = '';
  readonly entries: string[] = [];
  /** What it does while the leadership is handed over, or while no quorum takes part. */
  log: 'commits' | 'drops' | 'keeps' = 'commits';
  dropped = 0;
  #index = 0;
  #ticket = 0;
  readonly #sequences = new Map<string, number>();

  constructor() {
    this.step({ type: 'logReady', leadership: ALONE });
    this.request({ type: 'createToken', id: 't', secretHash: 'h', role: 'worker', expiresAtMs: null, uses: null });
  }

  step(input: OrchestratorInput): void {
    const inputs = [input];
    for (let next = inputs.shift(); next !== undefined; next = inputs.shift()) {
      for (const effect of this.core.step(this.nowMs, next)) this.#take(effect, inputs);
      assertState(this.core.state);
    }
  }

  #take(effect: OrchestratorEffect, inputs: OrchestratorInput[]): void {
    if (effect.type === 'propose' && this.log === 'drops') {
      if (++this.dropped > 100) throw new Error('proposed again and again, without end');
      inputs.push({ type: 'proposalDropped', proposal: effect.proposal, reason: 'handing over' });
    } else if (effect.type === 'propose' && this.log === 'commits') {
      this.#index += 1;
      this.entries.push(effect.data);
      inputs.push({ type: 'entryCommitted', index: this.#index, data: effect.data, proposal: effect.proposal });
    }
    if (effect.type === 'answer') this.answers.push(effect.answer);
    if (effect.type === 'sendToChild' && effect.message.type === 'desired') this.saidToChildren.push(effect.message);
    if (effect.type === 'sendToParent') this.saidToParent.push(effect.message);
    if (effect.type === 'compact') this.snapshot = effect.snapshot;
    if (effect.type === 'sendToChild' && effect.message.type === 'desired') this.#desired(effect.child, effect.message);
  }

  #desired(child: string, message: Desired): void {
    const has = message.from === 0 ? new Map<string, Assignment>() : (this.told.get(child) ?? new Map());
    for (const assignment of message.set) has.set(assignment.id, assignment);
    for (const id of message.unset) has.delete(id);
    this.told.set(child, has);
    this.versions.set(child, message.to);
  }

  request(request: ClientRequest, idempotencyKey?: string): RequestAnswer | undefined {
    this.#ticket += 1;
    this.step({ type: 'requestReceived', ticket: this.#ticket, request, idempotencyKey });
    return this.answers.at(-1);
  }

  /** A node with one core and 1 GiB joins and says hello. */
  node(name: string, labels: Record<string, string> = {}): void {
    this.request({ type: 'registerChild', name, kind: 'node', publicKeyFingerprint: name, tokenId: 't', secretHash: 'h' });
    this.hello(name, [], labels);
  }

  hello(
    name: string,
    instances: readonly InstanceReport[] = [],
    labels: Record<string, string> = {},
    runtimes = ['process'],
  ): void {
    this.#sequences.set(name, 0);
    const version = this.versions.get(name) ?? 0;
    const hello = {
      type: 'hello',
      protocol: 1,
      session: `${name}-${this.nowMs}`,
      kind: 'node',
      software: 'test',
      epoch: 'e1',
      version,
    } as const;
    this.step({
      type: 'childMessageReceived',
      child: name,
      message: { ...hello, summary: summary(name, labels, runtimes), instances: [...instances] },
    });
  }

  /** Without `changed`, a heartbeat. */
  report(name: string, changed: readonly InstanceReport[] = [], gone: readonly string[] = []): void {
    const sequence = (this.#sequences.get(name) ?? 0) + 1;
    this.#sequences.set(name, sequence);
    const session = this.core.viewContext(this.nowMs).observed.links.get(name)?.session ?? '';
    const message = {
      type: 'report',
      session,
      sequence,
      version: this.versions.get(name) ?? 0,
      changed: [...changed],
      gone: [...gone],
    } as const;
    this.step({ type: 'childMessageReceived', child: name, message: { ...message, changed: [...changed], gone: [...gone] } });
  }

  /** Every node does what it was told: what is wanted runs, what is not is gone. */
  obey(...names: readonly string[]): void {
    for (const name of names) {
      const wanted = [...(this.told.get(name)?.keys() ?? [])];
      const known = [...(this.core.viewContext(this.nowMs).observed.links.get(name)?.instances.keys() ?? [])];
      this.report(
        name,
        wanted.map((id) => reportOf(id, 'RUNNING')),
        known.filter((id) => !wanted.includes(id)),
      );
    }
  }

  /** Time passes in half seconds, while these nodes let themselves be heard. */
  pass(ms: number, ...heard: readonly string[]): void {
    for (let passed = 0; passed < ms; passed += 500) {
      this.nowMs += 500;
      for (const name of heard) this.report(name);
      this.step({ type: 'timePassed' });
    }
  }

  on(name: string): string[] {
    return [...(this.told.get(name)?.keys() ?? [])];
  }

  states(): Record<string, InstanceState> {
    const context = this.core.viewContext(this.nowMs);
    return Object.fromEntries([...this.core.state.instances.values()].map((one) => [one.id, instanceView(one, context).state]));
  }
}

function summary(name: string, labels: Record<string, string> = {}, runtimes = ['process']): Summary {
  const total = { cpuMilli: 1_000, memoryBytes: 2 ** 30, diskBytes: 0 };
  return summaryOfNode({ name, total, free: total, load: 0, architecture: 'amd64', runtimes, labels });
}

function reportOf(id: string, state: InstanceState, reason = ''): InstanceReport {
  return { id, state, reason, node: '', endpoints: [], restarts: 0, sinceMs: 0, exitCode: null };
}

function web(more: Record<string, unknown> = {}): ClientRequest {
  const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['web'], replicas: 2, ...more });
  return { type: 'applyService', name: 'web', labels: {}, spec };
}

describe('an orchestrator', () => {
  it('spreads a service over its nodes and shows it running once they say so', () => {
    const site = new Site();
    site.node('n1');
    site.node('n2');
    site.request(web());
    expect([site.on('n1').length, site.on('n2').length]).toEqual([1, 1]);
    expect(Object.values(site.states())).toEqual(['SCHEDULED_NODE', 'SCHEDULED_NODE']);
    site.obey('n1', 'n2');
    expect(Object.values(site.states())).toEqual(['RUNNING', 'RUNNING']);
  });

  it('lets what fits nowhere wait with a reason for each node, and places it when room appears', () => {
    const site = new Site();
    site.node('n1');
    site.request(web({ replicas: 1, placement: { labels: { gpu: 'yes' } } }));
    const context = site.core.viewContext(site.nowMs);
    const [waiting] = [...site.core.state.instances.values()].map((one) => instanceView(one, context));
    expect(waiting).toMatchObject({ state: 'REQUESTED', refusals: [{ child: 'n1', kind: 'labels' }] });
    site.node('n2', { gpu: 'yes' });
    site.pass(500, 'n1', 'n2');
    expect(site.on('n2')).toEqual(['web-1']);
  });

  it('replaces what a silent node had, and sends the copy that comes back too late away (R4)', () => {
    const site = new Site();
    site.node('n1');
    site.node('n2');
    site.request(web({ replicas: 1 }));
    const [first, second] = site.on('n1').length === 1 ? ['n1', 'n2'] : ['n2', 'n1'];
    site.obey(first as string);
    site.pass(4_500, second as string);
    expect(site.states()).toMatchObject({ 'web-1': 'LOST', 'web-2': 'SCHEDULED_NODE' });
    site.obey(second as string);
    site.hello(first as string, [reportOf('web-1', 'RUNNING')]);
    site.pass(500, second as string);
    expect(site.on(first as string)).toEqual([]);
    site.obey(first as string, second as string);
    expect(site.states()).toEqual({ 'web-2': 'RUNNING' });
  });

  it('moves nothing when a node is back in time', () => {
    const site = new Site();
    site.node('n1');
    site.node('n2');
    site.request(web({ replicas: 2 }));
    site.obey('n1', 'n2');
    site.step({ type: 'childLinkClosed', child: 'n1' });
    site.pass(3_000, 'n2');
    site.hello('n1', [reportOf(site.on('n1')[0] as string, 'RUNNING')]);
    site.pass(2_000, 'n1', 'n2');
    expect(site.states()).toEqual({ 'web-1': 'RUNNING', 'web-2': 'RUNNING' });
  });

  it('does not hold its own absence against its nodes, nor a clock that was set (I4)', () => {
    for (const gapMs of [3_600_000, -3_600_000]) {
      const site = new Site();
      site.node('n1');
      site.request(web({ replicas: 1 }));
      site.obey('n1');
      site.nowMs += gapMs;
      site.step({ type: 'timePassed' });
      site.pass(1_000, 'n1');
      expect(site.states()).toEqual({ 'web-1': 'RUNNING' });
      site.pass(5_000); // but it does notice real silence afterwards
      expect(site.states()['web-1']).toBe('LOST');
    }
  });

  it('gives children that it has not heard since its own start the time that their pauses between dials may take', () => {
    const site = new Site();
    site.node('n1');
    site.request(web({ replicas: 1 }));
    site.obey('n1');
    const restarted = new Orchestrator(INIT);
    let nowMs = site.nowMs + 1_000;
    restarted.step(nowMs, { type: 'snapshotRestored', snapshot: JSON.stringify(site.core.state), index: 10 });
    const proposals = [...restarted.step(nowMs, { type: 'logReady', leadership: ALONE })];
    const pass = (ms: number) => {
      for (const endMs = nowMs + ms; nowMs < endMs; ) {
        nowMs += 500;
        proposals.push(...restarted.step(nowMs, { type: 'timePassed' }));
      }
      return proposals.filter(({ type }) => type === 'propose').length;
    };
    expect(pass(UNSEEN_LOST_AFTER_MS)).toBe(0);
    expect(pass(1_000)).toBe(1); // lost after all
  });

  it('tries its next choice when a node refuses', () => {
    const site = new Site();
    site.node('n1');
    site.node('n2');
    site.request(web({ replicas: 1 }));
    const first = site.on('n1').length === 1 ? 'n1' : 'n2';
    site.report(first, [reportOf('web-1', 'REFUSED', 'no room after all')]);
    expect(site.on(first)).toEqual([]);
    expect(site.on(first === 'n1' ? 'n2' : 'n1')).toEqual(['web-1']);
  });

  it('updates one copy at a time, and stops an old one only when its successor has run for a while (R1)', () => {
    const site = new Site();
    site.node('n1');
    site.node('n2');
    site.request(web());
    site.obey('n1', 'n2');
    site.request(web({ env: { VERSION: '2' } }));
    expect(Object.values(site.states()).sort()).toEqual(['MIGRATING', 'RUNNING', 'SCHEDULED_NODE']);
    const running = () =>
      [...site.core.state.instances.values()].filter(
        (one) => site.states()[one.id] === 'RUNNING' || site.states()[one.id] === 'MIGRATING',
      );
    for (let round = 0; round < 6; round++) {
      expect(running().length).toBeGreaterThanOrEqual(2);
      site.obey('n1', 'n2');
      site.pass(2_000, 'n1', 'n2');
    }
    expect([...site.core.state.instances.values()].map((one) => one.generation)).toEqual([2, 2]);
    expect(Object.values(site.states())).toEqual(['RUNNING', 'RUNNING']);
  });

  it('keeps every old copy while the new ones crash', () => {
    const site = new Site();
    site.node('n1');
    site.node('n2');
    site.request(web());
    site.obey('n1', 'n2');
    site.request(web({ env: { VERSION: 'broken' } }));
    const child = site.on('n1').includes('web-3') ? 'n1' : 'n2';
    for (let restarts = 0; restarts < 5; restarts++) {
      site.report(child, [{ ...reportOf('web-3', 'RUNNING'), restarts }]);
      site.pass(1_000, 'n1', 'n2');
      site.report(child, [{ ...reportOf('web-3', 'FAILED'), restarts }]);
      expect([...site.on('n1'), ...site.on('n2')].sort()).toEqual(['web-1', 'web-2', 'web-3']);
    }
  });

  it('migrates start-new-then-stop-old, and stays when the move finds no place in time', () => {
    const site = new Site();
    site.node('n1');
    site.node('n2');
    site.request(web({ replicas: 1, placement: { node: 'n1' } }));
    site.obey('n1');
    site.request({ type: 'migrateInstance', instance: 'web-1', node: 'n2' });
    expect(site.on('n2')).toEqual(['web-2']);
    expect(site.states()['web-1']).toBe('MIGRATING');
    site.obey('n2');
    expect(site.on('n1')).toEqual(['web-1']);
    site.pass(2_000, 'n1', 'n2');
    expect(site.on('n1')).toEqual([]);
    site.request({ type: 'migrateInstance', instance: 'web-2', node: 'n9' });
    site.pass(121_000, 'n1', 'n2');
    expect(site.states()['web-2']).toBe('RUNNING');
    expect(site.core.state.instances.get('web-2')?.move).toBeNull();
  });

  it('scales down by what it misses least', () => {
    const site = new Site();
    site.node('n1');
    site.request(web({ replicas: 3, placement: { node: 'n1' } }));
    site.report('n1', [reportOf('web-1', 'RUNNING'), reportOf('web-2', 'FAILED'), reportOf('web-3', 'RUNNING')]);
    site.request({ type: 'scaleService', name: 'web', replicas: 2 });
    expect(site.on('n1')).toEqual(['web-1', 'web-3']);
    site.request({ type: 'scaleService', name: 'web', replicas: 1 });
    expect(site.on('n1')).toEqual(['web-1']);
  });

  it('forgets a deleted service when the last copy is confirmed gone', () => {
    const site = new Site();
    site.node('n1');
    site.request(web({ replicas: 1 }));
    site.obey('n1');
    site.request({ type: 'deleteService', name: 'web' });
    const service = site.core.state.services.get('web');
    expect(service && serviceView(service, site.core.viewContext(site.nowMs)).phase).toBe('STOPPING');
    site.obey('n1');
    expect(site.core.state.services.size + site.core.state.instances.size).toBe(0);
  });

  it('empties a draining node, and a removed one at once', () => {
    const site = new Site();
    for (const name of ['n1', 'n2', 'n3']) site.node(name);
    site.request(web({ replicas: 3 }));
    site.obey('n1', 'n2', 'n3');
    site.request({ type: 'drainChild', child: 'n1', draining: true });
    for (let round = 0; round < 4; round++) {
      site.obey('n1', 'n2', 'n3');
      site.pass(2_000, 'n1', 'n2', 'n3');
    }
    expect(site.on('n1')).toEqual([]);
    site.request({ type: 'removeChild', child: 'n2' });
    expect(site.on('n3').length).toBe(3);
  });

  it('answers a repeated request as before and applies it once', () => {
    const site = new Site();
    expect(site.request(web(), 'key-1')).toMatchObject({ ok: true, value: { effect: 'created' } });
    expect(site.request(web(), 'key-1')).toMatchObject({ ok: true, value: { effect: 'created' } });
    expect(site.request(web())).toMatchObject({ ok: true, value: { effect: 'unchanged' } });
  });

  it('does not let anybody wait for what it cannot know any more: whether a later leader commits it', () => {
    const site = Object.assign(new Site(), { log: 'keeps' });
    site.request(web(), 'key-1');
    site.step({ type: 'logReady', leadership: { leads: false, term: 1, leader: null } });
    site.pass(1_500);
    expect(site.answers).toHaveLength(1);
    site.pass(500);
    expect(site.answers.at(-1)).toMatchObject({ ok: false, error: { code: 'unavailable' } });
  });

  it('is the same after a snapshot', () => {
    const site = new Site();
    site.node('n1');
    for (let round = 0; round < 40; round++) site.request(web({ replicas: (round % 3) + 1 }));
    expect(site.snapshot).not.toBe('');
    const state = OrchestratorState.fromJSON(JSON.parse(JSON.stringify(site.core.state)), sha256);
    expect(JSON.stringify(state)).toBe(JSON.stringify(site.core.state));
    assertState(state);
  });

  it('waits when its log takes no decision until time has passed, and then decides the same', () => {
    const site = new Site();
    for (const name of ['n1', 'n2']) site.node(name);
    site.request(web({ replicas: 1 }));
    const [first, other] = site.on('n1').length === 1 ? ['n1', 'n2'] : ['n2', 'n1'];
    site.log = 'drops';
    site.report(first, [reportOf('web-1', 'REFUSED', 'no room after all')]);
    expect(site.dropped).toBe(1);
    site.log = 'commits';
    expect(site.on(other)).toEqual([]);
    site.step({ type: 'timePassed' });
    expect(site.on(other)).toEqual(['web-1']);
  });

  it('decides nothing more when all is as it should be (R3)', () => {
    const site = new Site();
    site.node('n1');
    site.request(web());
    site.obey('n1');
    const before = site.core.logPosition.index;
    site.pass(60_000, 'n1');
    expect(site.core.logPosition.index).toBe(before);
  });
});

describe('the records of its decisions', () => {
  const records = (site: Site) => site.core.state.decisions.list(limits.decisionRecords);

  it('say what was seen, what was chosen, by whom and on whose request', () => {
    const site = new Site();
    for (const name of ['n1', 'n2', 'n3', 'n4', 'n5']) site.node(name);
    site.node('gone');
    site.request({ type: 'cordonChild', child: 'gone', cordoned: true });
    site.request(web({ replicas: 1 }), 'key-1');
    const [record] = records(site);
    expect(record).toMatchObject({ number: 1, cause: 'create', service: 'web', instance: 'web-1', request: 'key-1' });
    expect(record).toMatchObject({ atMs: site.nowMs, term: 1, leader: 'site', votes: [], before: sha256('e1') });
    expect(record?.seen).toMatchObject({ policy: 'spread', others: 2, rejected: { cordoned: 1 } });
    expect(record?.seen?.candidates).toHaveLength(limits.decisionCandidates);
    expect(record?.seen?.candidates[0]).toMatchObject({ name: record?.choice, cpuMilli: 1_000, memoryBytes: 2 ** 30 });
  });

  it('say why a place was needed: update, move, refusal, loss', () => {
    const site = new Site();
    for (const name of ['n1', 'n2']) site.node(name);
    const settle = () => {
      for (let round = 0; round < 3; round += 1) {
        site.obey('n1', 'n2');
        site.pass(2_500, 'n1', 'n2');
      }
    };
    const present = () => [...site.core.state.instances.values()].find(({ leaving }) => leaving === null);
    const newest = () => records(site).at(-1);
    site.request(web({ replicas: 1 }), 'key-1');
    settle();
    site.request(web({ replicas: 1, env: { VERSION: '2' } }), 'key-2');
    expect(newest()).toMatchObject({ number: 2, cause: 'update', replaces: 'web-1', request: 'key-2' });
    settle();
    site.request({ type: 'migrateInstance', instance: present()?.id ?? '' }, 'key-3');
    expect(newest()).toMatchObject({ number: 3, cause: 'migrate', replaces: 'web-2', request: 'key-3' });
    const moved = newest();
    site.report(moved?.choice ?? '', [reportOf(moved?.instance ?? '', 'REFUSED', 'no room after all')]);
    site.request({ type: 'deleteService', name: 'web' });
    settle();
    site.request(web({ replicas: 1 }));
    const first = newest();
    site.report(first?.choice ?? '', [reportOf(first?.instance ?? '', 'REFUSED', 'no room after all')]);
    expect(newest()).toMatchObject({ cause: 'refused', instance: first?.instance, request: null });
    expect(newest()?.seen?.rejected).toEqual({ excluded: 1 });
    site.obey('n1', 'n2');
    site.pass(6_000, first?.choice ?? '');
    expect(newest()).toMatchObject({ cause: 'replace', replaces: first?.instance, request: null });
    expect(site.core.state.decisions.verify('e1')).toMatchObject({ ok: true, problem: null });
  });

  it('show in a replay when an entry of the log was altered, checksum and all (D4)', () => {
    const site = new Site();
    for (const name of ['n1', 'n2']) site.node(name);
    site.request(web({ replicas: 1 }));
    site.request(web({ replicas: 2 }));
    const verdictWith = (alter: (entry: string) => string) => {
      const state = new OrchestratorState(sha256);
      for (const entry of site.entries) apply(state, decodeCommand(alter(entry)));
      return state.decisions.verify('e1');
    };
    expect(verdictWith((entry) => entry)).toMatchObject({ ok: true, records: 2 });
    const altered = verdictWith((entry) => entry.replace(/("do":"create","id":"web-1".*"policy":)"spread"/, '$1"best-fit"'));
    expect(altered.problem).toMatchObject({ number: 1, what: expect.stringContaining('altered') });
  });
});

describe('a child that speaks of what is not its own', () => {
  it('changes nothing, shows in no event and takes no room', () => {
    const site = new Site();
    for (const name of ['n1', 'n2']) site.node(name);
    site.request(web());
    const [own = ''] = site.on('n1');
    const [foreign = ''] = site.on('n2');
    site.obey('n1', 'n2');
    const before = { states: site.states(), events: site.core.eventsAfter(0).length };
    const madeUp = Array.from({ length: 1_000 }, (_, index) => reportOf(`made-up-${index}`, 'RUNNING'));
    site.report('n1', [reportOf(foreign, 'FAILED'), ...madeUp], [foreign]);
    site.pass(5_000, 'n1', 'n2');
    expect({ states: site.states(), events: site.core.eventsAfter(0).length }).toEqual(before);
    const known = site.core.viewContext(site.nowMs).observed.links.get('n1')?.instances;
    expect([...(known?.keys() ?? [])]).toEqual([own]);
  });
});

describe('what a child is told', () => {
  it('fits into messages that it takes, however large the scripts are', () => {
    const site = new Site();
    site.node('n1');
    const script = 'é'.repeat(250_000);
    const resources = { cpu: 0.01, memory: 0 };
    const large = serviceSpecSchema.parse({ runtime: 'python', script, replicas: 10, resources });
    site.hello('n1', [], {}, ['python']);
    site.request({ type: 'applyService', name: 'web', labels: {}, spec: large });
    expect(site.on('n1')).toHaveLength(10);
    site.versions.delete('n1');
    site.told.delete('n1');
    site.hello('n1', [], {}, ['python']); // it has lost its disk
    expect(site.on('n1')).toHaveLength(10);
    for (const message of site.saidToChildren)
      expect(new TextEncoder().encode(JSON.stringify(message)).length).toBeLessThan(limits.uplinkMessageBytes);
  });
});

describe('a cluster', () => {
  it('spreads the copies of what is one service to the user, though each is a wish of its own', () => {
    const site = new Site();
    for (const name of ['n1', 'n2', 'n3']) site.node(name);
    const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['web'] });
    const set = ['web-1', 'web-2', 'web-3'].map((id) => ({ id, service: 'web', spec }));
    site.step({ type: 'uplinkOpened', session: 'up' });
    const message = {
      type: 'desired',
      session: 'up',
      epoch: 'root',
      from: 0,
      to: 3,
      more: false,
      heartbeatMs: 1_000,
    } as const;
    site.step({ type: 'uplinkMessageReceived', message: { ...message, set, unset: [] } });
    expect(['n1', 'n2', 'n3'].map((name) => site.on(name).length)).toEqual([1, 1, 1]);
  });

  it('says nothing that its parent would refuse, whatever its nodes say: that would cost it the link', () => {
    const site = new Site();
    site.node('n1');
    site.step({ type: 'uplinkOpened', session: 'up' });
    const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['web'] });
    const set = ['web-1', 'web-2'].map((id) => ({ id, service: 'web', spec }));
    const message = { type: 'desired', session: 'up', epoch: 'root', from: 0, to: 2, more: false, heartbeatMs: 1_000 } as const;
    site.step({ type: 'uplinkMessageReceived', message: { ...message, set, unset: [] } });
    const [first = '', second = ''] = site.on('n1');
    const refused = { ...reportOf(first, 'REFUSED'), reason: 'x'.repeat(1024) };
    site.report('n1', [refused, { ...reportOf(second, 'RUNNING'), node: 'y'.repeat(255) }]);
    site.pass(1_000, 'n1');
    expect(site.saidToParent.length).toBeGreaterThan(1);
    for (const said of site.saidToParent) expect(upMessageSchema.safeParse(said).error).toBeUndefined();
    expect(JSON.stringify(site.saidToParent)).toContain('REFUSED');
  });
});
