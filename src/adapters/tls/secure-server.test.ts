import { once } from 'node:events';
import { Agent } from 'node:https';
import { connect as connectPlain, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { TlsSite, type TlsSiteOptions } from '../../../test/rig/tls-site.ts';
import { makeCertificateRequest, makeKey } from './certificate-request.ts';
import { type ChildIdentity, dialOptions } from './dial.ts';
import { peerOf, refuseUpgrade, SecureServer } from './secure-server.ts';

const patience = { handshakeTimeoutMs: 30_000, requestTimeoutMs: 30_000, strangers: 20, strangersPerAddress: 3 };

describe('the one TLS port', () => {
  const sites: TlsSite[] = [];
  const open = async (options?: TlsSiteOptions) => {
    const site = await TlsSite.open(options);
    sites.push(site);
    return site;
  };
  afterEach(async () => {
    await Promise.all(sites.splice(0).map((site) => site.close()));
  });

  const dial = async (site: TlsSite, options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port: site.server.port, rejectUnauthorized: false, ...options });
    await once(socket, 'secureConnect');
    return socket;
  };
  const member = async (site: TlsSite): Promise<ChildIdentity> => {
    const keyPem = await makeKey();
    const csrPem = makeCertificateRequest(keyPem, 'n1');
    const certificatePem = await site.authority.signChild({ csrPem, name: 'n1', kind: 'node', nowMs: Date.now() });
    return { caPem: site.authority.caPem, certificatePem, keyPem };
  };

  it('speaks TLS 1.3 and refuses a client that knows only 1.2 (S1)', async () => {
    const site = await open();
    await expect(dial(site, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/version/i);
    await settled(() => expect(site.turnedAway).toEqual([expect.stringContaining('TLS handshake failed')]));
    const socket = await dial(site);
    expect(socket.getProtocol()).toBe('TLSv1.3');
    socket.destroy();
  });

  it('shows its CA in the chain, and is trusted by its URI behind any name (S2)', async () => {
    const site = await open();
    const socket = await dial(site, { ...dialOptions({ caPem: site.authority.caPem }), servername: 'moved.example.org' });
    expect(socket.authorized).toBe(true);
    const shown = socket.getPeerX509Certificate()?.issuerCertificate?.fingerprint256;
    expect(shown?.replaceAll(':', '').toLowerCase()).toBe(site.authority.caFingerprint);
    socket.destroy();
  });

  it('resumes no session, so that each connection proves itself (S1)', async () => {
    const site = await open();
    const socket = await dial(site);
    const sessions: Buffer[] = [];
    socket.on('session', (session: Buffer) => sessions.push(session));
    expect(await ask(socket, '/peer')).toContain('200 OK');
    socket.destroy();
    expect(sessions.length).toBeGreaterThan(0);
    for (const session of sessions) {
      const again = await dial(site, { session });
      expect(again.isSessionReused()).toBe(false);
      again.destroy();
    }
  });

  it('changes its certificate under open connections (S3)', async () => {
    const site = await open();
    const identity = await member(site);
    const before = await dial(site, dialOptions(identity));
    expect(await ask(before, '/peer')).toContain('"name":"n1"');
    site.server.replaceIdentity(await site.authority.makeServerIdentity(['localhost'], Date.now()));
    const after = await dial(site, dialOptions(identity));
    expect(after.getPeerX509Certificate()?.fingerprint256).not.toBe(before.getPeerX509Certificate()?.fingerprint256);
    expect(await ask(before, '/peer')).toContain('"name":"n1"');
    expect(await ask(after, '/peer')).toContain('"name":"n1"');
    before.destroy();
    after.destroy();
  });

  it('routes upgrades by path and refuses the rest', async () => {
    const site = await open();
    const seen: string[] = [];
    for (const path of ['/mqtt', '/v1/streams/'])
      site.server.onUpgrade(path, (request, socket) => {
        seen.push(`${path} ${request.url}`);
        socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
      });
    const upgrade = async (path: string) => {
      const socket = await dial(site);
      const answer = readAll(socket);
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`);
      return (await answer).split('\r\n', 1)[0];
    };
    expect(await upgrade('/mqtt?x=1')).toContain('101');
    expect(await upgrade('/v1/streams/abc')).toContain('101');
    for (const path of ['/mqtt/x', '/v1/streams', '/v1/streams/a/b', '/', '/other', '*'])
      expect(await upgrade(path)).toContain('404');
    expect(seen).toEqual(['/mqtt /mqtt?x=1', '/v1/streams/ /v1/streams/abc']);
  });

  it('carries WebSockets whose owner is known by certificate', async () => {
    const site = await open();
    const sockets = new WebSocketServer({ noServer: true });
    site.server.onUpgrade('/mqtt', (request, socket, head) => {
      const peer = peerOf(request.socket);
      if (peer === null || 'refused' in peer) refuseUpgrade(socket, 'unauthenticated');
      else sockets.handleUpgrade(request, socket, head, (webSocket) => webSocket.send(peer.name));
    });
    const url = `wss://127.0.0.1:${site.server.port}/mqtt`;
    const [greeting] = (await once(new WebSocket(url, { agent: new Agent(dialOptions(await member(site))) }), 'message')) as [
      Buffer,
    ];
    expect(greeting.toString()).toBe('n1');
    const stranger = new WebSocket(url, { agent: new Agent(dialOptions({ caPem: site.authority.caPem })) });
    await expect(once(stranger, 'open')).rejects.toThrow('401');
    await site.server.close();
    await settled(() => expect(site.server.strangers).toBe(0));
  });

  it('closes on who connects and says nothing (S4)', async () => {
    const site = await open({ patience: { ...patience, handshakeTimeoutMs: 200 } });
    await closed(connectPlain(site.server.port, '127.0.0.1'));
    await settled(() => expect(site.server.strangers).toBe(0));
  });

  it('closes on who is slow: no request, headers or a body that never end (S4)', async () => {
    const site = await open({ patience: { ...patience, requestTimeoutMs: 400 } });
    const idle = await dial(site);
    expect(await readAll(idle)).toContain('408');

    const slow = await dial(site);
    slow.write('GET /peer HTTP/1.1\r\nHost: x\r\nX-Endless: ');
    const drip = setInterval(() => slow.write('x'), 20);
    expect(await readAll(slow)).toContain('too_slow');
    clearInterval(drip);

    const endless = await dial(site);
    endless.write('POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
    const body = setInterval(() => endless.write('x'), 20);
    expect(await readAll(endless)).toContain('too_slow');
    clearInterval(body);
    await settled(() => expect(site.server.strangers).toBe(0));
  });

  it('limits the connections of strangers, but not those of children (S4)', async () => {
    const site = await open({ patience });
    const identity = await member(site);
    const members = [];
    for (let i = 0; i < 6; i++) members.push(await dial(site, dialOptions(identity)));
    await settled(() => expect(site.server.strangers).toBe(0));
    const strangers = [];
    for (let i = 0; i < 3; i++) strangers.push(await dial(site));
    await expect(dial(site)).rejects.toThrow();
    expect(site.turnedAway).toContain('too many connections without a certificate');
    for (const socket of strangers) socket.destroy();
    await settled(() => expect(site.server.strangers).toBe(0));
    (await dial(site)).destroy();
    expect(await ask(members[0] as TLSSocket, '/peer')).toContain('"name":"n1"');
    for (const socket of members) socket.destroy();
  });

  it('survives headers that are too large and bytes that are no HTTP', async () => {
    const site = await open();
    const large = await dial(site);
    large.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`);
    expect(await readAll(large)).toContain('too_large');
    const noise = await dial(site);
    noise.write('\x00\x01\x02 nonsense\r\n\r\n');
    expect(await readAll(noise)).toContain('invalid_request');
    expect(await ask(await dial(site), '/peer')).toContain('200 OK');
  });

  it('says that the port is in use, and when the address is not this machine’s', async () => {
    const site = await open();
    const second = async (host: string) => {
      const identity = await site.authority.makeServerIdentity([], Date.now());
      const { port } = site.server;
      return new SecureServer({ host, port, identity, request: () => undefined, turnedAway: () => undefined }).open();
    };
    await expect(second('127.0.0.1')).rejects.toMatchObject({ code: 'port_in_use' });
    await expect(second('192.0.2.1')).rejects.toMatchObject({ code: 'unavailable' });
  });
});

/** Bounded, for the server's side of an event that the client already saw. */
function settled(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 20_000, interval: 10 });
}

function closed(socket: Socket): Promise<unknown> {
  socket.resume();
  return once(socket, 'close');
}

/** Everything until the other side closes. */
async function readAll(socket: TLSSocket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on('error', () => undefined);
  await once(socket, 'close');
  return text;
}

/** One request on a connection that stays open. */
async function ask(socket: TLSSocket, path: string): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString();
}
