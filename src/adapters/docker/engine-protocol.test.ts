/** The parts that need no engine. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import { containerExit } from './container-exit.ts';
import { jsonLines } from './engine-http.ts';
import { engineSocketPath } from './engine-socket.ts';
import { parseImageReference } from './image-reference.ts';
import { LogFrames } from './log-frames.ts';

test.each([
  ['busybox', 'busybox', 'latest', null],
  ['busybox:1.36', 'busybox', '1.36', null],
  ['localhost:5000/busybox', 'localhost:5000/busybox', 'latest', null],
  ['localhost:5000/group/busybox:1', 'localhost:5000/group/busybox', '1', null],
  ['busybox@sha256:ab', 'busybox', 'sha256:ab', 'sha256:ab'],
  ['localhost:5000/busybox:1@sha256:ab', 'localhost:5000/busybox', 'sha256:ab', 'sha256:ab'],
])('reads the image reference %s', (image, repository, version, digest) => {
  expect(parseImageReference(image)).toEqual({ repository, version, digest });
});

test('takes a local socket from DOCKER_HOST, and says what it does not take', () => {
  expect(engineSocketPath(undefined)).toEqual({ ok: true, value: '/var/run/docker.sock' });
  expect(engineSocketPath('')).toEqual({ ok: true, value: '/var/run/docker.sock' });
  expect(engineSocketPath('unix:///run/podman/podman.sock')).toEqual({ ok: true, value: '/run/podman/podman.sock' });
  expect(engineSocketPath('tcp://user:secret@10.0.0.1:2375')).toEqual({
    ok: false,
    error: 'DOCKER_HOST is of kind tcp://; only unix:///path is supported',
  });
  expect(engineSocketPath('somewhere')).toMatchObject({ ok: false });
});

test('says how a container ended', () => {
  expect(containerExit(1, false).reason).toBe('exited with code 1');
  expect(containerExit(143, false).reason).toBe('killed by SIGTERM');
  expect(containerExit(137, true)).toEqual({ exitCode: 137, reason: 'killed by SIGKILL (out of memory)' });
  expect(containerExit(255, false).reason).toBe('exited with code 255');
});

/** Cuts `bytes` at `cuts`, as a network may. */
function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...cuts.map((each) => each % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

test('joins the frames of both streams, however the bytes arrive', () => {
  const payload = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(1, 2), payload)), fc.array(fc.nat()), (frames, cuts) => {
      const bytes = Buffer.concat(
        frames.flatMap(([stream, content]) => {
          const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
          header.writeUInt32BE(content.length, 4);
          return [header, content];
        }),
      );
      const demux = new LogFrames();
      const seen = cut(bytes, cuts).flatMap((chunk) => [...demux.payload(chunk)]);
      expect(Buffer.concat(seen)).toEqual(Buffer.concat(frames.map(([, content]) => content)));
    }),
  );
});

test('reads JSON lines, however the bytes arrive', async () => {
  const line = z.looseObject({ text: z.string() });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'binary' })), fc.array(fc.nat()), async (texts, cuts) => {
      const bytes = Buffer.from(texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
      async function* chunks() {
        yield* cut(bytes, cuts);
      }
      const seen: string[] = [];
      for await (const { text } of jsonLines(line, chunks())) seen.push(text);
      expect(seen).toEqual(texts.map((text) => Buffer.from(text).toString()));
    }),
  );
});
