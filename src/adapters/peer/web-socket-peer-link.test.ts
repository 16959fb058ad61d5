import { once } from 'node:events';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Certificates } from '../../../test/rig/certificates.ts';
import { Heard } from '../../../test/rig/heard.ts';
import { PeerSite } from '../../../test/rig/peer-site.ts';
import { throughout, until } from '../../../test/rig/until.ts';
import { limits } from '../../core/base/limits.ts';
import { type ChildIdentity, dialOptions, dialReplicaOptions } from '../tls/dial.ts';
import { outranks, parseDialNumber } from './dial-rank.ts';
import type { WebSocketPeerLink } from './web-socket-peer-link.ts';

const IDS = ['r1', 'r2', 'r3'];

describe('which of two connections stays', () => {
  const rank = fc.record({ number: fc.integer({ min: 1, max: 9 }), dialler: fc.constantFrom('r1', 'r2') });

  it('P2: is the same on both sides, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(rank, { minLength: 1, maxLength: 6 }), (dials) => {
        const last = (seen: typeof dials) => seen.reduce((kept, next) => (outranks(next, kept) ? next : kept));
        expect(last(dials)).toEqual(last(dials.toReversed()));
      }),
    );
  });

  it('takes a number for what it is, and nothing else', () => {
    expect(parseDialNumber('17')).toBe(17);
    for (const text of [undefined, '', '0', '-1', '1.5', '1e3', ' 1', '9'.repeat(16), ['1']])
      expect(parseDialNumber(text)).toBeNull();
  });
});

