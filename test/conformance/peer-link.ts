/** What every link between replicas keeps (src/ports/peer-link.ts), as tests; run on a network in memory and on TLS WebSockets. */
import { afterEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/core/base/limits.ts';
import type { Membership, ReplicaId } from '../../src/core/raft/membership.ts';
import type { PeerLink } from '../../src/ports/peer-link.ts';
import { Heard } from '../rig/heard.ts';

export const REPLICAS = ['r1', 'r2', 'r3'] as const;

/** What lies between the replicas. */
export interface PeerWorld {
  /** A new life of a replica; one that is not reachable is dialled in vain. */
  link(id: ReplicaId, options?: { isReachable: boolean }): PeerLink;
  /** As `of` knows it. */
  membership(of: ReplicaId, ids: readonly ReplicaId[]): Membership;
  /** Ends the connection of the two. */
  break(a: ReplicaId, b: ReplicaId): void;
  /** Nothing passes between the two any more, and nobody is told, until `heal`. */
  block(a: ReplicaId, b: ReplicaId): void;
  heal(a: ReplicaId, b: ReplicaId): void;
  /** What is sent waits, until `release`. */
  hold(a: ReplicaId, b: ReplicaId): void;
  release(a: ReplicaId, b: ReplicaId): void;
  stop(): Promise<void>;
}

type Event =
  | { readonly kind: 'connected' | 'disconnected'; readonly peer: ReplicaId }
  | { readonly kind: 'received'; readonly peer: ReplicaId; readonly text: string; readonly bytes: number };

/** The first bytes of a frame as text. */
const HEAD_BYTES = 40;
/** A silence that no test but its own waits for, and one that it does. */
const PATIENT_MS = 60_000;
const IMPATIENT_MS = 150;

class Member {
  readonly id: ReplicaId;
  readonly link: PeerLink;
  readonly heard = new Heard<Event>();
  /** Calls of the listener inside one of ours. */
  nested = 0;
  #isCalling = false;
  readonly #world: PeerWorld;

  constructor(world: PeerWorld, id: ReplicaId, options?: { isReachable: boolean }) {
    this.#world = world;
    this.id = id;
    this.link = world.link(id, options);
  }

  open(peers: readonly ReplicaId[] = REPLICAS): void {
    this.know(peers);
    this.#call(() =>
      this.link.open({
        connected: (peer) => this.#hear({ kind: 'connected', peer }),
        disconnected: (peer) => this.#hear({ kind: 'disconnected', peer }),
        received: (peer, frame) => {
          const text = Buffer.from(frame.subarray(0, HEAD_BYTES)).toString();
          this.#hear({ kind: 'received', peer, text, bytes: frame.length });
        },
      }),
    );
  }

  know(peers: readonly ReplicaId[]): void {
    this.#call(() => this.link.setPeers(this.#world.membership(this.id, peers)));
  }

  send(to: ReplicaId, text: string, bytes = text.length): void {
    const frame = Buffer.alloc(bytes, '.');
    frame.write(text);
    this.#call(() => this.link.send(to, frame));
  }

  refuse(peer: ReplicaId): void {
    this.#call(() => this.link.refuse(peer));
  }

  connected(peer: ReplicaId, times = 1): Promise<Event[]> {
    return this.heard.until(times, (event) => event.kind === 'connected' && event.peer === peer);
  }

  disconnected(peer: ReplicaId, times = 1): Promise<Event[]> {
    return this.heard.until(times, (event) => event.kind === 'disconnected' && event.peer === peer);
  }

  received(text: string): Promise<Event[]> {
    return this.heard.until(1, (event) => event.kind === 'received' && event.text.startsWith(text));
  }

  /** What was heard of one peer, as words. */
  of(peer: ReplicaId): readonly string[] {
    return this.heard.all
      .filter((event) => event.peer === peer)
      .map((event) => (event.kind === 'received' ? event.text : event.kind));
  }

  #hear(event: Event): void {
    if (this.#isCalling) this.nested += 1;
    this.heard.push(event);
  }

  #call(work: () => void): void {
    this.#isCalling = true;
    work();
    this.#isCalling = false;
  }
}

