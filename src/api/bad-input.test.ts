import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { limits } from '../core/base/limits.ts';
import { type ApiRig, begin, call, eventually, readText, response, startApi } from './testing/api-rig.ts';
import { ADMIN } from './testing/memory-backend.ts';

let rig: ApiRig;
afterEach(() => rig.close());

const MIB = 1024 * 1024;

/** Writes until `totalBytes` are out or the connection is gone; the answer's text and what was sent. */
async function pour(path: string, totalBytes: number, headers: Record<string, string>) {
  const outgoing = begin(rig, path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers } });
  const piece = Buffer.alloc(64 * 1024, ' ');
  let sent = 0;
  const more = () => {
    while (sent < totalBytes && !outgoing.destroyed) {
      sent += piece.length;
      if (!outgoing.write(piece)) return;
    }
  };
  outgoing.on('drain', more);
  const answered = response(outgoing);
  outgoing.on('error', () => {});
  more();
  const incoming = await answered;
  const text = await readText(incoming);
  outgoing.destroy();
  return { status: incoming.statusCode, json: JSON.parse(text), sent };
}

describe('bodies', () => {
  test('50 MB are refused early, whether their length is said or not', async () => {
    rig = await startApi();
    for (const headers of [{ 'content-length': String(50 * MIB) }, { 'transfer-encoding': 'chunked' }]) {
      const { status, json, sent } = await pour('/v1/apply', 50 * MIB, headers);
      expect(status).toBe(413);
      expect(json.error).toMatchObject({ code: 'too_large', message: expect.stringContaining(String(limits.requestBodyBytes)) });
      // The limit, and what fits into the buffers on the way.
      expect(sent).toBeLessThan(25 * MIB);
    }
    expect((await call(rig, '/v1/health')).status).toBe(200);
  });

  test('a stranger is refused before the body is looked at', async () => {
    rig = await startApi();
    const { status, json } = await pour('/v1/apply', 50 * MIB, { 'transfer-encoding': 'chunked', authorization: 'Bearer guess' });
    expect({ status, code: json.error.code }).toEqual({ status: 401, code: 'token_unknown' });
  });

  test('one that never ends is cut after its time, and the connection does not linger', async () => {
    rig = await startApi({ limits: { requestTimeoutMs: 20, lingerMs: 20 } });
    const outgoing = begin(rig, '/v1/apply', { method: 'POST', headers: { 'content-type': 'application/json' } });
    const answered = response(outgoing);
    outgoing.write('{"resources": [');
    const incoming = await answered;
    expect(incoming.statusCode).toBe(408);
    expect(JSON.parse(await readText(incoming)).error.code).toBe('too_slow');
    outgoing.on('error', () => {});
    await eventually(() => outgoing.socket?.destroyed !== false);
  });

  test('one whose client leaves in the middle does no harm', async () => {
    rig = await startApi();
    const outgoing = begin(rig, '/v1/apply', { method: 'POST', headers: { 'content-type': 'application/json' } });
    outgoing.on('error', () => {});
    await new Promise<void>((resolve) => {
      outgoing.write('{"resources": [', () => resolve());
    });
    outgoing.destroy();
    expect((await call(rig, '/v1/health')).status).toBe(200);
    expect(rig.defects).toEqual([]);
  });

  test('malformed JSON is shown by line and column', async () => {
    rig = await startApi();
    const { status, json } = await call(rig, '/v1/apply', { body: '{\n  "resources": [1,]\n}' });
    expect(status).toBe(400);
    expect(json.error).toMatchObject({
      code: 'invalid_request',
      message: 'The request is not valid: the body is not JSON',
      details: [{ field: '', message: 'unexpected "]" at line 2, column 19', line: 2, column: 19 }],
    });
    const early = await call(rig, '/v1/apply', { body: '{"resources": [' });
    expect(early.json.error.details[0].message).toBe('it ends too early at line 1, column 16');
  });

  test.each([
    ['nothing', undefined, 'is missing; expected an object'],
    ['an empty body', '', 'is missing; expected an object'],
    ['a list', '[]', 'expected an object, got a list'],
  ])('%s', async (_, body, message) => {
    rig = await startApi();
    const { status, json } = await call(rig, '/v1/apply', { method: 'POST', body });
    expect({ status, details: json.error.details }).toEqual({ status: 400, details: [{ field: '', message }] });
  });

  test('another content type', async () => {
    rig = await startApi();
    for (const type of ['text/yaml', 'application/x-www-form-urlencoded', '///']) {
      const { status, json } = await call(rig, '/v1/apply', { method: 'POST', body: 'a: b', headers: { 'content-type': type } });
      expect({ status, details: json.error.details }).toEqual({
        status: 400,
        details: [{ field: 'Content-Type', message: 'expected application/json' }],
      });
    }
  });

  test('deeply nested JSON is one more mistake, not the end', async () => {
    rig = await startApi();
    const depth = 100_000;
    const { status } = await call(rig, '/v1/apply', { body: `{"resources":[${'['.repeat(depth)}${']'.repeat(depth)}]}` });
    expect(status).toBe(400);
    const { status: prototype } = await call(rig, '/v1/services/web/scale', { body: '{"__proto__": {"replicas": 3}}' });
    expect(prototype).toBe(400);
    expect(rig.defects).toEqual([]);
  });
});

describe('heads', () => {
  test('thousands of headers', async () => {
    rig = await startApi();
    const socket = connect(rig.port, '127.0.0.1');
    const closed = new Promise((resolve) => {
      socket.once('close', resolve);
    });
    // Whether the answer arrives depends on how much was on its way when the server closed.
    socket.on('error', () => {});
    socket.resume();
    const headers = Array.from({ length: 5_000 }, (_, i) => `X-H${i}: ${i}\r\n`).join('');
    socket.write(`GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n${headers}\r\n`);
    await closed;
    expect((await call(rig, '/v1/health')).status).toBe(200);
  });

  test('a header twice, a very long path, odd tokens', async () => {
    rig = await startApi();
    expect((await call(rig, `/v1/services/${'a'.repeat(5_000)}`)).status).toBeGreaterThanOrEqual(400);
    expect((await call(rig, '/v1/instances?service=a&service=b')).json.error.details[0]).toEqual({
      field: '?service',
      message: 'expected text, got a list',
    });
    for (const authorization of ['Bearer', 'Bearer  ', 'Basic YTpi', 'bearer a b'])
      expect((await call(rig, '/v1/status', { token: null, headers: { authorization } })).json.error.code).toBe(
        'unauthenticated',
      );
    expect(rig.defects).toEqual([]);
  });
});
