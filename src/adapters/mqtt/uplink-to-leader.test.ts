/** One child and several replicas of its orchestrator, of which one leads at a time. */
import { afterEach, beforeAll, expect, it } from 'vitest';
import { desired, hello, report } from '../../../test/conformance/uplink.ts';
import { addressesOf } from '../../../test/rig/addresses.ts';
import { BrokerPort } from '../../../test/rig/broker-port.ts';
import { Certificates } from '../../../test/rig/certificates.ts';
import { freePort } from '../../../test/rig/free-port.ts';
import { Heard } from '../../../test/rig/heard.ts';
import { TcpProxy } from '../../../test/rig/tcp-proxy.ts';
import { unreachableMachine } from '../../../test/rig/unreachable-machine.ts';
import type { Addresses } from '../../core/base/addresses.ts';
import { ParentLink } from '../../node/parent-link.ts';
import type { Clock } from '../../ports/clock.ts';
import { systemClock } from '../system-clock/clock.ts';
import { type DialOptions, dialOptions } from '../tls/dial.ts';
import { EmbeddedBroker } from './embedded-broker.ts';
import { MqttUplink } from './uplink.ts';

let certificates: Certificates;
let stranger: Certificates;
let tls: DialOptions;

beforeAll(async () => {
  [certificates, stranger] = await Promise.all([Certificates.make(), Certificates.make()]);
  tls = dialOptions(await certificates.childIdentity('n1'));
});

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A process's worth of a replica: it can die, with its port, and come back there. */
class Replica {
  readonly heard = new Heard<string>();
  port: BrokerPort;
  /** What it tells its children of where replicas are. */
  orchestrators: readonly string[] | null = null;
  #broker: EmbeddedBroker;

  private constructor(port: BrokerPort, broker: EmbeddedBroker) {
    this.port = port;
    this.#broker = broker;
  }

  static async open(of = certificates): Promise<Replica> {
    const broker = makeBroker();
    const replica = new Replica(await BrokerPort.open(broker, of), broker);
    await replica.#listen();
    closing.push(() => replica.die());
    return replica;
  }

  get url(): string {
    return this.port.url;
  }

  #listen(): Promise<void> {
    return this.#broker.open({
      received: (child, message) => {
        this.heard.push(`${child} ${message.type}`);
        const { orchestrators } = this;
        if (orchestrators) this.#broker.send(child, { ...desired(message.session, 0), orchestrators: [...orchestrators] });
      },
      closed: (child) => this.heard.push(`${child} closed`),
    });
  }

  /** Follows from now on: as an orchestrator does, it ends its children's links. */
  follow(leader: Replica | null): void {
    this.port.follows = { leader: leader?.url ?? null };
    this.#broker.disconnect('n1');
  }

  lead(): void {
    this.port.follows = null;
  }

  async die(): Promise<void> {
    await this.port.close();
    await this.#broker.close();
  }

  async comeBack(leader: Replica | null): Promise<void> {
    this.#broker = makeBroker();
    this.port = await BrokerPort.open(this.#broker, certificates, this.port.number);
    this.port.follows = leader === null ? null : { leader: leader.url };
    await this.#listen();
  }
}

function makeBroker(): EmbeddedBroker {
  return new EmbeddedBroker({ warn: () => undefined, keepsName: () => true });
}

/** By which this child's clock is ahead. */
let aheadMs = 0;
const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };

function dial(addresses: Addresses, keepaliveS?: number) {
  const heard = new Heard<string>();
  const uplink = new MqttUplink({ clock, warn: () => undefined }, { addresses, name: 'n1', tls: () => tls, keepaliveS });
  closing.push(() => uplink.close());
  let sessions = 0;
  uplink.open({
    opened: () => {
      sessions += 1;
      heard.push(`opened ${addresses.present}`);
      uplink.send(hello(`s${sessions}`));
    },
    received: () => undefined,
    closed: (reason) => heard.push(`closed: ${reason}`),
  });
  return { heard, addresses, uplink };
}

const opened = (event: string) => event.startsWith('opened');
const closed = (event: string) => event.startsWith('closed');
const saidHello = (event: string) => event === 'n1 hello';

