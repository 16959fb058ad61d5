/**
 * Links between replicas over a network that is not there, on any clock; with a virtual one a run is a function of its
 * seed. A connection is a stream as TCP gives one: in order and whole, or broken. What fails is what fails with TCP:
 *
 *  - `break`: the connection ends, and what was under way is lost; the ends learn of it one after the other.
 *  - `block`: one direction goes silent while the connection stays. What is sent waits, up to the bound; it flows on
 *    when `heal` comes in time, and is lost when an end gives up before. That only an end which says something notices
 *    the silence is as on the wire. No dial succeeds meanwhile, in neither direction.
 *  - `crash`: a process is gone, and its machine says so to the others; after a power cut nobody does.
 *  - a replica behind a NAT is dialled by nobody, and dials.
 */
import { assert } from '../../core/base/assert.ts';
import { limits } from '../../core/base/limits.ts';
import { integerBetween, type Random } from '../../core/base/prng.ts';
import type { Membership, ReplicaId } from '../../core/raft/membership.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PeerLink, PeerListener } from '../../ports/peer-link.ts';

const PAUSE_MIN_MS = 50;
const PAUSE_DOUBLINGS_MAX = 6;
/** TCP, TLS 1.3 and the upgrade. */
const LATENCIES_PER_DIAL = 6;

export interface PeerNetworkComponents {
  readonly clock: Clock;
  readonly random: Random;
}

export interface PeerNetworkInit {
  /** One way; each frame takes up to `jitterMs` more, and none overtakes. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** After this long, or half as long again, an end that is not answered gives up. */
  readonly silenceMs: number;
}

/** What lies between two replicas. */
interface Wire {
  latencyMs: number;
  jitterMs: number;
  /** Whose frames do not pass. */
  readonly blocked: Set<ReplicaId>;
  connection: Connection | null;
}

/** One direction of a connection. */
interface Flow {
  readonly from: PeerEnd;
  readonly to: PeerEnd;
  /** What has left and cannot pass; null is the end of the stream. */
  held: (Uint8Array | null)[];
  /** In the order in which it left, whatever the order of the clock's timers. */
  readonly underWay: (Uint8Array | null)[];
  /** Held and on the way. */
  waitingBytes: number;
  lastArrivalMs: number;
}

interface Connection {
  readonly wire: Wire;
  readonly flows: readonly [Flow, Flow];
  /** Ends that count it as their connection. */
  readonly open: Set<PeerEnd>;
  isSilenceWatched: boolean;
}

export class PeerNetwork {
  readonly components: PeerNetworkComponents;
  readonly init: PeerNetworkInit;
  readonly #ends = new Map<ReplicaId, PeerEnd>();
  readonly #wires = new Map<string, Wire>();

  constructor(components: PeerNetworkComponents, init: PeerNetworkInit) {
    this.components = components;
    this.init = init;
  }

