/** What every uplink adapter keeps (src/ports/uplink.ts), as tests; run in memory, on the embedded broker and on Mosquitto. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Desired, DownMessage, Hello, Report, UpMessage } from '../../src/core/model/messages.ts';
import type { Summary } from '../../src/core/model/summary.ts';
import type { Downlink, Uplink } from '../../src/ports/uplink.ts';
import { Heard } from '../rig/heard.ts';

/** What lies between a child and its parent. */
export interface UplinkWorld {
  readonly downlink: Downlink;
  /** The child's end, not opened yet. */
  uplink(child: string): Uplink;
  /** Breaks the child's connection as a network does: neither end is asked. It can dial again. */
  cut(child: string): void;
  stop(): Promise<void>;
}

/** A world in which others can speak, too. */
export interface WireWorld extends UplinkWorld {
  /** Says `payload` on `topic` with the certificate of `child`, as any program could. */
  say(child: string, topic: string, payload: string): Promise<void>;
  /** Messages that the parent's end has dropped as invalid. */
  dropped(): number;
}

type ChildEvent =
  | { readonly kind: 'opened' }
  | { readonly kind: 'received'; readonly message: DownMessage }
  | { readonly kind: 'closed'; readonly reason: string };
type ParentEvent =
  | { readonly kind: 'received'; readonly child: string; readonly message: UpMessage }
  | { readonly kind: 'closed'; readonly child: string };

const opened = (event: ChildEvent): boolean => event.kind === 'opened';
const closed = (event: { kind: string }): boolean => event.kind === 'closed';
const received = (event: { kind: string }): boolean => event.kind === 'received';

const NOTHING = { cpuMilli: 0, memoryBytes: 0, diskBytes: 0 };
const SUMMARY: Summary = { nodes: 1, total: NOTHING, free: NOTHING, load: 0, groups: [], nodeNames: [], namesComplete: true };

export function hello(session: string): Hello {
  const kind = 'node';
  return { type: 'hello', protocol: 1, session, kind, software: '0.1.0', epoch: '', version: 0, summary: SUMMARY, instances: [] };
}

export function report(session: string, sequence: number, text = ''): Report {
  const instance = {
    id: 'web-1',
    state: 'RUNNING',
    reason: text,
    node: '',
    endpoints: [],
    restarts: 0,
    sinceMs: 1,
    exitCode: null,
  };
  return {
    type: 'report',
    session,
    sequence,
    version: 0,
    changed: text ? [instance as Report['changed'][number]] : [],
    gone: [],
  };
}

export function desired(session: string, from: number, gone: readonly string[] = []): Desired {
  return { type: 'desired', session, epoch: 'e', from, to: from + 1, more: false, set: [], unset: [...gone], heartbeatMs: 1_000 };
}

/** One world with its parent listening, and children that join it. */
class Family<World extends UplinkWorld> {
  readonly world: World;
  readonly parent = new Heard<ParentEvent>();
  readonly #uplinks: Uplink[] = [];

  private constructor(world: World) {
    this.world = world;
  }

  static async gather<World extends UplinkWorld>(world: World): Promise<Family<World>> {
    const family = new Family(world);
    await world.downlink.open({
      received: (child, message) => family.parent.push({ kind: 'received', child, message }),
      closed: (child) => family.parent.push({ kind: 'closed', child }),
    });
    return family;
  }

