/**
 * The network of a simulation, behind the uplink's ports. Every link between a child and its parent is a
 * stream as TCP gives one: in order and whole, or broken. What fails is what fails with TCP: connections
 * break and lose what was under way; one direction or both go silent, what is sent waits, and either flows
 * on later or is given up with the connection when an end has heard nothing for too long; dials time out or
 * are refused. Messages travel as text and are read by the real schemas, so nothing passes that could not.
 */
import { assert } from '../core/base/assert.ts';
import { limits } from '../core/base/limits.ts';
import { integerBetween, type Random } from '../core/base/prng.ts';
import { type DownMessage, downMessageSchema, type UpMessage, upMessageSchema } from '../core/model/messages.ts';
import type { Clock } from '../ports/clock.ts';
import type { Downlink, DownlinkListener, Uplink, UplinkListener } from '../ports/uplink.ts';
import type { Life } from './machine-clock.ts';
import type { Trace } from './trace.ts';

const DIAL_TIMEOUT_MS = 5_000;
const PAUSE_MIN_MS = 200;
const PAUSE_MAX_MS = 10_000;

/** The way between a child and its parent. */
export interface Path {
  latencyMs: number;
  jitterMs: number;
  upBlocked: boolean;
  downBlocked: boolean;
}

type Direction = 'up' | 'down';

interface Connection {
  readonly child: string;
  readonly path: Path;
  readonly uplink: UplinkEnd;
  readonly parent: DownlinkEnd;
  childOpen: boolean;
  parentOpen: boolean;
  greeted: boolean;
  /** What left and has not arrived; `null` is the end of the stream. */
  readonly held: Record<Direction, (string | null)[]>;
  readonly lastArrivalMs: Record<Direction, number>;
  broken: boolean;
}

export interface NetworkComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly keepAliveMs: number;
}

/** What has been carried, for checks that nothing but heartbeats was. */
export interface Carried {
  heartbeats: number;
  others: number;
  lastOther: string;
}

export class SimNetwork {
  readonly components: NetworkComponents;
  readonly carried: Carried = { heartbeats: 0, others: 0, lastOther: '' };
  readonly #paths = new Map<string, Path>();
  readonly #downlinks = new Map<string, DownlinkEnd>();
  readonly connections = new Set<Connection>();

  constructor(components: NetworkComponents) {
    this.components = components;
  }

  addPath(parent: string, child: string, latencyMs: number): Path {
    const path = { latencyMs, jitterMs: latencyMs, upBlocked: false, downBlocked: false };
    this.#paths.set(`${parent}/${child}`, path);
    return path;
  }

  path(parent: string, child: string): Path {
    const path = this.#paths.get(`${parent}/${child}`);
    assert(path, `a path from ${parent} to ${child}`);
    return path;
  }

  downlink(parent: string, life: Life): Downlink {
    return new DownlinkEnd(this, parent, life);
  }

  uplink(parent: string, child: string, life: Life): Uplink {
    return new UplinkEnd(this, parent, child, life);
  }

  listening(parent: string): DownlinkEnd | undefined {
    return this.#downlinks.get(parent);
  }

  listen(parent: string, end: DownlinkEnd): void {
    this.#downlinks.set(parent, end);
  }