  /** A new life of this replica; the one before must have closed or crashed. */
  link(id: ReplicaId, { isReachable = true } = {}): PeerLink {
    assert(!this.#ends.get(id)?.isAlive, `${id} lives once`);
    const end = new PeerEnd(this, id, isReachable);
    this.#ends.set(id, end);
    return end;
  }

  setLatency(a: ReplicaId, b: ReplicaId, latencyMs: number, jitterMs: number): void {
    Object.assign(this.wire(a, b), { latencyMs, jitterMs });
  }

  /** False when there was no connection. */
  break(a: ReplicaId, b: ReplicaId): boolean {
    const wire = this.wire(a, b);
    const { connection } = wire;
    if (connection === null) return false;
    wire.connection = null;
    for (const flow of connection.flows) flow.held = [];
    for (const end of connection.open) this.#later(this.#delayMs(wire), () => end.ended(connection));
    return true;
  }

  block(from: ReplicaId, to: ReplicaId): void {
    this.wire(from, to).blocked.add(from);
  }

  heal(a: ReplicaId, b: ReplicaId): void {
    const wire = this.wire(a, b);
    wire.blocked.clear();
    for (const flow of wire.connection?.flows ?? []) this.#flush(wire, flow);
  }

  /** The process is gone, or with `isPowerCut` the whole machine. */
  crash(id: ReplicaId, { isPowerCut = false } = {}): void {
    const end = this.#ends.get(id);
    if (!end) return;
    end.die();
    for (const wire of this.#wires.values()) {
      const { connection } = wire;
      if (!connection?.open.delete(end)) continue;
      for (const flow of connection.flows) {
        if (flow.from !== end) continue;
        if (isPowerCut) flow.held = [];
        else this.#put(connection, flow, null);
      }
      forgetIfOver(connection);
    }
  }

  wire(a: ReplicaId, b: ReplicaId): Wire {
    const key = a < b ? `${a} ${b}` : `${b} ${a}`;
    const { latencyMs, jitterMs } = this.init;
    const wire = this.#wires.get(key) ?? { latencyMs, jitterMs, blocked: new Set(), connection: null };
    this.#wires.set(key, wire);
    return wire;
  }

  connectionOf(from: PeerEnd, to: ReplicaId): Connection | null {
    const { connection } = this.wire(from.id, to);
    return connection?.open.has(from) ? connection : null;
  }

  send(from: PeerEnd, to: ReplicaId, frame: Uint8Array): void {
    const connection = this.connectionOf(from, to);
    const flow = connection?.flows.find((candidate) => candidate.from === from);
    if (!connection || !flow || flow.waitingBytes + frame.length > limits.peerOutgoingBytes) return;
    flow.waitingBytes += frame.length;
    this.#put(connection, flow, new Uint8Array(frame));
  }

  /** This end lets go at once; the other one learns of it. */
  hangUp(end: PeerEnd, connection: Connection): void {
    if (!connection.open.delete(end)) return;
    for (const flow of connection.flows) if (flow.from === end) this.#put(connection, flow, null);
    forgetIfOver(connection);
  }

  /** Calls back with whether a connection came about. */
  dial(from: PeerEnd, to: ReplicaId, done: (isConnected: boolean) => void): void {
    const wire = this.wire(from.id, to);
    this.#later(LATENCIES_PER_DIAL * this.#delayMs(wire), () => {
      const target = this.#ends.get(to);
      const isPossible = target?.isReachable && target.wants(from.id) && from.wants(to) && wire.blocked.size === 0;
      if (isPossible && wire.connection?.open.size !== 2) this.#connect(wire, from, target);
      done(isPossible === true);
    });
  }

  #connect(wire: Wire, a: PeerEnd, b: PeerEnd): void {
    const flow = (from: PeerEnd, to: PeerEnd): Flow => ({ from, to, held: [], underWay: [], waitingBytes: 0, lastArrivalMs: 0 });
    const connection: Connection = {
      wire,
      flows: [flow(a, b), flow(b, a)],
      open: new Set([a, b]),
      isSilenceWatched: false,
    };
    wire.connection = connection;
    b.began(connection, a.id);
    a.began(connection, b.id);
  }

  #put(connection: Connection, flow: Flow, item: Uint8Array | null): void {
    flow.held.push(item);
    if (connection.wire.connection === connection) this.#flush(connection.wire, flow);
    const isUnheard = connection.wire.blocked.size > 0 || !flow.to.isAlive;
    if (isUnheard && !connection.isSilenceWatched) this.#watchSilence(connection);
  }

  #flush(wire: Wire, flow: Flow): void {
    const { connection } = wire;
    if (connection === null || wire.blocked.has(flow.from.id)) return;
    for (const item of flow.held.splice(0)) this.#carry(connection, flow, item);
  }

  #carry(connection: Connection, flow: Flow, item: Uint8Array | null): void {
    const nowMs = this.components.clock.elapsedMs();
    flow.lastArrivalMs = Math.max(flow.lastArrivalMs, nowMs + this.#delayMs(connection.wire));
    flow.underWay.push(item);
    this.#later(flow.lastArrivalMs - nowMs, () => {
      const arrived = flow.underWay.shift();
      flow.waitingBytes -= arrived?.length ?? 0;
      if (connection.wire.connection !== connection) return; // broken meanwhile
      if (!arrived) flow.to.ended(connection);
      else if (connection.open.has(flow.to)) flow.to.arrived(flow.from.id, arrived);
    });
  }

  #watchSilence(connection: Connection): void {
    connection.isSilenceWatched = true;
    const { silenceMs } = this.init;
    this.#later(silenceMs + integerBetween(this.components.random, 0, silenceMs / 2), () => {
      connection.isSilenceWatched = false;
      const isSilent = connection.wire.blocked.size > 0 || connection.flows.some(({ to }) => !to.isAlive);
      if (connection.wire.connection !== connection || !isSilent) return;
      connection.wire.connection = null;
      for (const end of [...connection.open]) end.ended(connection);
    });
  }

  #delayMs({ latencyMs, jitterMs }: Wire): number {
    return latencyMs + this.components.random.next() * jitterMs;
  }

  #later(delayMs: number, callback: () => void): void {
    this.components.clock.startTimer(delayMs, callback);
  }
}

