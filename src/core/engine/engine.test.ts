import { describe, expect, it } from 'vitest';
import type { Random } from '../base/prng.ts';
import { type Assignment, type Hello, type Report, upMessageSchema } from '../model/messages.ts';
import { serviceSpecSchema } from '../model/service.ts';
import { Engine, type EngineEffect, type EngineInput, type FoundOnNode } from './engine.ts';
import type { SavedWishes } from './saved-wishes.ts';

const noJitter: Random = { next: () => 0 };

/** An engine whose disk saves at once; its runtimes do nothing until a test says what came of an effect. */
class Node {
  readonly core = new Engine({
    name: 'n1',
    software: 'test',
    architecture: 'amd64',
    runtimes: ['process'],
    labels: {},
    position: undefined,
    total: { cpuMilli: 1_000, memoryBytes: 2 ** 30, diskBytes: 0 },
    random: noJitter,
  });
  nowMs = 1_000_000;
  saved: SavedWishes | null = null;
  effects: EngineEffect[] = [];
  #version = 0;

  constructor(saved: SavedWishes | null = null, found: readonly FoundOnNode[] = []) {
    this.saved = saved;
    this.step({ type: 'restored', saved, found });
  }

  step(input: EngineInput): void {
    const inputs = [input];
    for (let next = inputs.shift(); next !== undefined; next = inputs.shift()) {
      for (const effect of this.core.step(this.nowMs, next)) {
        this.effects.push(effect);
        if (effect.type !== 'saveWishes') continue;
        this.saved = effect.wishes;
        inputs.push({ type: 'wishesSaved', epoch: effect.wishes.epoch, version: effect.wishes.version });
      }
    }
  }

  connect(): void {
    this.step({ type: 'uplinkOpened', session: 's' });
  }

  want(set: readonly Assignment[], unset: readonly string[] = []): void {
    const from = this.#version;
    this.#version += 1;
    const message = {
      type: 'desired',
      session: 's',
      epoch: 'e',
      from,
      to: this.#version,
      more: false,
      heartbeatMs: 1_000,
    } as const;
    this.step({ type: 'uplinkMessageReceived', message: { ...message, set: [...set], unset: [...unset] } });
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.step({ type: 'timePassed' });
  }

  started(id: string): void {
    this.step({ type: 'instanceStarted', id, endpoints: [] });
  }

  /** Effects of this kind since the last call of `forget`. */
  did(type: EngineEffect['type']): EngineEffect[] {
    return this.effects.filter((effect) => effect.type === type);
  }

  forget(): void {
    this.effects = [];
  }

  said(): (Hello | Report)[] {
    return this.effects.flatMap((effect) => (effect.type === 'sendToParent' ? [effect.message] : []));
  }

  stateOf(id: string): string {
    return this.core.reports.get(id)?.state ?? 'none';
  }
}

function assignment(id: string, more: Record<string, unknown> = {}): Assignment {
  return { id, service: 'web', spec: serviceSpecSchema.parse({ runtime: 'process', command: ['web'], ...more }) };
}

