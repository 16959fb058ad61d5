import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { FastifyRequest } from 'fastify';
import { expect, test } from 'vitest';
import { VirtualClock } from '../adapters/memory/clock.ts';
import { limits } from '../core/base/limits.ts';
import { limitBody } from './request-body.ts';

const request = { headers: {} } as FastifyRequest;

test('a body that has arrived, broken off, or whose client had left before leaves no timer behind', async () => {
  const clock = new VirtualClock();
  const arrived = limitBody(request, Readable.from([Buffer.from('{}')]), limits, clock);
  expect(await text(arrived)).toBe('{}');
  expect(clock.nextAtMs()).toBe(null);

  const leaving = new Readable({ read: () => undefined });
  const limited = limitBody(request, leaving, limits, clock);
  expect(clock.nextAtMs()).toBe(limits.requestTimeoutMs);
  const failed = once(limited, 'error');
  leaving.destroy();
  expect(await failed).toEqual([expect.objectContaining({ code: 'invalid_request' })]);
  expect(clock.nextAtMs()).toBe(null);

  // It was waiting for an election, and its connection has closed meanwhile.
  expect(() => limitBody(request, leaving, limits, clock)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  expect(clock.nextAtMs()).toBe(null);
});