it('turns from a replica that does not lead to the one that it names, and says nothing of it', async () => {
  const [follower, other, leader] = [await Replica.open(), await Replica.open(), await Replica.open()];
  follower.follow(leader);
  other.follow(leader);
  const { heard } = dial(addressesOf(follower.url, other.url, leader.url));
  await leader.heard.until(1, saidHello);
  expect(heard.all).toEqual([`opened ${leader.url}`]);
  expect([follower.port.dials, other.port.dials, leader.port.dials]).toEqual([1, 0, 1]);
});

it('goes to a named leader that it has never heard of, for the authority is the same', async () => {
  const [follower, leader, impostor] = [await Replica.open(), await Replica.open(), await Replica.open(stranger)];
  follower.follow(leader);
  const { heard, addresses } = dial(addressesOf(follower.url));
  await heard.until(1, opened);
  expect(addresses.all).toEqual([leader.url, follower.url]);

  const deceived = await Replica.open();
  deceived.follow(impostor);
  const { heard: warned } = dial(addressesOf(deceived.url));
  expect((await warned.until(1, closed))[0]).toMatch(
    new RegExp(
      `closed: .*${impostor.port.number} is not to be trusted.*; localhost:${deceived.port.number} refused .* \\(not_leading\\)|` +
        `closed: localhost:${deceived.port.number} refused .* \\(not_leading\\).*; .*${impostor.port.number} is not to be trusted`,
    ),
  );
  expect(impostor.heard.all).toEqual([]);
});

it('finds the new leader when the old one dies, and the old one when that leads again', async () => {
  const [first, second, third] = [await Replica.open(), await Replica.open(), await Replica.open()];
  second.follow(first);
  third.follow(first);
  const { heard } = dial(addressesOf(first.url, second.url, third.url));
  await first.heard.until(1, saidHello);

  second.lead();
  third.follow(second);
  await first.die();
  await second.heard.until(1, saidHello);
  await first.comeBack(second);

  first.lead();
  third.follow(first);
  second.follow(first);
  await first.heard.until(2, saidHello);
  expect(heard.all.filter(opened)).toEqual([first, second, first].map(({ url }) => `opened ${url}`));
  // Each loss is told once; what was tried on the way from one leader to the next is not.
  expect(heard.all.map((event) => opened(event))).toEqual([true, false, true, false, true]);
});

it('finds replicas of which it has only been told', async () => {
  const [joined, leader, heir] = [await Replica.open(), await Replica.open(), await Replica.open()];
  joined.follow(leader);
  heir.follow(null);
  leader.orchestrators = [leader, joined, heir].map(({ url }) => url);
  const addresses = addressesOf(joined.url);
  const told = new Heard<readonly string[]>();
  const link = new ParentLink(
    {
      uplink: new MqttUplink({ clock, warn: () => undefined }, { addresses, name: 'n1', tls: () => tls }),
      newSessionId: () => 's1',
      told: (orchestrators) => {
        addresses.told(orchestrators);
        told.push(orchestrators);
      },
    },
    {
      opened: (session) => link.send(hello(session)),
      desiredReceived: () => undefined,
      streamRequested: () => undefined,
      closed: () => undefined,
    },
  );
  closing.push(() => link.close());
  link.open();
  expect(await told.until(1)).toEqual([leader.orchestrators]);
  heir.lead();
  await Promise.all([leader.die(), joined.die()]);
  await heir.heard.until(1, saidHello);
});

it('keeps up with a leader that moves back and forth', async () => {
  const replicas = [await Replica.open(), await Replica.open(), await Replica.open()];
  const at = (index: number) => replicas[index % replicas.length] as Replica;
  at(1).follow(at(0));
  at(2).follow(at(0));
  dial(addressesOf(...(replicas.map(({ url }) => url) as [string])));
  await at(0).heard.until(1, saidHello);
  for (let term = 1; term <= 9; term++) {
    at(term).lead();
    at(term + 1).follow(at(term));
    at(term + 2).follow(at(term));
    await at(term).heard.until(1 + Math.floor(term / 3), saidHello);
  }
});