export function describePeerLink(name: string, createWorld: (patienceMs: number) => Promise<PeerWorld>): void {
  describe(`peer link: ${name}`, () => {
    let world: PeerWorld | null = null;
    const members: Member[] = [];

    const gather = async (patienceMs = PATIENT_MS): Promise<PeerWorld> => {
      world = await createWorld(patienceMs);
      return world;
    };
    const member = (in_: PeerWorld, id: ReplicaId, options?: { isReachable: boolean }): Member => {
      const made = new Member(in_, id, options);
      members.push(made);
      return made;
    };
    const pair = async (patienceMs?: number) => {
      const place = await gather(patienceMs);
      const [a, b] = [member(place, 'r1'), member(place, 'r2')];
      a.open(['r1', 'r2']);
      b.open(['r1', 'r2']);
      await Promise.all([a.connected('r2'), b.connected('r1')]);
      return { place, a, b };
    };
    /** Where another connection takes the place of one, what was said on that may be lost. */
    const say = async (from: Member, to: Member, text: string): Promise<void> => {
      for (let isHeard = false; !isHeard; ) {
        const times = from.of(to.id).filter((word) => word === 'connected').length;
        from.send(to.id, text);
        const heard = to.received(text).then(() => true);
        isHeard = await Promise.race([heard, from.connected(to.id, times + 1).then(() => false)]);
      }
    };
    const converse = async (a: Member, b: Member, text: string): Promise<void> => {
      await say(a, b, text);
      await say(b, a, text);
    };

    afterEach(async () => {
      await Promise.all(members.splice(0).map(({ link }) => link.close()));
      await world?.stop();
      world = null;
    });

    it('connects every two under their ids, and carries frames to the one that they are for', async () => {
      const place = await gather();
      const all = REPLICAS.map((id) => member(place, id));
      for (const one of all) one.open();
      for (const one of all) for (const id of REPLICAS) if (id !== one.id) await one.connected(id);
      for (const one of all) for (const id of REPLICAS) one.send(id, `${one.id} to ${id}`);
      for (const one of all) for (const id of REPLICAS) if (id !== one.id) await one.received(`${id} to ${one.id}`);
      for (const one of all) expect(one.heard.all.filter(({ kind }) => kind === 'received')).toHaveLength(2);
    });

    it('N1: keeps order and content both ways, small and as large as may be', async () => {
      const { a, b } = await pair();
      const size = (at: number) => (at % 100 === 99 ? limits.peerFrameBytes : HEAD_BYTES + at);
      for (let at = 0; at < 300; at += 1) {
        a.send('r2', `down ${at} `, size(at));
        b.send('r1', `up ${at} `, size(at));
      }
      await Promise.all([b.received('down 299 '), a.received('up 299 ')]);
      const bytes = (one: Member) => one.heard.all.flatMap((event) => (event.kind === 'received' ? [event.bytes] : []));
      expect(bytes(a)).toEqual(Array.from({ length: 300 }, (_, at) => size(at)));
      expect(bytes(b)).toEqual(bytes(a));
      expect(a.of('r2').filter((text) => text.startsWith('up'))).toEqual(
        Array.from({ length: 300 }, (_, at) => `up ${at} `.padEnd(HEAD_BYTES, '.')),
      );
    });

    it('N1: tells both sides of the end, and connects them anew', async () => {
      const { place, a, b } = await pair();
      await converse(a, b, 'before');
      const [goneAtA, goneAtB] = [a, b].map((one) => one.heard.all.filter(({ kind }) => kind === 'disconnected').length);
      place.break('r1', 'r2');
      await Promise.all([a.disconnected('r2', (goneAtA ?? 0) + 1), b.disconnected('r1', (goneAtB ?? 0) + 1)]);
      await Promise.all([a.connected('r2', (goneAtA ?? 0) + 2), b.connected('r1', (goneAtB ?? 0) + 2)]);
      await converse(a, b, 'after');
      for (const one of [a.of('r2'), b.of('r1')])
        expect(one.slice(one.indexOf('before'))).toEqual(['before', 'disconnected', 'connected', 'after']);
    });

    it('N1: an end that hears nothing is told, though nobody said so', async () => {
      const { place, a, b } = await pair(IMPATIENT_MS);
      await converse(a, b, 'before');
      place.block('r1', 'r2');
      a.send('r2', 'lost');
      b.send('r1', 'lost');
      await Promise.all([a.disconnected('r2'), b.disconnected('r1')]);
      place.heal('r1', 'r2');
      await Promise.all([a.connected('r2', 2), b.connected('r1', 2)]);
      await converse(a, b, 'after');
      expect([...a.of('r2'), ...b.of('r1')]).not.toContain('lost');
    });

    it('drops what is sent to nobody', async () => {
      const place = await gather();
      const [a, b] = [member(place, 'r1'), member(place, 'r2')];
      a.send('r2', 'too early');
      a.open(['r1', 'r2']);
      a.send('r2', 'too early, too');
      a.send('r9', 'to nobody');
      a.refuse('r9');
      b.open(['r1', 'r2']);
      await Promise.all([a.connected('r2'), b.connected('r1')]);
      await converse(a, b, 'in time');
      expect(b.of('r1').filter((text) => text.includes('t'))).not.toContain('too early');
      expect(b.of('r1').at(-1)).toBe('in time');
    });

    it('N2: nobody outside the membership is connected, and whoever leaves it is cut off', async () => {
      const place = await gather();
      const [a, b, c] = [member(place, 'r1'), member(place, 'r2'), member(place, 'r3')];
      a.open(['r1', 'r2']);
      b.open();
      c.open();
      await Promise.all([a.connected('r2'), b.connected('r1'), b.connected('r3'), c.connected('r2')]);
      b.know(['r1', 'r2']);
      await Promise.all([b.disconnected('r3'), c.disconnected('r2')]);
      c.send('r1', 'from a stranger');
      c.send('r2', 'from one who left');
      await converse(a, b, 'among us');
      b.know(REPLICAS);
      await Promise.all([b.connected('r3', 2), c.connected('r2', 2)]);
      await converse(b, c, 'back again');
      expect([...a.of('r3'), ...c.of('r1')]).toEqual([]);
      expect(b.of('r3')).toEqual(['connected', 'disconnected', 'connected', 'back again']);
    });

    it('N2: an empty membership changes nothing', async () => {
      const { a, b } = await pair();
      await converse(a, b, 'before');
      a.know([]);
      await converse(a, b, 'after');
      expect(a.of('r2').slice(-2)).toEqual(['before', 'after']);
    });

    it('N3: bounds what waits for a slow peer, and goes on when it is not slow any more', async () => {
      const { place, a, b } = await pair();
      await converse(a, b, 'before');
      place.hold('r1', 'r2');
      const count = 80;
      for (let at = 0; at < count; at += 1) a.send('r2', `${at} `, 1024 * 1024);
      place.release('r1', 'r2');
      await b.heard.until(20, (event) => event.kind === 'received' && event.bytes > 1024);
      a.send('r2', 'the end');
      await b.received('the end');
      const arrived = b.heard.all.filter((event) => event.kind === 'received' && event.bytes > 1024);
      expect(arrived.length).toBeLessThanOrEqual(limits.peerOutgoingBytes / (1024 * 1024));
      expect(b.of('r1').slice(-1 - arrived.length)).toEqual([
        ...arrived.map((_, at) => `${at} `.padEnd(HEAD_BYTES, '.')),
        'the end',
      ]);
    });

    it('N4: never calls back inside a call', async () => {
      const { place, a, b } = await pair();
      await converse(a, b, 'once');
      a.refuse('r2');
      await b.connected('r1', 2);
      a.know(['r1']);
      await b.disconnected('r1', 2);
      a.know(['r1', 'r2']);
      await b.connected('r1', 3);
      await converse(a, b, 'twice');
      place.break('r1', 'r2');
      await b.disconnected('r1', 3);
      expect(a.nested + b.nested).toBe(0);
    });

    it('ends with whoever it refuses, and tries again', async () => {
      const { a, b } = await pair();
      await converse(a, b, 'before');
      a.refuse('r2');
      await Promise.all([a.disconnected('r2'), b.disconnected('r1')]);
      await Promise.all([a.connected('r2', 2), b.connected('r1', 2)]);
      await converse(a, b, 'after');
    });

    it('N4: tells the others that it closes, hears nothing more, and its next life is connected', async () => {
      const { place, a, b } = await pair();
      await converse(a, b, 'before');
      const before = b.heard.all.length;
      await b.link.close();
      await a.disconnected('r2');
      a.send('r2', 'to nobody');
      const again = member(place, 'r2');
      again.open(['r1', 'r2']);
      await Promise.all([a.connected('r2', 2), again.connected('r1')]);
      await converse(a, again, 'after');
      expect(b.heard.all.length).toBe(before);
      expect(again.of('r1')).not.toContain('to nobody');
    });

    it.each([
      ['r1', 'r2'],
      ['r2', 'r1'],
    ] as const)('connects %s, which nobody can reach, with %s', async (hidden, seen) => {
      const place = await gather();
      const a = member(place, hidden, { isReachable: false });
      const b = member(place, seen);
      b.open(['r1', 'r2']);
      a.open(['r1', 'r2']);
      await Promise.all([a.connected(seen), b.connected(hidden)]);
      await converse(a, b, 'hello');
      place.break('r1', 'r2');
      await Promise.all([a.connected(seen, 2), b.connected(hidden, 2)]);
      await converse(a, b, 'again');
    });
  });
}
