/** Three replicas of a log, driver and all, on virtual time and simulated disks. */
import { expect, it } from 'vitest';
import { VirtualClock } from '../adapters/memory/clock.ts';
import { MemoryDisk } from '../adapters/memory/disk.ts';
import { MemoryRaftStorage } from '../adapters/memory/raft-storage.ts';
import { Prng } from '../core/base/prng.ts';
import type { Leadership } from '../core/model/leadership.ts';
import type { Replica, ReplicaId } from '../core/raft/membership.ts';
import type { RaftMessage } from '../core/raft/messages.ts';
import type { PeerLink, PeerListener } from '../ports/peer-link.ts';
import { RaftLog } from './raft-log.ts';

const MEMBERSHIP: readonly Replica[] = ['r1', 'r2', 'r3'].map((id) => ({
  id,
  name: id,
  url: `https://${id}:7443`,
  role: 'voter',
}));

/** One way. */
const HOP_MS = 1;

/** Messages travel as they are; each under the number of its frame. */
class Wire {
  readonly clock = new VirtualClock();
  readonly listeners = new Map<ReplicaId, PeerListener>();
  readonly #messages: RaftMessage[] = [];

  readonly frames = {
    encode: (message: RaftMessage) => Uint8Array.from(String(this.#messages.push(message) - 1), (digit) => Number(digit)),
    decode: (frame: Uint8Array) => this.#messages[Number(frame.join(''))] ?? null,
  };

  link(from: ReplicaId): PeerLink {
    return {
      open: (listener) => {
        for (const [other, its] of this.listeners) {
          this.clock.startTimer(0, () => listener.connected(other));
          this.clock.startTimer(0, () => its.connected(from));
        }
        this.listeners.set(from, listener);
      },
      setPeers: () => undefined,
      send: (to, frame) => void this.clock.startTimer(HOP_MS, () => this.listeners.get(to)?.received(from, frame)),
      refuse: () => undefined,
      close: () => Promise.resolve(),
    };
  }

  die(id: ReplicaId): void {
    this.listeners.delete(id);
    for (const listener of this.listeners.values()) listener.disconnected(id);
  }
}

class Running {
  readonly disk: MemoryDisk;
  readonly log: RaftLog;
  readonly texts: string[] = [];
  readonly own: number[] = [];
  leadership: Leadership | null = null;
  index = 0;

  constructor(
    wire: Wire,
    id: ReplicaId,
    disk = new MemoryDisk(wire.clock),
    leadership: 'standing' | 'on-demand' = 'standing',
    random = new Prng(id.charCodeAt(1)),
  ) {
    this.disk = disk;
    this.log = new RaftLog(
      {
        clock: wire.clock,
        random,
        storage: new MemoryRaftStorage(disk),
        link: wire.link(id),
        frames: wire.frames,
        attachment: () => (leadership === 'standing' ? null : new TextEncoder().encode(`load of ${id}`)),
        membershipChanged: () => undefined,
      },
      {
        id,
        membership: MEMBERSHIP,
        leadership,
        electionTimeoutMinMs: 150,
        electionTimeoutMaxMs: 3_000,
        quietMs: 1_000,
      },
    );
    void this.log.open({
      restored: (snapshot, index) => {
        this.texts.splice(0, Number.POSITIVE_INFINITY, ...JSON.parse(new TextDecoder().decode(snapshot)));
        this.index = index;
      },
      committed: (entries) => {
        for (const { data, proposal, index } of entries) {
          this.texts.push(new TextDecoder().decode(data));
          if (proposal !== undefined) this.own.push(proposal);
          this.index = index;
        }
      },
      ready: (leadership) => {
        this.leadership = leadership;
      },
      dropped: () => undefined,
      failed: (error) => expect.unreachable(String(error)),
    });
  }

  propose(number: number): void {
    this.log.propose(number, new TextEncoder().encode(`entry ${number}`));
  }
}

/** Lets time pass until it holds; what is settled on the way is followed to its end. */
async function until(wire: Wire, holds: () => boolean, what: string): Promise<void> {
  const endMs = wire.clock.nowMs() + 30_000;
  while (!holds()) {
    expect(wire.clock.nowMs(), `not within 30 s: ${what}`).toBeLessThan(endMs);
    await new Promise((resolve) => setImmediate(resolve));
    wire.clock.runNext();
  }
}

it('elects, commits, loses its leader, and goes on without losing an entry', async () => {
  const wire = new Wire();
  const replicas = new Map(MEMBERSHIP.map(({ id }) => [id, new Running(wire, id)]));
  const leader = () => [...replicas].find(([, { leadership }]) => leadership?.leads);
  await until(wire, () => leader() !== undefined, 'a leader');
  const [first, leading] = leader() ?? expect.unreachable('a leader');
  for (let number = 0; number < 100; number += 1) leading.propose(number);
  await until(wire, () => [...replicas.values()].every(({ texts }) => texts.length === 100), 'all replicas have all');
  expect(leading.own).toHaveLength(100);
  expect([...replicas.values()].map(({ leadership }) => leadership?.leader)).toEqual([first, first, first]);
  expect(await settled(wire, leading.log.confirmRead())).toBe(true);

  leading.disk.crash(new Prng(1));
  replicas.delete(first);
  wire.die(first);
  const diedAtMs = wire.clock.nowMs();
  await until(wire, () => leader() !== undefined, 'another leader');
  expect(wire.clock.nowMs() - diedAtMs).toBeLessThan(400); // virtual time: a promise of the protocol
  const [second, next] = leader() ?? expect.unreachable('another leader');
  expect(next.texts).toHaveLength(100);
  for (let number = 100; number < 150; number += 1) next.propose(number);
  await until(wire, () => next.texts.length === 150, 'the new leader commits');
  await settled(wire, next.log.compact(new TextEncoder().encode(JSON.stringify(next.texts)), next.index));

  const back = new Running(wire, first, leading.disk);
  replicas.set(first, back);
  await until(wire, () => back.texts.length === 150, 'the old leader catches up');
  expect(back.texts).toEqual(next.texts);
  expect(back.leadership).toMatchObject({ leads: false, leader: second });
});

async function settled<T>(wire: Wire, promise: Promise<T>): Promise<T> {
  let value: { readonly is: T } | null = null;
  void promise.then((is) => {
    value = { is };
  });
  await until(wire, () => value !== null, 'an answer');
  return promise;
}

it('decides on demand within two and a half round trips and three syncs', async () => {
  const wire = new Wire();
  const syncMs = 7;
  const replicas = new Map(
    MEMBERSHIP.map(({ id }) => {
      const disk = new MemoryDisk(wire.clock);
      disk.syncMs = syncMs;
      return [id, new Running(wire, id, disk, 'on-demand')] as const;
    }),
  );
  const all = [...replicas.values()];
  await until(wire, () => all.every(({ log }) => log.status?.isPaused && log.status.commit === 1), 'all are paused');
  const [gateway, chosen] = all;
  if (!gateway || !chosen) expect.unreachable('replicas');
  const beganAtMs = wire.clock.nowMs();
  gateway.log.wantLeadership();
  await until(wire, () => gateway.leadership?.leads === true, 'the gateway leads');
  expect(gateway.leadership?.votes).toEqual(['r1', 'r2', 'r3']);
  gateway.propose(1);
  await until(wire, () => chosen.texts.length === 1, 'another one knows of the decision');
  // Own term; vote; entry. Ask and vote, entry and agreement, and the word that it is committed.
  expect(wire.clock.nowMs() - beganAtMs).toBe(3 * syncMs + 5 * HOP_MS);
});

it('is restored before it is given what follows, also when the disk has finished both at once (L3)', async () => {
  const wire = new Wire();
  const disk = new MemoryDisk(wire.clock);
  disk.syncMs = 10;
  const follower = new Running(wire, 'r2', disk);
  await until(wire, () => wire.listeners.has('r2'), 'it is open');
  const texts = Buffer.from(JSON.stringify(['one', 'two']));
  const head = { index: 2, term: 1, membership: MEMBERSHIP, bytes: texts.length };
  const heard = (from: ReplicaId, message: RaftMessage) => wire.listeners.get('r2')?.received(from, wire.frames.encode(message));
  const append = { type: 'append', term: 2, round: 0, sentAtMs: 0, electionTimeoutMs: 150, pause: false } as const;
  const entries = [{ index: 3, term: 2, kind: 'data', data: Buffer.from('three') }] as const;
  heard('r1', { type: 'snapshotPiece', term: 1, head, piece: 0, data: texts });
  heard('r3', { ...append, previousIndex: 2, previousTerm: 1, entries, commit: 2 });
  heard('r3', { ...append, previousIndex: 3, previousTerm: 2, entries: [], commit: 3 });
  await until(wire, () => follower.index === 3, 'it has all');
  expect(follower.texts).toEqual(['one', 'two', 'three']);
});

it('asks in each life by numbers of its own: the leader may yet answer the life before', async () => {
  const wire = new Wire();
  const asked: number[] = [];
  const heard = (_: ReplicaId, frame: Uint8Array): void => {
    const message = wire.frames.decode(frame);
    if (message?.type === 'readRequest') asked.push(message.read);
  };
  wire.listeners.set('r1', { connected: () => undefined, received: heard, disconnected: () => undefined });
  for (const seed of [1, 2]) {
    const follower = new Running(wire, 'r2', new MemoryDisk(wire.clock), 'standing', new Prng(seed));
    await until(wire, () => wire.listeners.has('r2'), 'it is open');
    const heartbeat = {
      type: 'append',
      term: 1,
      previousIndex: 0,
      previousTerm: 0,
      entries: [],
      commit: 0,
      pause: false,
    } as const;
    wire.listeners
      .get('r2')
      ?.received('r1', wire.frames.encode({ ...heartbeat, round: 0, sentAtMs: 0, electionTimeoutMs: 3_000 }));
    void follower.log.confirmRead();
    await until(wire, () => asked.length === seed, 'it asks the leader');
    follower.disk.crash();
    wire.die('r2');
  }
  expect(asked[1]).not.toBe(asked[0]);
});
