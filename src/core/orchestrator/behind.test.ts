/** A replica that has not been given all entries yet, and its children. */

import { expect, it } from 'vitest';
import { summaryOfNode } from '../capacity/summaries.ts';
import type { Leadership } from '../model/replicas.ts';
import { serviceSpecSchema } from '../model/service.ts';
import { type Command, encodeCommand } from './commands.ts';
import { Orchestrator, type OrchestratorEffect } from './orchestrator.ts';
import { testInit } from './testing/init.ts';

const token = { tokenId: 't', secretHash: 'h' };
const spec = serviceSpecSchema.parse({ runtime: 'process', command: ['serve'] });
const request = (asked: Extract<Command, { type: 'request' }>['request']): Command => ({ type: 'request', request: asked });
const place = (number: number): Command => ({
  type: 'decide',
  decisions: [
    {
      ...{ do: 'create', id: `web-${number}`, number, service: 'web', generation: 1 },
      ...{ replaces: null, target: null, avoid: null, child: 'n1' },
    },
  ],
});
const ENTRIES: readonly Command[] = [
  { type: 'initialise', epoch: 'e', name: 'edge' },
  { type: 'foundGroup', replica: { id: 'a', name: 'a', url: 'https://a:7443', publicKeyFingerprint: 'a' } },
  request({ type: 'createToken', id: 't', secretHash: 'h', role: 'voter', expiresAtMs: null, uses: null }),
  request({
    ...{ type: 'registerReplica', id: 'b', name: 'b', url: 'https://b:7443', role: 'voter', works: false },
    ...{ publicKeyFingerprint: 'b', ...token },
  }),
  request({ type: 'createToken', id: 'w', secretHash: 'h', role: 'worker', expiresAtMs: null, uses: null }),
  request({ type: 'registerChild', name: 'n1', kind: 'node', publicKeyFingerprint: 'n1', tokenId: 'w', secretHash: 'h' }),
  request({ type: 'applyService', name: 'web', labels: {}, spec: { ...spec, replicas: 2 } }),
  place(1),
  place(2),
];

function replica(leading: Leadership) {
  const core = new Orchestrator(testInit({ leading }));
  let index = 0;
  return {
    core,
    given(entries: readonly Command[]): void {
      for (const command of entries)
        core.step(1_000, { type: 'entryCommitted', index: ++index, data: encodeCommand({ atMs: 1_000, command }) });
    },
    leads(): void {
      core.step(1_000, { type: 'logReady', leadership: { leads: leading === 'standing', term: 2, leader: null } });
    },
    hello(version: number): readonly OrchestratorEffect[] {
      const total = { cpuMilli: 1_000, memoryBytes: 2 ** 30, diskBytes: 0 };
      const summary = summaryOfNode({
        ...{ name: 'n1', total, free: total, load: 0, architecture: 'amd64', runtimes: ['process'], labels: {} },
      });
      const message = { type: 'hello', protocol: 1, session: 's', kind: 'node', software: 'test', epoch: 'e' } as const;
      return core.step(1_000, {
        type: 'childMessageReceived',
        child: 'n1',
        message: { ...message, version, summary, instances: [] },
      });
    },
  };
}

/** I6. */
it.each(['standing', 'on-demand'] as const)('tells a child nothing older than it knows: %s', (leading) => {
  const { core, given, leads, hello } = replica(leading);
  given(ENTRIES.slice(0, -1));
  leads();
  const types = hello(2).map(({ type }) => type);
  expect(types).toContain('disconnectChild');
  expect(types).not.toContain('sendToChild');
  expect(core.viewContext(1_000).observed.links.get('n1')?.session ?? null).toBe(null);
  given(ENTRIES.slice(-1));
  const told = hello(2).find(({ type }) => type === 'sendToChild');
  expect(told).toMatchObject({ child: 'n1', message: { from: 2, to: 2, set: [], unset: [] } });
});

it('asks children to say again what they said, when it is restored to what others know', () => {
  const ahead = replica('on-demand');
  ahead.given(ENTRIES);
  const { core, given, leads, hello } = replica('on-demand');
  given(ENTRIES.slice(0, -1));
  leads();
  hello(1);
  const snapshot = JSON.stringify(ahead.core.state);
  const effects = core.step(1_000, { type: 'snapshotRestored', snapshot, index: ENTRIES.length });
  expect(effects).toContainEqual({ type: 'disconnectChild', child: 'n1' });
  expect(hello(1).find(({ type }) => type === 'sendToChild')).toMatchObject({ message: { from: 1, to: 2 } });
});