  async part(): Promise<void> {
    for (const uplink of this.#uplinks) await uplink.close();
    await this.world.downlink.close();
    await this.world.stop();
  }

  dial(child: string, onReceived: (message: DownMessage, uplink: Uplink) => void = () => {}) {
    const heard = new Heard<ChildEvent>();
    const uplink = this.world.uplink(child);
    this.#uplinks.push(uplink);
    uplink.open({
      opened: () => heard.push({ kind: 'opened' }),
      received: (message) => {
        heard.push({ kind: 'received', message });
        onReceived(message, uplink);
      },
      closed: (reason) => heard.push({ kind: 'closed', reason }),
    });
    return { uplink, heard };
  }

  async join(child: string, session = `${child}-1`) {
    const end = this.dial(child);
    await end.heard.until(1, opened);
    end.uplink.send(hello(session));
    await this.parent.until(1, (event) => received(event) && event.child === child);
    return end;
  }
}

export function describeUplink(name: string, createWorld: () => Promise<UplinkWorld>): void {
  describe(`uplink: ${name}`, () => {
    let family: Family<UplinkWorld>;
    let world: UplinkWorld;
    let parent: Heard<ParentEvent>;

    beforeEach(async () => {
      world = await createWorld();
      family = await Family.gather(world);
      parent = family.parent;
    });

    afterEach(() => family.part());

    it('carries a hello up, and desired state down to the child it is for', async () => {
      const n1 = await family.join('n1');
      const n2 = await family.join('n2');
      expect(parent.all).toEqual([
        { kind: 'received', child: 'n1', message: hello('n1-1') },
        { kind: 'received', child: 'n2', message: hello('n2-1') },
      ]);
      world.downlink.send('n2', desired('n2-1', 0));
      world.downlink.send('n1', { type: 'stream', id: 'abcdefghijklmnop' });
      expect(await n1.heard.until(1, received)).toEqual([
        { kind: 'received', message: { type: 'stream', id: 'abcdefghijklmnop' } },
      ]);
      expect(await n2.heard.until(1, received)).toEqual([{ kind: 'received', message: desired('n2-1', 0) }]);
    });

    it('U1: keeps order and content both ways, small and large, without loss or repetition', async () => {
      const { uplink, heard } = await family.join('n1');
      const count = 400;
      const ups = Array.from({ length: count }, (_, at) =>
        report('n1-1', at + 1, at % 50 === 49 ? 'ä€'.repeat(500) : at % 2 ? 'x' : ''),
      );
      const many = Array.from({ length: 20_000 }, (_, at) => `instance-with-a-long-name-${at}`);
      const downs = Array.from({ length: count }, (_, at) => desired('n1-1', at, at % 100 === 99 ? many : ['web-1']));
      for (const [at, up] of ups.entries()) {
        uplink.send(up);
        const down = downs[at];
        if (down) world.downlink.send('n1', down);
      }
      const up = await parent.until(count + 1, received);
      expect(up.slice(1)).toEqual(ups.map((message) => ({ kind: 'received', child: 'n1', message })));
      const down = await heard.until(count, received);
      expect(down).toEqual(downs.map((message) => ({ kind: 'received', message })));
      expect(parent.all.some(closed)).toBe(false);
    });

    it('drops what is sent where no link is open', async () => {
      const { uplink, heard } = family.dial('n1');
      uplink.send(hello('too-early'));
      await heard.until(1, opened);
      world.downlink.send('n1', desired('nobody', 0));
      world.downlink.send('n9', desired('nobody', 0));
      uplink.send(hello('n1-1'));
      await parent.until(1);
      world.downlink.send('n1', desired('n1-1', 0));
      expect(await heard.until(1, received)).toEqual([{ kind: 'received', message: desired('n1-1', 0) }]);
      expect(parent.all).toEqual([{ kind: 'received', child: 'n1', message: hello('n1-1') }]);
    });

    it('U2: tells both ends when the network breaks, and opens anew', async () => {
      const n1 = await family.join('n1');
      const n2 = await family.join('n2');
      world.cut('n1');
      n1.uplink.send(report('n1-1', 1));
      await n1.heard.until(1, closed);
      await parent.until(1, closed);
      await n1.heard.until(2, opened);
      n1.uplink.send(hello('n1-2'));
      n1.uplink.send(report('n1-2', 1));
      await parent.until(2, (event) => event.kind === 'received' && event.message.session === 'n1-2');
      const ofN1 = parent.all.filter((event) => event.child === 'n1').map((event) => (closed(event) ? 'closed' : event.kind));
      expect(ofN1.slice(-3)).toEqual(['closed', 'received', 'received']);
      expect(n1.heard.all.map(({ kind }) => kind)).toEqual(['opened', 'closed', 'opened']);
      world.downlink.send('n2', desired('n2-1', 0));
      await n2.heard.until(1, received);
      expect(n2.heard.all.some(closed)).toBe(false);
    });

    it('ends a child at the parent’s wish, and the child dials again', async () => {
      const { uplink, heard } = await family.join('n1');
      world.downlink.disconnect('n1');
      expect(parent.all.some(closed)).toBe(false);
      expect(await parent.until(1, closed)).toEqual([{ kind: 'closed', child: 'n1' }]);
      await heard.until(1, closed);
      await heard.until(2, opened);
      uplink.send(hello('n1-2'));
      await parent.until(2, received);
    });

    it('begins a new session at the child’s wish', async () => {
      const { uplink, heard } = await family.join('n1');
      uplink.reopen('the numbers do not fit');
      expect(heard.all.some(closed)).toBe(false);
      expect(await heard.until(1, closed)).toEqual([{ kind: 'closed', reason: 'the numbers do not fit' }]);
      await heard.until(2, opened);
      uplink.send(hello('n1-2'));
      await parent.until(2, received);
      expect(parent.all.map(({ kind }) => kind)).toEqual(['received', 'closed', 'received']);
    });

    it('tells the parent of a child that closes, and tells that child nothing more', async () => {
      const { uplink, heard } = await family.join('n1');
      const before = heard.all.length;
      await uplink.close();
      await parent.until(1, closed);
      world.downlink.send('n1', desired('n1-1', 0));
      const again = family.dial('n1');
      await again.heard.until(1, opened);
      again.uplink.send(hello('n1-2'));
      await parent.until(2, received);
      expect(heard.all.length).toBe(before);
      expect(parent.all.filter(closed)).toHaveLength(1);
    });

    it('U5: never calls back inside send', async () => {
      let sending = false;
      let nested = false;
      const { uplink, heard } = family.dial('n1', (message, end) => {
        if (sending) nested = true;
        sending = true;
        if (message.type === 'desired') end.send(report('n1-1', message.to, 'x'));
        sending = false;
      });
      await heard.until(1, opened);
      uplink.send(hello('n1-1'));
      await parent.until(1);
      for (let at = 0; at < 20; at++) {
        sending = true;
        world.downlink.send('n1', desired('n1-1', at));
        sending = false;
        await parent.until(at + 2, received);
      }
      expect(nested).toBe(false);
    });
  });
}

/** Besides: what others may try on the wire. */
export function describeWire(name: string, createWorld: () => Promise<WireWorld>): void {
  describeUplink(name, createWorld);

  describe(`uplink on the wire: ${name}`, () => {
    let family: Family<WireWorld>;
    let world: WireWorld;
    let parent: Heard<ParentEvent>;

    beforeEach(async () => {
      world = await createWorld();
      family = await Family.gather(world);
      parent = family.parent;
    });

    afterEach(() => family.part());

    it('U2: when a report is missing, the session is broken and begun anew; a repetition is dropped', async () => {
      const { uplink, heard } = await family.join('n1');
      uplink.send(report('n1-1', 1, 'a'));
      uplink.send(report('n1-1', 1, 'a'));
      uplink.send(report('n1-1', 2, 'b'));
      uplink.send(report('n1-1', 4, 'd'));
      await parent.until(1, closed);
      await heard.until(1, closed);
      await heard.until(2, opened);
      uplink.send(hello('n1-2'));
      uplink.send(report('n1-2', 1, 'e'));
      await parent.until(5, received);
      expect(parent.all.map((event) => (event.kind === 'received' ? event.message : event.kind))).toEqual([
        hello('n1-1'),
        report('n1-1', 1, 'a'),
        report('n1-1', 2, 'b'),
        'closed',
        hello('n1-2'),
        report('n1-2', 1, 'e'),
      ]);
    });

    it('U3: nobody speaks for another, and others do not notice the attempt', async () => {
      const n1 = await family.join('n1');
      await world.say('n2', 'tendril/v1/n1/hello', JSON.stringify(hello('stolen')));
      await world.say('n2', 'tendril/v1/n1/report', JSON.stringify(report('n1-1', 1, 'stolen')));
      await world.say('n2', 'tendril/v1/n1/gone', '{}');
      await world.say('n2', 'tendril/v1/n1/desired', JSON.stringify(desired('n1-1', 0)));
      await world.say('n2', 'tendril/v1/n1/close', '{}');
      n1.uplink.send(report('n1-1', 1, 'mine'));
      await parent.until(2);
      expect(parent.all.slice(1)).toEqual([{ kind: 'received', child: 'n1', message: report('n1-1', 1, 'mine') }]);
      expect(n1.heard.all).toEqual([{ kind: 'opened' }]);
    });

    it('U4: drops and counts what does not parse, and goes on', async () => {
      const bad = ['no json', '{}', '[]', JSON.stringify({ ...hello('x'), extra: 1 }), JSON.stringify(report('x', 1))];
      for (const payload of bad) await world.say('n1', 'tendril/v1/n1/hello', payload);
      const { uplink } = await family.join('n1');
      uplink.send(report('n1-1', 1));
      await parent.until(2, received);
      expect(parent.all.filter(received)).toHaveLength(2);
      expect(world.dropped()).toBe(bad.length);
    });
  });
}
