import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { VirtualClock } from '../adapters/memory/clock.ts';
import { ChildStreams } from './child-streams.ts';

function streamsAsking() {
  const asked: string[] = [];
  let next = 0;
  const streams = new ChildStreams({
    clock: new VirtualClock(),
    newId: () => `stream-${next++}`,
    ask: (_child, id) => asked.push(id),
  });
  return { streams, asked };
}

it('hands over what the child dials that was asked, and nobody else', async () => {
  const { streams, asked } = streamsAsking();
  const dialled = streams.dial('n1');
  const [id = ''] = asked;
  expect([streams.expects(id, 'n2'), streams.expects(id, 'n1')]).toEqual([false, true]);
  const stream = new PassThrough();
  streams.arrived(id, stream);
  expect(await dialled).toBe(stream);
  expect(streams.expects(id, 'n1')).toBe(false);
});

it('outlives a stream that breaks before whoever asked for it has taken it up', async () => {
  const { streams, asked } = streamsAsking();
  const dialled = streams.dial('n1');
  const stream = new PassThrough();
  const closed = new Promise((resolve) => stream.once('close', resolve));
  // As a child causes it that sends a malformed frame right behind its upgrade request.
  streams.arrived(asked[0] ?? '', stream);
  stream.destroy(new Error('Invalid WebSocket frame'));
  await closed;
  expect((await dialled).destroyed).toBe(true);
});
