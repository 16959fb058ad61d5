import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN } from '../../api/testing/memory-backend.ts';
import { Exit } from '../exit-codes.ts';
import { CliRig } from '../testing/cli-rig.ts';
import { serviceView } from '../testing/views.ts';
import { ApiClient } from './api-client.ts';
import { follow } from './follow.ts';
import { Transport } from './transport.ts';

let rig: CliRig;
beforeEach(async () => {
  rig = await CliRig.open();
});
afterEach(() => rig.close());

function connect(interrupted = new AbortController().signal): ApiClient {
  return new ApiClient(new Transport({ origin: 'test', server: rig.url, token: ADMIN, caPem: rig.authority.caPem }, interrupted));
}

async function synced(client: ApiClient) {
  const lost: string[] = [];
  const messages = follow(client, ['service'], { lost: () => lost.push('lost') });
  expect(await messages.next()).toMatchObject({ value: { kind: 'service' } });
  expect(await messages.next()).toMatchObject({ value: { kind: 'synced' } });
  return { messages, lost };
}

it('ends with its client, though nothing happens, and does not connect again', async () => {
  rig.backend.putService(serviceView());
  const client = connect();
  const { messages, lost } = await synced(client);
  const next = messages.next();
  await client.close();
  await expect(next).rejects.toThrow(Exit);
  expect(lost).toEqual([]);
});

it('ends at once with its client also while the orchestrator is away', async () => {
  rig.backend.putService(serviceView());
  const client = connect();
  const { messages, lost } = await synced(client);
  const next = messages.next();
  await rig.stop();
  while (lost.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await client.close();
  await expect(next).rejects.toThrow(Exit);
});

it('ends when it is interrupted', async () => {
  rig.backend.putService(serviceView());
  const interrupt = new AbortController();
  const client = connect(interrupt.signal);
  const { messages } = await synced(client);
  const next = messages.next();
  interrupt.abort();
  await expect(next).rejects.toThrow(Exit);
  await client.close();
});
