import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { unreachableMachine } from '../../../test/rig/unreachable-machine.ts';
import { Authority, makeAuthority } from '../../adapters/tls/authority.ts';
import { SecureServer } from '../../adapters/tls/secure-server.ts';
import { limits } from '../../core/base/limits.ts';
import { ERRORS, type ErrorCode } from '../../core/model/errors.ts';
import { Transport } from './transport.ts';

let authority: Authority;
let stranger: Authority;
const closing: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  authority = new Authority(await makeAuthority(Date.now()));
  stranger = new Authority(await makeAuthority(Date.now()));
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(request: RequestListener, identity?: Awaited<ReturnType<Authority['makeServerIdentity']>>): Promise<string> {
  const server = new SecureServer({
    host: '127.0.0.1',
    port: 0,
    identity: identity ?? (await authority.makeServerIdentity([], Date.now())),
    request,
    turnedAway: () => {},
  });
  await server.open();
  closing.push(() => server.close());
  return `https://127.0.0.1:${server.port}`;
}

function connect(
  server: string,
  given: { readonly token?: string; readonly caPem?: string | null; readonly servers?: readonly string[] } = {},
): Transport {
  const target = {
    origin: 'test',
    server,
    servers: given.servers,
    token: given.token ?? 'secret',
    caPem: given.caPem === undefined ? authority.caPem : given.caPem,
  };
  const transport = new Transport(target, new AbortController().signal);
  closing.push(() => transport.close());
  return transport;
}

const answer =
  (body: unknown): RequestListener =>
  (_, response) =>
    response.end(JSON.stringify(body));

describe('a request whose answer is lost', () => {
  it('is sent again with the same key, which no other request has', async () => {
    const keys: unknown[] = [];
    const server = await serve((request, response) => {
      keys.push(request.headers['idempotency-key']);
      if (keys.length === 1) request.socket.destroy();
      else response.end('{"done":true}');
    });
    const transport = connect(server);
    expect(await transport.json('POST', '/v1/services/web/scale', { body: { replicas: 1 } })).toEqual({ done: true });
    await transport.json('POST', '/v1/services/web/scale', { body: { replicas: 1 } });
    expect(keys).toHaveLength(3);
    expect(keys[0]).toBe(keys[1]);
    expect(keys[2]).not.toBe(keys[0]);
  });

  it('also when it breaks off in the middle', async () => {
    let asked = 0;
    const server = await serve((_, response) => {
      if (++asked > 1) return void response.end('{}');
      response.writeHead(200, { 'content-length': 100 });
      response.write('{"half":');
      response.socket?.end();
    });
    expect(await connect(server).json('GET', '/v1/status')).toEqual({});
  });

  it('is not sent again when it was answered: what is refused stays refused', async () => {
    let asked = 0;
    let code: ErrorCode = 'conflict';
    const server = await serve((_, response) => {
      asked++;
      response
        .writeHead(503)
        .end(JSON.stringify({ error: { code, message: `${ERRORS[code].message}: so it is`, hint: '', details: [] } }));
    });
    await expect(connect(server).json('POST', '/v1/apply')).rejects.toMatchObject({
      code: 'conflict',
      message: 'That conflicts with what is there: so it is',
    });
    code = 'unavailable';
    await expect(connect(server).json('GET', '/v1/instances/web-1/logs')).rejects.toMatchObject({ code: 'unavailable' });
    expect(asked).toBe(2);
  });

  it('is sent again when it is a write that met a leader on its way out', async () => {
    const keys: unknown[] = [];
    const server = await serve((request, response) => {
      keys.push(request.headers['idempotency-key']);
      if (keys.length === 1)
        response
          .writeHead(503)
          .end(JSON.stringify({ error: { code: 'unavailable', message: 'shutting down', hint: '', details: [] } }));
      else response.end('{"done":true}');
    });
    expect(await connect(server).json('POST', '/v1/apply')).toEqual({ done: true });
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });
});