function forgetIfOver(connection: Connection): void {
  if (connection.open.size === 0 && connection.wire.connection === connection) connection.wire.connection = null;
}

class PeerEnd implements PeerLink {
  readonly id: ReplicaId;
  readonly isReachable: boolean;
  readonly #network: PeerNetwork;
  #listener: PeerListener | null = null;
  #isOver = false;
  #peers: readonly ReplicaId[] = [];
  /** Of each peer that is not connected: how often in a row it could not be, or not for long. */
  readonly #failures = new Map<ReplicaId, number>();
  readonly #dialling = new Set<ReplicaId>();
  /** Connections whose end this listener has yet to be told of. */
  readonly #untold = new Map<Connection, ReplicaId>();

  constructor(network: PeerNetwork, id: ReplicaId, isReachable: boolean) {
    this.#network = network;
    this.id = id;
    this.isReachable = isReachable;
  }

  get isAlive(): boolean {
    return !this.#isOver;
  }

  wants(peer: ReplicaId): boolean {
    return this.#listener !== null && this.#peers.includes(peer);
  }

  open(listener: PeerListener): void {
    this.#listener = listener;
    for (const peer of this.#peers) this.#dial(peer, 0);
  }

  setPeers(membership: Membership): void {
    if (membership.length === 0) return;
    const before = this.#peers;
    this.#peers = membership.map(({ id }) => id).filter((id) => id !== this.id);
    for (const peer of before) if (!this.#peers.includes(peer)) this.#end(peer);
    for (const peer of this.#peers) if (!before.includes(peer)) this.#dial(peer, 0);
  }

  send(peer: ReplicaId, frame: Uint8Array): void {
    assert(frame.length <= limits.peerFrameBytes, `a frame of ${frame.length} bytes`);
    if (this.#listener !== null) this.#network.send(this, peer, frame);
  }

  refuse(peer: ReplicaId): void {
    this.#end(peer);
  }

  close(): Promise<void> {
    for (const peer of this.#peers) this.#end(peer);
    this.die();
    return Promise.resolve();
  }

  die(): void {
    this.#isOver = true;
    this.#listener = null;
  }

  began(connection: Connection, peer: ReplicaId): void {
    // The one before has ended on the other side, and this one had not heard of it.
    for (const [old, other] of [...this.#untold]) if (other === peer) this.ended(old);
    this.#untold.set(connection, peer);
    this.#listener?.connected(peer);
  }

  arrived(peer: ReplicaId, frame: Uint8Array): void {
    this.#failures.delete(peer);
    this.#listener?.received(peer, frame);
  }

  /** Told once, from a timer (N4). */
  ended(connection: Connection): void {
    const peer = this.#untold.get(connection);
    if (peer === undefined) return;
    this.#untold.delete(connection);
    this.#network.hangUp(this, connection);
    this.#listener?.disconnected(peer);
    this.#dialAgain(peer);
  }

  #end(peer: ReplicaId): void {
    const connection = this.#network.connectionOf(this, peer);
    if (connection === null) return;
    this.#network.hangUp(this, connection);
    this.#network.components.clock.startTimer(0, () => this.ended(connection));
  }

  #dialAgain(peer: ReplicaId): void {
    const failures = this.#failures.get(peer) ?? 0;
    this.#failures.set(peer, failures + 1);
    const pauseMs = PAUSE_MIN_MS * 2 ** Math.min(failures, PAUSE_DOUBLINGS_MAX);
    this.#dial(peer, pauseMs * (1 + this.#network.components.random.next() / 2));
  }

  #dial(peer: ReplicaId, pauseMs: number): void {
    if (!this.wants(peer) || this.#dialling.has(peer)) return;
    this.#dialling.add(peer);
    this.#network.components.clock.startTimer(pauseMs, () => {
      this.#network.dial(this, peer, (isConnected) => {
        this.#dialling.delete(peer);
        if (!isConnected) this.#dialAgain(peer);
      });
    });
  }
}