  unlisten(parent: string, end: DownlinkEnd): void {
    if (this.#downlinks.get(parent) === end) this.#downlinks.delete(parent);
  }

  /** Its process is gone. The machine's kernel says so to the other ends, unless it is gone as well. */
  processDied(name: string, powerCut: boolean): void {
    if (this.#downlinks.get(name)?.life.alive === false) this.#downlinks.delete(name);
    for (const connection of [...this.connections]) {
      if (connection.parent.name === name && connection.parentOpen && !connection.parent.life.alive) {
        connection.parentOpen = false;
        if (powerCut) this.giveUpLater(connection, 'child');
        else this.put(connection, 'down', null);
      }
      if (connection.uplink.childOf === name && connection.childOpen && !connection.uplink.life.alive) {
        connection.childOpen = false;
        if (powerCut) this.giveUpLater(connection, 'parent');
        else this.put(connection, 'up', null);
      }
      this.forgetIfOver(connection);
    }
  }

  /** Silence in one direction or both, until `heal`. False when there was no connection that it hit. */
  block(parent: string, child: string, directions: readonly Direction[]): boolean {
    const path = this.path(parent, child);
    if (directions.includes('up')) path.upBlocked = true;
    if (directions.includes('down')) path.downBlocked = true;
    let hit = false;
    for (const connection of this.connections) {
      if (connection.path !== path) continue;
      hit ||= connection.childOpen && connection.parentOpen;
      // Without acknowledgements each end learns of it sooner or later, whichever direction is silent.
      this.giveUpLater(connection, 'child');
      this.giveUpLater(connection, 'parent');
    }
    return hit;
  }

  heal(parent: string, child: string): void {
    const path = this.path(parent, child);
    path.upBlocked = false;
    path.downBlocked = false;
    for (const connection of this.connections) if (connection.path === path) this.#flush(connection);
  }

  /** Breaks the connection; what was under way is lost. False when there was none. */
  break(parent: string, child: string): boolean {
    const path = this.path(parent, child);
    let hit = false;
    for (const connection of [...this.connections]) {
      if (connection.path !== path || connection.broken) continue;
      connection.broken = true;
      hit ||= connection.childOpen && connection.parentOpen;
      this.later(integerBetween(this.components.random, 0, 500), () => this.endChildSide(connection, 'the connection broke'));
      this.later(integerBetween(this.components.random, 0, 500), () => this.endParentSide(connection, 'broke'));
    }
    return hit;
  }

  later(delayMs: number, callback: () => void): void {
    this.components.clock.startTimer(delayMs, callback);
  }

  put(connection: Connection, direction: Direction, item: string | null): void {
    if (connection.broken) return;
    connection.held[direction].push(item);
    this.#flush(connection);
  }

  #flush(connection: Connection): void {
    for (const direction of ['up', 'down'] as const) {
      if (direction === 'up' ? connection.path.upBlocked : connection.path.downBlocked) continue;
      for (const item of connection.held[direction].splice(0)) this.#carry(connection, direction, item);
    }
  }

  #carry(connection: Connection, direction: Direction, item: string | null): void {
    const { latencyMs, jitterMs } = connection.path;
    const now = this.components.clock.nowMs();
    const arrivalMs = Math.max(
      connection.lastArrivalMs[direction],
      now + latencyMs + integerBetween(this.components.random, 0, jitterMs),
    );
    connection.lastArrivalMs[direction] = arrivalMs;
    this.later(arrivalMs - now, () => {
      if (connection.broken) return;
      if (item === null) {
        if (direction === 'up') this.endParentSide(connection, 'closed by the child');
        else this.endChildSide(connection, 'closed by the parent');
      } else if (direction === 'up') connection.parent.arrived(connection, item);
      else connection.uplink.arrived(connection, item);
    });
  }

  /** An end that hears nothing gives up, if the silence lasts. */
  giveUpLater(connection: Connection, side: 'child' | 'parent'): void {
    const { random, keepAliveMs } = this.components;
    this.later(keepAliveMs + integerBetween(random, 0, keepAliveMs / 2), () => {
      const { upBlocked, downBlocked } = connection.path;
      const otherGone = side === 'child' ? !connection.parentOpen : !connection.childOpen;
      if (!upBlocked && !downBlocked && !otherGone) return;
      if (side === 'child') this.endChildSide(connection, 'nothing heard for too long');
      else this.endParentSide(connection, 'nothing heard for too long');
    });
  }

  endChildSide(connection: Connection, reason: string): void {
    if (!connection.childOpen) return;
    connection.childOpen = false;
    this.put(connection, 'up', null);
    this.forgetIfOver(connection);
    connection.uplink.ended(connection, reason);
  }

  endParentSide(connection: Connection, reason: string): void {
    if (!connection.parentOpen) return;
    connection.parentOpen = false;
    this.put(connection, 'down', null);
    this.forgetIfOver(connection);
    connection.parent.ended(connection, reason);
  }

