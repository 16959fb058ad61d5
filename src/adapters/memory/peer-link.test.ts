import { describe, expect, it } from 'vitest';
import { chance, integerBetween, Prng, pick } from '../../core/base/prng.ts';
import type { Membership, ReplicaId } from '../../core/raft/membership.ts';
import type { PeerLink } from '../../ports/peer-link.ts';
import { VirtualClock } from './clock.ts';
import { PeerNetwork } from './peer-link.ts';

const IDS = ['r1', 'r2', 'r3'];
const membership: Membership = IDS.map((id) => ({ id, name: id, url: `https://${id}:7443`, role: 'voter' }));

/** Replicas that number what they say: the connection as they count them, and the place in it. */
class Place {
  readonly clock = new VirtualClock();
  readonly random: Prng;
  readonly network: PeerNetwork;
  readonly trace: string[] = [];
  readonly links = new Map<ReplicaId, PeerLink>();
  readonly problems: string[] = [];
  #connections = 0;
  /** What each side says on its connection to another, and what it has heard on it. */
  readonly #state = new Map<string, { said: string; next: number; heard: string; expected: number }>();

  constructor(seed: number) {
    this.random = new Prng(seed);
    const { clock, random } = this;
    this.network = new PeerNetwork({ clock, random }, { latencyMs: 5, jitterMs: 20, silenceMs: 500 });
  }

  start(id: ReplicaId): void {
    const link = this.network.link(id);
    this.links.set(id, link);
    for (const peer of IDS) this.#state.delete(`${id} ${peer}`);
    link.setPeers(membership);
    link.open({
      connected: (peer) => {
        this.#note(`${id}: connected ${peer}`);
        const isOpen = this.#state.has(`${id} ${peer}`);
        if (isOpen) this.problems.push(`${id} is connected with ${peer} twice`);
        this.#connections += 1;
        this.#state.set(`${id} ${peer}`, { said: String(this.#connections), next: 0, heard: '', expected: 0 });
      },
      disconnected: (peer) => {
        this.#note(`${id}: disconnected ${peer}`);
        if (!this.#state.delete(`${id} ${peer}`)) this.problems.push(`${id} was not connected with ${peer}`);
      },
      received: (peer, frame) => this.#received(id, peer, Buffer.from(frame).toString()),
    });
  }

  /** N1: each connection's frames from the first one on, none missing, none of another. */
  #received(id: ReplicaId, peer: ReplicaId, text: string): void {
    this.#note(`${id}: ${peer} says ${text}`);
    const [connection = '', number = ''] = text.split(' ');
    const state = this.#state.get(`${id} ${peer}`);
    if (!state) {
      this.problems.push(`${id} hears ${text} without a connection`);
      return;
    }
    if (state.expected === 0) state.heard = connection;
    if (state.heard !== connection || state.expected !== Number(number))
      this.problems.push(`${id} hears ${text} of ${peer} and expected ${state.heard} ${state.expected}`);
    state.expected += 1;
  }

  say(from: ReplicaId, to: ReplicaId): void {
    const state = this.#state.get(`${from} ${to}`);
    if (!state) return;
    this.links.get(from)?.send(to, Buffer.from(`${state.said} ${state.next}`));
    state.next += 1;
  }

  isConnected(a: ReplicaId, b: ReplicaId): boolean {
    return this.#state.has(`${a} ${b}`) && this.#state.has(`${b} ${a}`);
  }

  #note(text: string): void {
    this.trace.push(`${this.clock.nowMs().toFixed(3)} ${text}`);
  }
}

function started(seed = 1): Place {
  const place = new Place(seed);
  for (const id of IDS) place.start(id);
  place.clock.advance(1_000);
  for (const a of IDS) for (const b of IDS) if (a !== b) expect(place.isConnected(a, b)).toBe(true);
  place.trace.length = 0;
  return place;
}

/** Everything that can happen, then calm. */
function misfortunes(seed: number): Place {
  const place = started(seed);
  const { random, network, clock } = place;
  const dead = new Set<ReplicaId>();
  for (let step = 0; step < 300; step += 1) {
    const [a, b] = [pick(random, IDS), pick(random, IDS)];
    const dice = random.next();
    if (dice < 0.03) network.break(a, b);
    else if (dice < 0.06 && a !== b) network.block(a, b);
    else if (dice < 0.12) network.heal(a, b);
    else if (dice < 0.14 && !dead.has(a)) {
      network.crash(a, { isPowerCut: chance(random, 0.5) });
      dead.add(a);
    } else if (dice < 0.2 && dead.delete(a)) place.start(a);
    else if (dice < 0.22 && !dead.has(a)) place.links.get(a)?.refuse(b);
    else if (!dead.has(a) && a !== b) place.say(a, b);
    clock.advance(integerBetween(random, 0, 60));
  }
  for (const id of dead) place.start(id);
  for (const a of IDS) for (const b of IDS) if (a !== b) network.heal(a, b);
  // What a power cut left half open is noticed once something is said.
  for (let round = 0; round < 200; round += 1) {
    for (const a of IDS) for (const b of IDS) if (a !== b) place.say(a, b);
    clock.advance(100);
  }
  return place;
}

describe('peer network', () => {
  it('is the same run for the same seed, and another one for another', () => {
    expect(misfortunes(7).trace).toEqual(misfortunes(7).trace);
    expect(misfortunes(7).trace).not.toEqual(misfortunes(8).trace);
  });

  it('N1: keeps order and wholeness of each connection, whatever happens, and connects all in the end', () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const place = misfortunes(seed);
      expect(place.problems, `seed ${seed}`).toEqual([]);
      for (const a of IDS)
        for (const b of IDS) if (a !== b) expect(place.isConnected(a, b), `seed ${seed}: ${a} ${b}`).toBe(true);
    }
  });

  it('lets one direction fall silent, and flow on when it heals in time', () => {
    const place = started();
    place.network.block('r1', 'r2');
    for (const _ of IDS) place.say('r1', 'r2');
    place.say('r2', 'r1');
    place.clock.advance(300);
    expect(place.trace.map((line) => line.slice(line.indexOf(' ') + 1))).toEqual([expect.stringMatching(/^r1: r2 says \d+ 0$/)]);
    place.network.heal('r1', 'r2');
    place.clock.advance(300);
    expect(place.trace).toHaveLength(4);
    expect(place.problems).toEqual([]);
    expect(place.isConnected('r1', 'r2')).toBe(true);
  });

  it('ends a connection whose silence lasts, once something was said', () => {
    const place = started();
    place.network.block('r1', 'r2');
    place.clock.advance(10_000);
    expect(place.isConnected('r1', 'r2')).toBe(true);
    place.say('r1', 'r2');
    place.clock.advance(1_000);
    expect(place.trace.map((line) => line.slice(line.indexOf(' ') + 1)).sort()).toEqual([
      'r1: disconnected r2',
      'r2: disconnected r1',
    ]);
  });

  it('tells the others of a process that died, and not of a power cut', () => {
    const place = started();
    place.network.crash('r2');
    place.clock.advance(100);
    expect(place.trace).toHaveLength(2);
    place.network.crash('r3', { isPowerCut: true });
    place.clock.advance(100);
    expect(place.trace).toHaveLength(2);
    place.say('r1', 'r3');
    place.clock.advance(1_000);
    expect(place.trace).toHaveLength(3);
  });
});