describe('an engine', () => {
  it('makes a wish durable before it starts anything for it or acknowledges it (E1)', () => {
    const node = new Node();
    node.connect();
    node.want([assignment('web-1')]);
    const order = node.effects.map((effect) => effect.type);
    expect(order.indexOf('saveWishes')).toBeLessThan(order.indexOf('startInstance'));
    const acknowledged = node.said().findIndex((message) => message.version === 1);
    expect(acknowledged).toBeGreaterThan(0);
    expect(node.saved?.assignments.map(({ id }) => id)).toEqual(['web-1']);
  });

  it('starts what is wanted and removes what is not any more', () => {
    const node = new Node();
    node.connect();
    node.want([assignment('web-1')]);
    node.started('web-1');
    expect(node.stateOf('web-1')).toBe('RUNNING');
    node.want([], ['web-1']);
    expect(node.did('retireInstance')).toHaveLength(1);
    expect(node.stateOf('web-1')).toBe('STOPPING');
    node.step({ type: 'instanceRetired', id: 'web-1' });
    expect(node.said().at(-1)).toMatchObject({ type: 'report', gone: ['web-1'] });
  });

  it('restarts a crashed instance at once, then after growing pauses, and starts over when it ran long', () => {
    const node = new Node();
    node.connect();
    node.want([assignment('web-1')]);
    const crashAfter = (ranMs: number) => {
      node.started('web-1');
      node.nowMs += ranMs;
      node.forget();
      node.step({ type: 'instanceExited', id: 'web-1', exitCode: 1, reason: 'exited with code 1' });
    };
    crashAfter(10);
    expect(node.did('startInstance')).toHaveLength(1);
    for (const pauseMs of [1_000, 2_000, 4_000]) {
      crashAfter(10);
      expect(node.stateOf('web-1')).toBe('FAILED');
      expect(node.core.nextWakeMs()).toBeLessThanOrEqual(node.nowMs + pauseMs);
      node.pass(pauseMs - 1);
      expect(node.did('startInstance')).toHaveLength(0);
      node.pass(1);
      expect(node.did('startInstance')).toHaveLength(1);
    }
    crashAfter(30_000);
    expect(node.did('startInstance')).toHaveLength(1);
    expect(node.core.reports.get('web-1')?.restarts).toBe(5);
  });

  it('does not wait for a clock that was set back', () => {
    const node = new Node();
    node.connect();
    node.want([assignment('web-1')]);
    for (let crash = 0; crash < 2; crash++) {
      node.started('web-1');
      node.step({ type: 'instanceExited', id: 'web-1', exitCode: 1, reason: '' });
    }
    node.forget();
    node.pass(-3_600_000);
    expect(node.did('startInstance')).toHaveLength(1);
    expect(node.did('sendToParent').length).toBeGreaterThan(0);
  });

  it('adopts what runs, restarts what ended meanwhile, starts what is missing and ends strays, without any parent', () => {
    const assignments = ['a-1', 'b-2', 'c-3'].map((id) => assignment(id));
    const saved = { epoch: 'e', version: 3, assignments, refused: [], leaving: [] };
    const found = [
      { id: 'a-1', runtime: 'process', running: true, exitCode: null, endpoints: [] },
      { id: 'b-2', runtime: 'process', running: false, exitCode: 1, endpoints: [] },
      { id: 'z-9', runtime: 'process', running: true, exitCode: null, endpoints: [] },
    ] as const;
    const node = new Node(saved, found);
    expect(node.stateOf('a-1')).toBe('RUNNING');
    expect(node.did('startInstance').map((effect) => 'assignment' in effect && effect.assignment.id)).toEqual(['b-2', 'c-3']);
    expect(node.did('retireInstance')).toMatchObject([{ id: 'z-9' }]);
  });

  it('refuses what does not fit, what it has no runtime for and a taken host port (E5), and takes it when asked again', () => {
    const node = new Node();
    node.connect();
    node.want([
      assignment('big-1', { resources: { cpu: 2 } }),
      { ...assignment('box-2'), spec: serviceSpecSchema.parse({ runtime: 'container', image: 'x' }) },
      assignment('port-3', { ports: [{ hostPort: 80 }], resources: { cpu: 1 } }),
      assignment('port-4', { ports: [{ hostPort: 80 }], resources: { cpu: 0 } }),
    ]);
    expect(['big-1', 'box-2', 'port-3', 'port-4'].map((id) => node.stateOf(id))).toEqual([
      'REFUSED',
      'REFUSED',
      'STARTING',
      'REFUSED',
    ]);
    node.step({ type: 'runtimeAppeared', runtime: 'container', found: [] });
    node.want([], ['box-2', 'port-3']);
    node.step({ type: 'instanceStarted', id: 'port-3', endpoints: [] });
    node.step({ type: 'instanceRetired', id: 'port-3' });
    node.want([{ ...assignment('box-2'), spec: serviceSpecSchema.parse({ runtime: 'container', image: 'x' }) }]);
    expect(node.stateOf('box-2')).toBe('STARTING');
  });

  it('keeps everything running while it is cut off, but for stopOnNodeAfter, and starts that again when it is heard', () => {
    const node = new Node();
    node.connect();
    node.want([assignment('stay-1'), assignment('stop-2', { disconnect: { stopOnNodeAfter: '1m' } })]);
    node.started('stay-1');
    node.started('stop-2');
    node.forget();
    node.step({ type: 'uplinkClosed', silentMs: 0 });
    node.pass(59_999);
    expect(node.effects).toEqual([]);
    node.pass(1);
    expect(node.did('stopInstance')).toMatchObject([{ id: 'stop-2' }]);
    node.step({ type: 'instanceStopped', id: 'stop-2' });
    node.connect();
    node.want([]);
    expect(node.did('startInstance')).toHaveLength(1);
  });

  it('has one effect under way per instance: what is unwanted while it starts goes when it has started (E2)', () => {
    const node = new Node();
    node.connect();
    node.want([assignment('web-1')]);
    node.want([], ['web-1']);
    expect(node.did('retireInstance')).toEqual([]);
    node.started('web-1');
    expect(node.did('retireInstance')).toHaveLength(1);
  });

  it('says of a long or strange reason what a report may carry: one that is refused would cost the link', () => {
    const node = new Node();
    node.connect();
    node.want([assignment('web-1')]);
    // Twice: after the first time it starts again at once.
    for (let failed = 0; failed < 2; failed += 1)
      node.step({ type: 'instanceStartFailed', id: 'web-1', reason: `not\n\u001b[2Jfound: ${'x'.repeat(30_000)}` });
    expect(node.stateOf('web-1')).toBe('FAILED');
    expect(JSON.stringify(node.said())).toContain('not [2Jfound: xxx');
    for (const message of node.said()) expect(upMessageSchema.safeParse(message).error).toBeUndefined();
  });
});