  forgetIfOver(connection: Connection): void {
    if (!connection.childOpen && !connection.parentOpen) this.connections.delete(connection);
  }

  count(message: UpMessage | DownMessage, who: string): void {
    const quiet = message.type === 'report' && message.changed.length === 0 && message.gone.length === 0 && !message.summary;
    if (quiet) {
      this.carried.heartbeats += 1;
      return;
    }
    this.carried.others += 1;
    this.carried.lastOther = `${who}: ${JSON.stringify(message).slice(0, 300)}`;
    this.components.trace.add(who, brief(message));
  }
}

class UplinkEnd implements Uplink {
  readonly life: Life;
  readonly #network: SimNetwork;
  readonly #parent: string;
  readonly childOf: string;
  readonly #child: string;
  #listener: UplinkListener | null = null;
  #connection: Connection | null = null;
  #failures = 0;
  #dials = 0;

  /** `child` is its name at its parent; a machine's name is `parent/child`. */
  constructor(network: SimNetwork, parent: string, child: string, life: Life) {
    this.#network = network;
    this.#parent = parent;
    this.#child = child;
    this.childOf = machineName(parent, child);
    this.life = life;
  }

  open(listener: UplinkListener): void {
    this.#listener = listener;
    this.#dial(0);
  }

  send(message: UpMessage): void {
    const connection = this.#connection;
    if (!connection?.childOpen) return;
    const text = JSON.stringify(message);
    assert(text.length <= limits.uplinkMessageBytes, `${this.childOf} sends ${text.length} bytes in one message`);
    this.#network.put(connection, 'up', text);
  }

