import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { OsHostPorts } from './host-ports.ts';

it('hands out free ports, none of them twice in a row', async () => {
  const ports = new OsHostPorts();
  const picked = await Promise.all(['tcp', 'tcp', 'udp', 'tcp'].map((protocol) => ports.pick(protocol as 'tcp' | 'udp')));
  expect(new Set(picked).size).toBe(picked.length);
  expect(Math.min(...picked)).toBeGreaterThan(1023);
});

it('keeps a port while it is free, and takes another when somebody sits on it', async () => {
  const ports = new OsHostPorts();
  const port = await ports.pick('tcp');
  expect(await ports.pick('tcp', port)).toBe(port);
  const squatter = createServer().listen(port);
  await once(squatter, 'listening');
  expect((squatter.address() as AddressInfo).port).toBe(port);
  expect(await ports.pick('tcp', port)).not.toBe(port);
  squatter.close();
});
