import { describe, expect, it } from 'vitest';
import { summaryOfNode } from '../capacity/summaries.ts';
import type { Desired, InstanceReport } from '../model/messages.ts';
import { ChildSession, type ChildStatus } from './child-session.ts';

const total = { cpuMilli: 1_000, memoryBytes: 1_000, diskBytes: 0 };
const node = { name: 'n1', total, architecture: 'amd64', runtimes: ['process'], labels: {} };

function status(more: Partial<ChildStatus> = {}): ChildStatus {
  return { epoch: 'e', version: 0, summary: quiet, instances: new Map(), ...more };
}
const quiet = summaryOfNode({ ...node, free: total, load: 0 });

function running(id: string): InstanceReport {
  return { id, state: 'RUNNING', reason: '', node: '', endpoints: [], restarts: 0, sinceMs: 0, exitCode: null };
}

function desired(from: number, to: number, more: Partial<Desired> = {}): Desired {
  return { type: 'desired', session: 's', epoch: 'e', from, to, more: false, set: [], unset: [], heartbeatMs: 1_000, ...more };
}

describe('the child of an uplink', () => {
  it('says nothing after its hello until the parent has answered (C1)', () => {
    const session = new ChildSession('node', 'test');
    session.linkOpened('s', status(), 0);
    expect(session.report(status({ version: 1 }), 5_000)).toBeNull();
    expect(session.nextHeartbeatMs()).toBe(Number.POSITIVE_INFINITY);
    session.desiredReceived(desired(0, 0));
    expect(session.report(status({ version: 1 }), 5_000)).toMatchObject({ sequence: 1, version: 1 });
  });

  it('tells changes at once, load with the next heartbeat, and nothing else (C2)', () => {
    const session = new ChildSession('node', 'test');
    session.linkOpened('s', status(), 0);
    session.desiredReceived(desired(0, 0));
    const one = running('web-1');
    const instances = new Map([['web-1', one]]);
    expect(session.report(status({ instances }), 10)).toMatchObject({ sequence: 1, changed: [one], gone: [] });
    expect(session.report(status({ instances }), 20)).toBeNull();
    const busy = summaryOfNode({ ...node, free: total, load: 0.9 });
    expect(session.report(status({ instances, summary: busy }), 30)).toBeNull();
    expect(session.report(status({ instances, summary: busy }), 1_010)).toMatchObject({
      sequence: 2,
      summary: busy,
      changed: [],
    });
    const less = summaryOfNode({ ...node, free: { ...total, cpuMilli: 500 }, load: 0.9 });
    expect(session.report(status({ summary: less }), 1_020)).toMatchObject({ sequence: 3, summary: less, gone: ['web-1'] });
  });

  it('takes wishes in order, whole ones in parts, and breaks on a gap (C3)', () => {
    const session = new ChildSession('node', 'test');
    session.linkOpened('s', status({ version: 4 }), 0);
    expect(session.desiredReceived(desired(4, 4))).toEqual({ kind: 'nothing' });
    expect(session.desiredReceived(desired(4, 5, { unset: ['a-1'] }))).toMatchObject({
      kind: 'wish',
      wish: { all: false, version: 5 },
    });
    expect(session.desiredReceived(desired(7, 8))).toMatchObject({ kind: 'broken' });
    expect(session.desiredReceived(desired(0, 3, { more: true }))).toEqual({ kind: 'nothing' });
    expect(session.desiredReceived(desired(3, 9))).toMatchObject({ kind: 'wish', wish: { all: true, version: 9 } });
  });

  it('drops what is meant for another session', () => {
    const session = new ChildSession('node', 'test');
    session.linkOpened('s2', status(), 0);
    expect(session.desiredReceived(desired(0, 1))).toEqual({ kind: 'nothing' });
  });

  it('goes on to be heard when its clock is set back', () => {
    const session = new ChildSession('node', 'test');
    session.linkOpened('s', status(), 3_600_000);
    session.desiredReceived(desired(0, 0));
    expect(session.report(status(), 10)).toMatchObject({ sequence: 1 });
    expect(session.nextHeartbeatMs()).toBe(1_010);
  });
});