  reopen(reason: string): void {
    const connection = this.#connection;
    this.#network.later(0, () => {
      if (connection) this.#network.endChildSide(connection, reason);
    });
  }

  close(): Promise<void> {
    this.#listener = null;
    const connection = this.#connection;
    this.#connection = null;
    return new Promise((resolve) => {
      this.#network.later(0, () => {
        if (connection) this.#network.endChildSide(connection, 'closed');
        if (this.life.alive) resolve();
      });
    });
  }

  arrived(connection: Connection, text: string): void {
    if (!connection.childOpen || !this.life.alive) return;
    const message = downMessageSchema.parse(JSON.parse(text));
    this.#failures = 0;
    this.#network.count(message, `${connection.parent.name} -> ${this.childOf}`);
    this.#listener?.received(message);
  }

  ended(connection: Connection, reason: string): void {
    if (this.#connection !== connection || !this.life.alive) return;
    this.#connection = null;
    this.#listener?.closed(reason);
    this.#dialAgain();
  }

  #dialAgain(): void {
    if (this.#listener === null) return;
    const pauseMs = Math.min(PAUSE_MIN_MS * 2 ** Math.min(this.#failures, 16), PAUSE_MAX_MS);
    this.#failures += 1;
    this.#dial(pauseMs + integerBetween(this.#network.components.random, 0, pauseMs / 4));
  }

  #dial(pauseMs: number): void {
    const network = this.#network;
    const dial = ++this.#dials;
    network.later(pauseMs, () => {
      if (this.#gaveUp(dial)) return;
      const path = network.path(this.#parent, this.#child);
      const roundTripMs = 2 * path.latencyMs;
      if (path.upBlocked || path.downBlocked) return this.#fail(dial, DIAL_TIMEOUT_MS, 'timed out');
      if (!network.listening(this.#parent)) return this.#fail(dial, roundTripMs, 'refused');
      // TCP and TLS: two round trips.
      network.later(2 * roundTripMs, () => {
        if (this.#gaveUp(dial)) return;
        const parent = network.listening(this.#parent);
        if (!parent || path.upBlocked || path.downBlocked) return this.#fail(dial, 0, 'failed');
        this.#connected(parent, path);
      });
    });
  }

  #gaveUp(dial: number): boolean {
    return this.#listener === null || !this.life.alive || dial !== this.#dials;
  }

  #fail(dial: number, delayMs: number, reason: string): void {
    this.#network.later(delayMs, () => {
      if (this.#gaveUp(dial)) return;
      this.#listener?.closed(reason);
      this.#dialAgain();
    });
  }

  #connected(parent: DownlinkEnd, path: Path): void {
    const nowMs = this.#network.components.clock.nowMs();
    const connection: Connection = {
      child: this.#child,
      path,
      uplink: this,
      parent,
      childOpen: true,
      parentOpen: true,
      greeted: false,
      held: { up: [], down: [] },
      lastArrivalMs: { up: nowMs, down: nowMs },
      broken: false,
    };
    this.#connection = connection;
    parent.accepted(connection);
    this.#network.components.trace.add(this.childOf, `connected to ${parent.name}`);
    this.#listener?.opened();
  }
}

class DownlinkEnd implements Downlink {
  readonly name: string;
  readonly life: Life;
  readonly #network: SimNetwork;
  readonly #connections = new Map<string, Connection>();
  #listener: DownlinkListener | null = null;

  constructor(network: SimNetwork, name: string, life: Life) {
    this.#network = network;
    this.name = name;
    this.life = life;
  }

  async open(listener: DownlinkListener): Promise<void> {
    if (!this.life.alive) return;
    this.#listener = listener;
    this.#network.listen(this.name, this);
  }

  send(child: string, message: DownMessage): void {
    const connection = this.#connections.get(child);
    if (!connection?.greeted) return;
    const text = JSON.stringify(message);
    assert(text.length <= limits.uplinkMessageBytes, `${this.name} sends ${text.length} bytes in one message`);
    this.#network.put(connection, 'down', text);
  }

  disconnect(child: string): void {
    const connection = this.#connections.get(child);
    this.#network.later(0, () => {
      if (connection) this.#network.endParentSide(connection, 'disconnected');
    });
  }

  async close(): Promise<void> {
    this.#listener = null;
    this.#network.unlisten(this.name, this);
    for (const connection of this.#connections.values()) this.#network.endParentSide(connection, 'the parent has stopped');
  }

  /** A child that dials again takes the place of its former self, which may not have been noticed to be gone. */
  accepted(connection: Connection): void {
    const before = this.#connections.get(connection.child);
    if (before) this.#network.endParentSide(before, 'taken over');
    this.#connections.set(connection.child, connection);
    this.#network.connections.add(connection);
  }

  arrived(connection: Connection, text: string): void {
    if (!connection.parentOpen || !this.life.alive) return;
    const message = upMessageSchema.parse(JSON.parse(text));
    if (message.type === 'hello') connection.greeted = true;
    this.#network.count(message, `${connection.uplink.childOf} -> ${this.name}`);
    this.#listener?.received(connection.child, message);
  }

  ended(connection: Connection, reason: string): void {
    if (this.#connections.get(connection.child) === connection) this.#connections.delete(connection.child);
    if (!this.life.alive || !connection.greeted) return;
    this.#network.components.trace.add(this.name, `link of ${connection.child} is gone: ${reason}`);
    this.#listener?.closed(connection.child);
  }
}

/** The root is `root`; below it machines are named by their place: `c1`, `c1/n2`. */
export function machineName(parent: string, child: string): string {
  return parent === 'root' ? child : `${parent}/${child}`;
}

function brief(message: UpMessage | DownMessage): string {
  switch (message.type) {
    case 'hello':
      return `hello v${message.version} [${message.instances.map(({ id, state }) => `${id} ${state}`).join(', ')}]`;
    case 'report': {
      const changed = message.changed.map(({ id, state, reason }) => `${id} ${state}${reason ? ` (${reason})` : ''}`);
      return `report v${message.version} [${changed.join(', ')}] gone [${message.gone.join(', ')}]${message.summary ? ' +summary' : ''}`;
    }
    case 'desired':
      return `desired v${message.from}..${message.to} set [${message.set.map(({ id }) => id).join(', ')}] unset [${message.unset.join(', ')}]`;
    case 'stream':
      return 'stream';
  }
}