describe('one of several replicas', () => {
  it('is passed over when its machine does not even take the connection', async () => {
    const { port, stop } = await unreachableMachine();
    closing.push(stop);
    const dead = `https://127.0.0.1:${port}`;
    const alive = await serve(answer({ ok: true }));
    const transport = connect(dead, { servers: [dead, alive] });
    expect(await transport.json('GET', '/v1/status')).toEqual({ ok: true });
    expect(transport.servers).toEqual([alive, dead]);
  });

  it('is passed over by each of the requests that run side by side', async () => {
    const gone = await serve(answer({}));
    await closing.at(-1)?.();
    const alive = await serve(answer({ ok: true }));
    const transport = connect(gone, { servers: [gone, alive] });
    const answers = await Promise.all(Array.from({ length: 8 }, () => transport.json('GET', '/v1/status')));
    expect(answers).toEqual(Array(8).fill({ ok: true }));
  });

  it('is not waited for when it took the request and says nothing', async () => {
    const heard: unknown[] = [];
    const silent = await serve((request) => void heard.push(request.headers['idempotency-key']));
    const alive = await serve((request, response) => {
      heard.push(request.headers['idempotency-key']);
      response.end('{"ok":true}');
    });
    expect(await connect(silent, { servers: [silent, alive] }).json('POST', '/v1/apply')).toEqual({ ok: true });
    expect(heard).toHaveLength(2);
    expect(heard[0]).toBe(heard[1]);
  });

  it('may say what the authority is when another one that was asked is gone, or is not of this authority', async () => {
    const listener: RequestListener = (request, response) =>
      response.end(JSON.stringify(request.url === '/v1/ca' ? { caPem: authority.caPem, nowMs: 0 } : { ok: true }));
    const impostor = await serve(
      (_, response) => response.end(JSON.stringify({ caPem: stranger.caPem, nowMs: 0 })),
      await stranger.makeServerIdentity([], Date.now()),
    );
    const gone = await serve(answer({}));
    await closing.at(-1)?.();
    const alive = await serve(listener);
    const token = `tdl1.${authority.caFingerprint}.abcd.${'s'.repeat(43)}`;
    const servers = [impostor, gone, alive];
    expect(await connect(impostor, { token, caPem: null, servers }).json('GET', '/v1/status')).toEqual({ ok: true });
    // Alone, it is told for what it is.
    await expect(connect(impostor, { servers: [impostor, gone] }).json('GET', '/')).rejects.toMatchObject({ code: 'wrong_ca' });
  });

  it('takes from an answer only addresses', async () => {
    const told = 'https://other:7443 http://x ftp://y https://a/b https://[:: nonsense https://third:1';
    const server = await serve((_, response) => response.setHeader('tendril-replicas', told).end('{}'));
    const transport = connect(server);
    await transport.json('GET', '/v1/status');
    expect(transport.servers).toEqual([server, 'https://other:7443', 'https://third:1']);
  });
});

describe('who is at the other end', () => {
  it('is known by what its certificate says it is, at whatever address', async () => {
    expect(
      await connect(await serve(answer({ at: 'an address that the certificate does not name' }))).json('GET', '/'),
    ).toHaveProperty('at');
  });

  it('is refused when another CA vouches for it, before anything is said', async () => {
    const requests: IncomingMessage[] = [];
    const server = await serve((request) => void requests.push(request));
    await expect(connect(server, { caPem: stranger.caPem }).json('GET', '/')).rejects.toMatchObject({ code: 'wrong_ca' });
    expect(requests).toEqual([]);
  });

  it('is refused when its certificate has expired', async () => {
    const identity = await authority.makeServerIdentity([], Date.now() - 3_600_000, 1_000);
    await expect(connect(await serve(answer({}), identity)).json('GET', '/')).rejects.toMatchObject({
      code: 'certificate_refused',
    });
  });

  it('is found out by the hash in a token, and hears the token only then', async () => {
    const heard: (string | undefined)[] = [];
    const listener: RequestListener = (request, response) => {
      heard.push(request.headers.authorization);
      response.end(JSON.stringify(request.url === '/v1/ca' ? { caPem: authority.caPem, nowMs: 0 } : { ok: true }));
    };
    const server = await serve(listener);
    const token = `tdl1.${authority.caFingerprint}.abcd.${'s'.repeat(43)}`;
    expect(await connect(server, { token, caPem: null }).json('GET', '/v1/status')).toEqual({ ok: true });
    expect(heard).toEqual([undefined, `Bearer ${token}`]);

    // An impostor can show the true CA's certificate, but none of its own that comes from it.
    heard.length = 0;
    const impostor = await serve(listener, await stranger.makeServerIdentity([], Date.now()));
    await expect(connect(impostor, { token, caPem: null }).json('GET', '/v1/status')).rejects.toMatchObject({ code: 'wrong_ca' });
    expect(heard).toEqual([undefined]);
    const other = `tdl1.${stranger.caFingerprint}.abcd.${'s'.repeat(43)}`;
    await expect(connect(server, { token: other, caPem: null }).json('GET', '/v1/status')).rejects.toMatchObject({
      code: 'wrong_ca',
    });
    expect(heard).toEqual([undefined, undefined]);
  });

  it('is no tendril at all', async () => {
    const plain = createHttpServer(answer({}));
    await new Promise<void>((resolve) => {
      plain.listen(0, '127.0.0.1', resolve);
    });
    closing.push(async () => plain.close());
    const { port } = plain.address() as AddressInfo;
    await expect(connect(`https://127.0.0.1:${port}`).json('GET', '/')).rejects.toMatchObject({ code: 'unreachable' });
    const page = await serve((_, response) => response.writeHead(502).end('<html>Bad gateway'));
    await expect(connect(page).json('GET', '/')).rejects.toThrow('no tendril API (HTTP 502)');
  });
});

describe('sizes', () => {
  it('an answer without end is cut off', async () => {
    const server = await serve((_, response) => {
      const piece = Buffer.alloc(1024 * 1024, 0x20);
      const push = () => {
        while (response.write(piece)) if (response.destroyed) return;
        response.once('drain', push);
      };
      response.on('error', () => {});
      push();
    });
    await expect(connect(server).json('GET', '/')).rejects.toMatchObject({ code: 'too_large' });
  });

  it('a request larger than the orchestrator takes is not sent', async () => {
    const body = { text: 'x'.repeat(limits.requestBodyBytes) };
    await expect(connect('https://127.0.0.1:1').json('POST', '/', { body })).rejects.toMatchObject({ code: 'too_large' });
  });
});