describe('peer links over TLS WebSockets', () => {
  const identities = new Map<string, ChildIdentity>();
  let certificates: Certificates;
  let site: PeerSite;
  const links: WebSocketPeerLink[] = [];

  beforeAll(async () => {
    certificates = await Certificates.make();
    for (const id of IDS) identities.set(id, await certificates.replicaIdentity(`node-${id}`, id));
  });

  afterEach(async () => {
    await Promise.all(links.splice(0).map((link) => link.close()));
    await site.close();
  });

  const start = (id: string, peers: readonly string[] = ['r1', 'r2']) => {
    const link = site.link(id);
    const heard = new Heard<string>();
    links.push(link);
    link.setPeers(site.membership(id, peers));
    link.open({
      connected: (peer) => heard.push(`connected ${peer}`),
      disconnected: (peer) => heard.push(`disconnected ${peer}`),
      received: (peer, frame) => heard.push(`${peer} says ${Buffer.from(frame).toString()}`),
    });
    return { link, heard };
  };
  const startPair = async () => {
    const [a, b] = [start('r1'), start('r2')];
    await Promise.all([heardOf(a, 'connected r2'), heardOf(b, 'connected r1')]);
    return { a, b };
  };
  const heardOf = ({ heard }: { heard: Heard<string> }, text: string, times = 1) => heard.until(times, (one) => one === text);
  /** As a program that is not ours would, with the certificate of a replica. */
  const dialRaw = async (to: string, identity: ChildIdentity, dial = '99') => {
    const webSocket = new WebSocket(`wss://127.0.0.1:${site.portOf(to)}/peer`, ['tendril-peer-1'], {
      ...dialReplicaOptions(identity, to),
      headers: { 'tendril-dial': dial },
    });
    const said = new Heard<string>();
    webSocket.on('message', (data) => said.push(data.toString()));
    webSocket.on('close', (code, reason) => said.push(`${code} ${reason}`));
    webSocket.on('error', (error) => said.push(error.message));
    return { webSocket, said };
  };

  it('N2: turns away a replica that is no member, and says so on both sides', async () => {
    site = await PeerSite.open(identities);
    start('r1');
    start('r3', IDS);
    await site.warnings.until(1, (text) => text.startsWith('r1: A replica that is no member') && text.includes('"r3"'));
    await site.warnings.until(1, (text) => text.startsWith('r3: No connection') && text.includes('not of its group'));
  });

  it('N2: does not take a replica for another one that it finds at its address', async () => {
    site = await PeerSite.open(identities);
    start('r2', IDS);
    const link = site.link('r1');
    links.push(link);
    const wrong = site.membership('r1', ['r2']).map((replica) => ({ ...replica, id: 'r3' }));
    const heard = new Heard<string>();
    link.setPeers(wrong);
    link.open({ connected: (peer) => heard.push(peer), disconnected: () => undefined, received: () => undefined });
    await site.warnings.until(1, (text) => text.startsWith('r1: ') && text.includes('that is replica r2, not r3'));
    expect(heard.all).toEqual([]);
  });

  it('N2: lets in neither nodes nor replicas of another orchestrator', async () => {
    site = await PeerSite.open(identities);
    const { heard } = start('r1');
    const other = await (await Certificates.make()).replicaIdentity('node-r2', 'r2');
    const strangers = [await certificates.childIdentity('n1'), { ...other, caPem: certificates.caPem }];
    for (const identity of strangers) {
      const { said } = await dialRaw('r1', identity);
      await said.until(1, (text) => text.includes('401'));
    }
    expect(heard.all).toEqual([]);
  });

  it('is an orchestrator to children who pin the authority, under whatever address', async () => {
    site = await PeerSite.open(identities);
    const child = dialOptions(await certificates.childIdentity('n1'));
    const socket = connect({ ...child, host: '127.0.0.1', port: site.portOf('r1'), servername: 'moved.example.org' });
    await once(socket, 'secureConnect');
    expect(socket.authorized).toBe(true);
    socket.destroy();
  });

  it.each([
    ['words', (webSocket: WebSocket) => webSocket.send('hello'), '4400 invalid_request'],
    ['a frame over its limit', (webSocket: WebSocket) => webSocket.send(Buffer.alloc(limits.peerFrameBytes + 1)), '1009 '],
  ] as const)('ends a connection on which %s come, and nothing else', async (_what, speak, code) => {
    site = await PeerSite.open(identities);
    const a = start('r1', IDS);
    start('r3', IDS);
    await heardOf(a, 'connected r3');
    const { webSocket, said } = await dialRaw('r1', site.identityOf('r2'));
    await said.until(1, (text) => text === 'welcome');
    speak(webSocket);
    await said.until(1, (text) => text === code);
    await heardOf(a, 'disconnected r2');
    expect(a.heard.all.filter((text) => text.includes('r3') || text.includes('says'))).toEqual(['connected r3']);
  });

  it('P2: refuses a connection that does not go before the one that is there, and names its number', async () => {
    site = await PeerSite.open(identities);
    const a = start('r1', ['r1', 'r2']);
    const first = await dialRaw('r1', site.identityOf('r2'), '7');
    await first.said.until(1, (text) => text === 'welcome');
    for (const dial of ['6', '7']) {
      const { said } = await dialRaw('r1', site.identityOf('r2'), dial);
      await said.until(1, (text) => text === '4409 conflict 7');
    }
    const bad = await dialRaw('r1', site.identityOf('r2'), 'x');
    await bad.said.until(1, (text) => text === '4400 invalid_request');
    expect(a.heard.all).toEqual(['connected r2']);
    const next = await dialRaw('r1', site.identityOf('r2'), '8');
    await next.said.until(1, (text) => text === 'welcome');
    await heardOf(a, 'connected r2', 2);
    expect(a.heard.all).toEqual(['connected r2', 'disconnected r2', 'connected r2']);
  });

  it('P2: keeps one connection when both dial at the same time', async () => {
    site = await PeerSite.open(identities);
    for (const wire of site.between('r1', 'r2')) wire.stall();
    const [a, b] = [start('r1'), start('r2')];
    await until('both have dialled', () => site.between('r1', 'r2').every((wire) => wire.waiting === 1), 10_000);
    for (const wire of site.between('r1', 'r2')) wire.heal();
    await Promise.all([heardOf(a, 'connected r2'), heardOf(b, 'connected r1')]);
    await until('one is left', () => site.between('r1', 'r2').reduce((sum, wire) => sum + wire.open, 0) === 1, 10_000);
    expect(site.wire('r1', 'r2').open).toBe(1); // the smaller id's
    const hello = async (from: typeof a, id: string, to: typeof a) => {
      from.link.send(id, Buffer.from('hello'));
      await to.heard.until(1, (text) => text.endsWith('says hello'));
    };
    await hello(a, 'r2', b);
    await hello(b, 'r1', a);
  });

  it('P2: connects a replica that has started again, where its former connection still seems to live', async () => {
    site = await PeerSite.open(identities);
    const { a } = await startPair();
    for (const wire of site.between('r1', 'r2')) wire.silence();
    await links.pop()?.close();
    const again = start('r2');
    await Promise.all([heardOf(a, 'connected r2', 2), heardOf(again, 'connected r1')]);
    expect(a.heard.all).toEqual(['connected r2', 'disconnected r2', 'connected r2']);
  });

  it('K2: asks once where nothing is answered, and is silent while nothing is said', async () => {
    site = await PeerSite.open(identities, 100);
    const { a, b } = await startPair();
    const bytes = () => site.between('r1', 'r2').reduce((sum, wire) => sum + wire.bytes, 0);
    a.link.send('r2', Buffer.from('hello'));
    await heardOf(b, 'r1 says hello');
    const saidAt = bytes();
    await until('it has asked', () => bytes() > saidAt, 10_000);
    let quiet = -1;
    await until(
      'nothing more comes',
      () => {
        const before = quiet;
        quiet = bytes();
        return before === quiet;
      },
      10_000,
    );
    await throughout('silence', () => bytes() === quiet, 600);
    expect(a.heard.all).toEqual(['connected r2']);
  });
});
