import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readServerSentEvents, type ServerSentEvent } from './sse.ts';

const text = ': hello\n\nevent: put\ndata: {"a":\ndata: 1}\n\nid: 7\r\ndata:é\r\n\r\nevent: lonely\n\ndata: cut off\n';
const events: ServerSentEvent[] = [
  { event: 'put', data: '{"a":\n1}', id: '' },
  { event: 'message', data: 'é', id: '7' },
];

it('reads events however the bytes are cut', async () => {
  const bytes = Buffer.from(text);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat({ max: bytes.length }), { maxLength: 10 }), async (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      const read: ServerSentEvent[] = [];
      for await (const event of readServerSentEvents(stream(pieces))) read.push(event);
      expect(read).toEqual(events);
    }),
  );
});

it('refuses an event without end', async () => {
  const endless = readServerSentEvents(stream(Array<Buffer>(5).fill(Buffer.alloc(1024 * 1024, 'x'))));
  await expect(endless.next()).rejects.toMatchObject({ code: 'too_large' });
});

async function* stream(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