it('waits while nobody leads, and goes on as soon as somebody does', async () => {
  const [one, two] = [await Replica.open(), await Replica.open()];
  one.follow(null);
  two.follow(null);
  const { heard } = dial(addressesOf(one.url, two.url));
  const problems = await heard.until(2, closed);
  expect(problems[0]).toBe(problems[1]);
  for (const { port } of [one, two])
    expect(problems[0]).toContain(`localhost:${port.number} refused the link with HTTP status 503 (not_leading)`);
  // What is no address leads nowhere.
  one.port.follows = { leader: 'https://[::' };
  await heard.until(heard.all.length + 1, closed);
  two.lead();
  await two.heard.until(1, saidHello);
});

it('does not run to and fro between two that name each other', async () => {
  const [one, two] = [await Replica.open(), await Replica.open()];
  one.follow(two);
  two.follow(one);
  const { heard } = dial(addressesOf(one.url, two.url));
  await heard.until(3, closed);
  expect(one.port.dials + two.port.dials).toBe(6);
});

it('goes on asking everywhere when nobody is there, and says where', async () => {
  const ports = [await freePort(), await freePort()];
  const { heard } = dial(addressesOf(`https://localhost:${ports[0]}`, `https://localhost:${ports[1]}`));
  const [problem, again] = await heard.until(2, closed);
  for (const port of ports)
    expect(problem).toContain(`localhost:${port} cannot be reached: nothing listens there (ECONNREFUSED)`);
  expect(again).toBe(problem);
  const port = await BrokerPort.open(makeBroker(), certificates, ports[1]);
  closing.push(() => port.close());
  port.follows = { leader: null };
  await heard.until(1, (event) => event.includes('not_leading'));
  const leader = await Replica.open();
  port.follows = { leader: leader.url };
  await leader.heard.until(1, saidHello);
});

it('leaves one that has fallen silent for another, without trying it again', async () => {
  const [frozen, other] = [await Replica.open(), await Replica.open()];
  const wire = await TcpProxy.open(() => frozen.port.number);
  closing.push(() => wire.close());
  const through = `https://localhost:${wire.port}`;
  const { heard } = dial(addressesOf(through, other.url), 1);
  await frozen.heard.until(1, saidHello);
  wire.stall();
  await other.heard.until(1, saidHello);
  expect(wire.waiting).toBe(0);
  expect(heard.all).toEqual([`opened ${through}`, `closed: localhost:${wire.port} stopped answering`, `opened ${other.url}`]);
});

it('leaves one that does not acknowledge what it is told, sooner than its work is given to others', async () => {
  const [frozen, other] = [await Replica.open(), await Replica.open()];
  const wire = await TcpProxy.open(() => frozen.port.number);
  closing.push(() => wire.close());
  const { heard, uplink } = dial(addressesOf(`https://localhost:${wire.port}`, other.url));
  await frozen.heard.until(1, saidHello);
  wire.stall();
  uplink.send(report('s1', 1));
  await other.heard.until(1, saidHello);
  expect(wire.waiting).toBe(0);
  expect(heard.all.filter(closed)).toEqual([`closed: localhost:${wire.port} stopped answering`]);
});

it('dials again where it was when a link has lasted and breaks', async () => {
  const [leader, other] = [await Replica.open(), await Replica.open()];
  const wire = await TcpProxy.open(() => leader.port.number);
  closing.push(() => wire.close());
  const through = `https://localhost:${wire.port}`;
  const { heard } = dial(addressesOf(through, other.url));
  await leader.heard.until(1, saidHello);
  aheadMs += 60_000;
  wire.cut();
  await leader.heard.until(2, saidHello);
  expect(heard.all.filter(opened)).toEqual([`opened ${through}`, `opened ${through}`]);
  expect(other.port.dials).toBe(0);
});

it('passes over a machine that does not even take the connection', async () => {
  const { port, stop } = await unreachableMachine();
  closing.push(stop);
  const leader = await Replica.open();
  const { heard } = dial(addressesOf(`https://127.0.0.1:${port}`, leader.url));
  await leader.heard.until(1, saidHello);
  expect(heard.all).toEqual([`opened ${leader.url}`]);
});
